"""The names of the standard (2025.12), and the primitives of its functions by name.

`CHAPTERS` has the functions of arrays by chapter. Each chapter has a file in
`anynet.autodiff.rules`.
"""

from collections import namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anynet.tracing.trace import Primitive

#: The standard's functions as primitives, by name. `anynet.autodiff.rules` fills it.
STANDARD: "dict[str, Primitive[..., Any]]" = {}
#: What indexing and broadcasting are made of, as primitives by name. `anynet.primitives.indexing`
#: fills it.
INDEXING: "dict[str, Primitive[..., Any]]" = {}
#: Those among them whose references use brackets, and so call the primitive again when traced.
BRACKETS = frozenset(("getitem", "getitem_at", "put", "put_at"))

CHAPTERS: dict[str, tuple[str, ...]] = {
    "elementwise": tuple(
        """
        abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_invert
        bitwise_or bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp
        expm1 floor floor_divide greater greater_equal hypot imag isfinite isinf isnan less
        less_equal log log1p log2 log10 logaddexp logical_and logical_not logical_or logical_xor
        maximum minimum multiply negative nextafter not_equal positive pow real reciprocal remainder
        round sign signbit sin sinh square sqrt subtract tan tanh trunc
        """.split()
    ),
    "creation": ("meshgrid", "tril", "triu"),
    "fourier": tuple(
        f"fft.{name}"
        for name in """
        fft fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftn
        """.split()
    ),
    "indexing": ("take", "take_along_axis"),
    "linear_algebra": (
        *("matmul", "matrix_transpose", "tensordot", "vecdot"),
        *(
            f"linalg.{name}"
            for name in """
            cholesky cross det diagonal eig eigh eigvals eigvalsh inv matmul matrix_norm
            matrix_power matrix_rank matrix_transpose outer pinv qr slogdet solve svd svdvals
            tensordot trace vecdot vector_norm
            """.split()
        ),
    ),
    "manipulation": tuple(
        """
        astype broadcast_arrays broadcast_to concat expand_dims flip moveaxis permute_dims repeat
        reshape roll squeeze stack tile unstack
        """.split()
    ),
    "searching": tuple("argmax argmin count_nonzero nonzero searchsorted where".split()),
    "sets": tuple("isin unique_all unique_counts unique_inverse unique_values".split()),
    "sorting": ("argsort", "sort"),
    "statistical": tuple(
        "all any cumulative_prod cumulative_sum diff max mean min prod std sum var".split()
    ),
}

CREATION = tuple(
    """
    arange asarray empty empty_like eye from_dlpack full full_like linspace ones ones_like zeros
    zeros_like fft.fftfreq fft.rfftfreq
    """.split()
)
#: Functions that take their arrays in a sequence. Their primitives take them one by one.
OF_SEQUENCES = frozenset(("concat", "stack"))
OF_SHAPES = ("broadcast_shapes",)
OF_DTYPES = ("can_cast", "finfo", "iinfo", "isdtype", "result_type")
EXTENSIONS = ("fft", "linalg")
CONSTANTS = ("e", "inf", "nan", "newaxis", "pi")
DTYPES = tuple(
    """
    bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
    """.split()
)
#: Names by which a library describes itself.
ABOUT_ITSELF = (
    "__array_api_version__",
    "__array_namespace_info__",
    "__version__",
)

#: Functions that are constant almost everywhere, or whose results are not floating. No cotangent
#: passes them.
WITHOUT_DERIVATIVE = frozenset(
    """
    all any argmax argmin argsort bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor ceil count_nonzero equal floor floor_divide greater
    greater_equal isfinite isin isinf isnan less less_equal linalg.matrix_rank logical_and
    logical_not logical_or logical_xor nextafter nonzero not_equal round searchsorted signbit trunc
    """.split()
)

#: The types of results that are tuples with names, by the name of the function.
RESULTS: dict[str, Callable[..., Any]] = {
    "linalg.eig": namedtuple("EigResult", "eigenvalues eigenvectors"),
    "linalg.eigh": namedtuple("EighResult", "eigenvalues eigenvectors"),
    "linalg.qr": namedtuple("QRResult", "Q R"),
    "linalg.slogdet": namedtuple("SlogdetResult", "sign logabsdet"),
    "linalg.svd": namedtuple("SVDResult", "U S Vh"),
}

#: The signatures of functions without a rule, for libraries whose signatures Python cannot read.
SIGNATURES: dict[str, Callable[..., None]] = {
    "all": lambda x, /, *, axis=None, keepdims=False: None,
    "any": lambda x, /, *, axis=None, keepdims=False: None,
    "argmax": lambda x, /, *, axis=None, keepdims=False: None,
    "argmin": lambda x, /, *, axis=None, keepdims=False: None,
    "argsort": lambda x, /, *, axis=-1, descending=False, stable=True: None,
    "concat": lambda arrays, /, *, axis=0: None,
    "count_nonzero": lambda x, /, *, axis=None, keepdims=False: None,
    "fftfreq": lambda n, /, *, d=1.0, dtype=None, device=None: None,
    "linalg.matrix_rank": lambda x, /, *, rtol=None: None,
    "rfftfreq": lambda n, /, *, d=1.0, dtype=None, device=None: None,
    "searchsorted": lambda x1, x2, /, *, side="left", sorter=None: None,
    "stack": lambda arrays, /, *, axis=0: None,
}
