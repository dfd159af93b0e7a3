"""The trace of mixed precision: products in a narrow dtype, sums and steep functions in float32.

Parameters stay float32. `MixedTrace` casts the arguments of each call, and the tape further out
records the casts. So gradients come back in float32. Source: Micikevicius et al., Mixed precision
training, ICLR 2018; the lists of PyTorch's autocast.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anynet.array import (
    Array,
    DType,
    Namespace,
    array_namespace,
    is_array,
    is_floating,
    is_narrow,
    unrecorded,
)
from anynet.tracing.errors import differentiation_error
from anynet.tracing.standard import CHAPTERS, STANDARD
from anynet.tracing.trace import Primitive, Traced, next_level, primitive
from anynet.tree import leaves, update_buffers
from anynet.tree import map as map_leaves

#: Calls whose arguments are cast to the narrow dtype: products with parameters.
NARROW = frozenset(
    """
    affine conv2d conv2d_input_gradient conv2d_weight_gradient linalg.matmul linalg.tensordot matmul
    tensordot
    """.split()
)

#: Calls that take arguments as they are. Arguments of several dtypes are cast to the widest one.
#: Every call that is in no list is computed in float32.
ANY_DTYPE = frozenset(
    (
        *CHAPTERS["manipulation"],
        *CHAPTERS["indexing"],
        *CHAPTERS["searching"],
        *CHAPTERS["sorting"],
        *CHAPTERS["creation"],
        *"""
        abs all any ceil clip conj copysign divide equal floor getitem getitem_at greater
        greater_equal isfinite isinf isnan less less_equal logical_and logical_not logical_or
        logical_xor max maximum min minimum multiply negative not_equal positive put put_at real
        round sign signbit stop_gradient subtract add tanh trunc
        """.split(),
        *"""
        avg_pool2d elu embedding gelu hard_sigmoid leaky_relu max_pool2d max_pool2d_gather
        max_pool2d_gradient max_pool2d_with_residuals relu relu_gradient selu sigmoid
        """.split(),
    )
)

#: Calls that are computed in float32, and whose first result is rounded to the dtype of the first
#: argument.
ROUNDED = frozenset(("batch_norm", "scale_shift"))

#: Calls whose result has the dtype of the first argument.
_WRITES = frozenset(("put", "put_at"))


class _Leaf:
    """A parameter: whether calls with it stay in float32, and its narrow copy."""

    __slots__ = ("kept", "narrow")

    def __init__(self, *, kept: bool) -> None:
        self.kept = kept
        self.narrow: Any = None


class MixedTrace:
    """A trace that chooses the dtype of each call.

    Args:
        dtype: the narrow dtype of the library.

    """

    batch_axes = 0
    keeps_decompositions = True
    error = staticmethod(differentiation_error)

    def __init__(self, dtype: DType) -> None:
        self.level = next_level()
        self.dtype = dtype

    def variable(self, x: Array, *, kept: bool = False) -> Array:
        """Return a traced array for a floating array. Other arrays stay.

        Args:
            x: an array, which may belong to a trace further out.
            kept: whether calls with it stay in float32.

        """
        if not is_floating(x):
            return x
        is_constant = type(x) is Traced and x.trace is None
        value = x.value if is_constant else unrecorded(x)  # type: ignore[attr-defined]
        return Traced(value, self, _Leaf(kept=kept))  # type: ignore[arg-type]

    def value(self, x: Array) -> Array:
        """Return the array that a traced one of this trace stands for."""
        return x.value if type(x) is Traced and x.trace is self else x

    def call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        named: dict[str, Any],
        kept: Mapping[int, bool],
    ) -> Any:
        """Return the value of a function in mixed precision, as arrays of the traces further out.

        Args:
            function: of trees of arrays. It returns a tree.
            args: its arguments.
            named: its keyword arguments.
            kept: by the identity of an array, whether calls with it stay in float32. Constants
                that are not among them stay constants.

        """

        def begin(x: Array) -> Array:
            if id(x) in kept:
                return self.variable(x, kept=kept[id(x)])
            is_constant = type(x) is Traced and x.trace is None
            return x if is_constant else self.variable(x)

        arguments = (args, named)
        begun = map_leaves(begin, arguments)
        out = function(*begun[0], **begun[1])
        update_buffers(lambda _, new: self.value(new), arguments, begun)
        return map_leaves(self.value, out)

    def apply(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Cast the arguments, and evaluate the primitive one level further out."""
        floating = [x for x in args if is_array(x) and is_floating(x)]
        first = floating[0] if floating else None
        values: list[Any]
        if step.name in _WRITES and first is not None:
            values = [_cast(self._plain(x), first.dtype) for x in args]
        elif step.name in NARROW and all(map(self._can_be_narrow, floating)):
            values = [self._narrow(x) for x in args]
        elif step.name == "remat" or (step.name in ANY_DTYPE and not _differ(floating)):
            values = [self._plain(x) for x in args]
        else:
            values = [_wide(self._plain(x)) for x in args]
        out = step.evaluate(values, settings)[0]
        is_several = isinstance(out, tuple)
        outputs = [*out] if is_several else [out]
        if step.name in ROUNDED and first is not None and is_narrow(first):
            outputs[0] = _cast(outputs[0], first.dtype)
        traced = [Traced(x, self, None) for x in outputs]  # type: ignore[arg-type]
        return tuple(traced) if is_several else traced[0]

    def _plain(self, x: Any) -> Any:
        """Return an argument without this trace. A constant is the array that it stands for."""
        is_own = type(x) is Traced and (x.trace is self or x.trace is None)
        return x.value if is_own else x

    def _can_be_narrow(self, x: Array) -> bool:
        """Return whether a floating argument may be cast to the narrow dtype."""
        if type(x) is Traced and x.trace is self and _is_kept(x.node):
            return False
        return is_narrow(x) or x.dtype == array_namespace(x).float32

    def _narrow(self, x: Any) -> Any:
        """Return an argument in the narrow dtype. A parameter is cast once.

        Each use of the copy is its own step of a tape, so that the tape adds up the cotangents of
        all uses in float32.
        """
        value = self._plain(x)
        node: Any = x.node if type(x) is Traced else None
        if not is_array(value) or not is_floating(value) or value.dtype == self.dtype:
            return value
        if type(node) is not _Leaf:
            return _cast(value, self.dtype)
        if node.narrow is None:
            node.narrow = _constant_cast(value, self.dtype)
        return _use(value, node.narrow)


def mixed_like(function: Callable[..., Any], arguments: Any) -> Callable[..., Any]:
    """Return a function of arrays further out, in the mixed precision of these arguments.

    Without mixed precision it is the function itself.

    Args:
        function: of trees of arrays.
        arguments: a tree that has the arrays in the order in which the function will get them.

    """
    arrays: list[Any] = [x for _, x in leaves(arguments)]
    trace = next((x.trace for x in arrays if _is_of_mixed_trace(x)), None)
    if trace is None:
        return function
    dtype = trace.dtype
    kept = {i: _is_kept(x.node) for i, x in enumerate(arrays) if _is_of_mixed_trace(x)}

    def mixed(*args: Any) -> Any:
        own = {id(x): kept[i] for i, (_, x) in enumerate(leaves(args)) if i in kept}
        return MixedTrace(dtype).call(function, args, {}, own)

    return mixed


def _is_of_mixed_trace(x: Any) -> bool:
    return type(x) is Traced and type(x.trace) is MixedTrace


def _is_kept(node: Any) -> bool:
    return type(node) is _Leaf and node.kept


def is_mixed_precision(x: object) -> bool:
    """Return whether an array belongs to a trace of mixed precision."""
    while type(x) is Traced:
        if type(x.trace) is MixedTrace:
            return True
        x = x.value
    return False


def _differ(arrays: Sequence[Array]) -> bool:
    """Return whether floating arrays have more than one dtype."""
    return any(x.dtype != arrays[0].dtype for x in arrays[1:])


def _cast(x: Any, dtype: DType) -> Any:
    """Return a floating array in a dtype, and anything else as it is."""
    if not is_array(x) or not is_floating(x) or x.dtype == dtype:
        return x
    return STANDARD["astype"](x, dtype)


def _wide(x: Any) -> Any:
    """Return a narrow array in float32, and anything else as it is."""
    if not is_array(x) or not is_narrow(x):
        return x
    return STANDARD["astype"](x, array_namespace(x).float32)


# Without a rule it has no derivative.
@primitive()
def _constant_cast(x: Array, dtype: DType) -> Array:
    """Return an array in a dtype."""
    return array_namespace(x).astype(x, dtype)


def _rule(
    xp: Namespace,
    out: Array,
    x: Array,
    narrow: Array,
) -> Any:
    return lambda g: g, None


@primitive(_rule)
def _use(x: Array, narrow: Array) -> Array:
    """Return the narrow copy of x, whose cotangent goes to x."""
    return narrow
