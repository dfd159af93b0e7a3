"""The JAX backend: arrays that never change, on a CPU, GPU or TPU, and steps that can be compiled
by jax.jit.
"""

from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from anynet_numpy import portable

from anynet.array import is_array, is_narrow
from anynet.backend import Backend, check_dtype, get_backend, is_buffer
from anynet.errors import BackendError, DTypeError
from anynet_jax.kernels import KERNELS

_SWITCH = 'jax.config.update("jax_enable_x64", True)'


class JaxBackend(Backend):
    """JAX on ``cpu``, ``gpu``, ``tpu``, or one of several, as ``gpu:1``; JAX's own first choice
    unless told.

    JAX has 64-bit dtypes only when its setting ``jax_enable_x64`` is on, which `anynet.configure`
    does. Otherwise 64-bit integers become 32-bit ones, where these have all values, and arrays of
    float64 raise `DTypeError`.
    """

    kernels = KERNELS
    dtype_remedy = f"take a 32-bit one, such as xp.float32, or call {_SWITCH} first"

    def __init__(self, device: str = "") -> None:
        self._jax: Any = _import()
        jax = self._jax
        platform, _, number = device.partition(":")
        # Those of other processes cannot be computed on from here.
        there = jax.local_devices()
        try:
            there = jax.local_devices(backend=platform or None)
            place = there[int(number or 0)]
        except (RuntimeError, IndexError, ValueError) as error:
            names = ", ".join(f"{d.platform}:{d.id}" for d in there)
            raise BackendError(f"jax has no device {device!r}; it has {names}") from error
        super().__init__(jax.numpy, place)

    @property
    def loops(self) -> bool:
        """It can."""
        return True

    @property
    def device_name(self) -> str:
        """The platform, with a number where there are several; all of those of a mesh."""
        return ", ".join(f"{d.platform}:{d.id}" for d in sorted(self._devices, key=lambda d: d.id))

    @property
    def _devices(self) -> Any:
        """The devices of a mesh, or the one."""
        return getattr(self.device, "device_set", {self.device})

    @classmethod
    def configure(cls, device: str) -> None:
        """Switch 64-bit dtypes on."""
        jax: Any = _import()
        jax.config.update("jax_enable_x64", True)

    def float64(self) -> AbstractContextManager[None]:
        """Switch 64-bit dtypes on, for this thread."""
        context: AbstractContextManager[None] = _enable_x64(True)
        return context

    def asarray(self, obj: Any, dtype: Any = None) -> Any:
        """Convert on the host what JAX would not have as it is."""
        if dtype is not None:
            check_dtype(self.xp, dtype)
            if not isinstance(obj, self._jax.Array):
                x: Any = (
                    get_backend(obj).to_host(obj)
                    if is_array(obj)
                    else get_backend("numpy").from_host(obj)
                )
                obj = x if self.supports(x.dtype) else x.astype(dtype)
        return super().asarray(obj, dtype)

    def from_host(self, obj: Any) -> Any:
        """Copy to the device, by way of NumPy, which knows every buffer."""
        x = portable(obj)
        # Python's floats have no dtype to keep.
        wide = x.dtype.name in ("int64", "uint64") or (
            x.dtype.name in ("float64", "complex128") and is_buffer(obj)
        )
        if wide and not self.supports(x.dtype):
            x = _narrowed(x)
        return self._jax.device_put(x, self.device)

    def from_array(self, x: Any) -> Any:
        """Move a JAX array; copy any other library's array through main memory."""
        if isinstance(x, self._jax.Array):
            there = isinstance(x, self._jax.core.Tracer) or x.sharding.device_set == self._devices
            return x if there else self._jax.device_put(x, self.device)
        return self.through_host(x)

    def to_host(self, x: Any) -> Any:
        """Copy to main memory."""
        # NumPy has float16, and no other narrow dtype.
        known = x.dtype == "float16" or not is_narrow(x)
        return get_backend("numpy").from_host(x if known else x.astype("float32"))

    def compile(self, function: Any, carried: list[tuple[int, int]]) -> Any:
        """Let XLA compile it; numbers go to the device together, and stay there until they are
        others.
        """
        compiled = self._jax.jit(self._with_numbers(function, carried))
        on_mesh = not isinstance(self.device, self._jax.Device)
        known: list[float] | None = None
        there: Any = None

        def run(arrays: list[Any], numbers: list[float]) -> Any:
            nonlocal known, there
            if numbers != known:
                # Those of one call alone go there with the call, which is quicker.
                known, there = (
                    numbers,
                    self._numbers(numbers, arrays, carried),
                )
            elif not (on_mesh or isinstance(there, self._jax.Array)):
                # Put there as the default only: for an array that is to stay there, XLA would
                # compile it once more.
                with self._jax.default_device(self.device):
                    there = self._jax.device_put(there)
            return compiled(arrays, there)

        return run

    def calls_python(self, function: Any, arguments: list[Any]) -> bool:
        """Try: XLA calls no Python, but JAX can trace what is its own code."""
        try:
            self._jax.eval_shape(function, *arguments)
        except Exception:
            return False
        return True

    def _numbers(
        self,
        numbers: Any,
        arrays: list[Any],
        carried: list[tuple[int, int]],
    ) -> Any:
        """Return numbers as an array on the host, in the dtype that they meet what is carried
        in.
        """
        # Numbers of 64 bits would make parameters of 64 bits.
        wide = any(arrays[argument].dtype in ("float64", "complex128") for argument, _ in carried)
        return get_backend("numpy").xp.asarray(numbers, dtype="float64" if wide else "float32")

    def _with_numbers(self, function: Any, carried: list[tuple[int, int]]) -> Any:
        """Return the function with its numbers as one array; dtypes are what they are beside
        numbers of Python's.
        """

        def run(arrays: list[Any], numbers: Any) -> Any:
            found = function(*arrays, *numbers)
            for argument, result in carried:
                found[result] = found[result].astype(arrays[argument].dtype)
            return found

        return run

    def loop(self, function: Any, carried: list[tuple[int, int]]) -> Any:
        """Loop as XLA does, which needs no Python between the steps."""
        jax, numpy = self._jax, self._jax.numpy
        results = {result for _, result in carried}
        with_numbers = self._with_numbers(function, carried)

        def run(
            given: list[Any],
            entries: Any,
            numbers: Any,
            start: int,
            stop: int,
        ) -> Any:
            begin = [given[argument] for argument, _ in carried]

            def call(i: Any, state: list[Any]) -> Any:
                arguments = [*given, entries[i]]
                for (argument, _), x in zip(carried, state, strict=True):
                    arguments[argument] = x
                found = with_numbers(arguments, numbers[i])
                return [found[result] for _, result in carried], [
                    x for i, x in enumerate(found) if i not in results
                ]

            def body(i: Any, state: Any) -> Any:
                new, others = call(i, state[0])
                return new, [all_.at[i].set(x) for all_, x in zip(state[1], others, strict=True)]

            others = [
                numpy.zeros((len(entries), *x.shape), x.dtype)
                for x in jax.eval_shape(call, 0, begin)[1]
            ]
            return jax.lax.fori_loop(start, stop, body, (begin, others))

        compiled = jax.jit(run)
        # Compiled for each number of steps, not for each place.
        part = jax.jit(jax.lax.dynamic_slice_in_dim, static_argnums=2)

        def loop(
            given: list[Any],
            entries: Any,
            numbers: list[list[float]],
            start: int,
            stop: int,
        ) -> Any:
            new, others = compiled(
                given,
                entries,
                self._numbers(numbers, given, carried),
                start,
                stop,
            )
            return new, [part(x, start, stop - start) for x in others]

        return loop

    def synchronize(self) -> None:
        """Wait for every array that is still to be computed; what no one holds is not waited
        for.
        """
        self._jax.block_until_ready(self._jax.live_arrays())


def _import() -> ModuleType:
    try:
        import jax
    except ImportError as error:
        raise BackendError(
            f'jax cannot be imported ({error}); install it: pip install jax, or "jax[cuda12]" for an NVIDIA GPU'
        ) from error
    return jax  # type: ignore[no-any-return]


def _enable_x64(on: bool) -> Any:
    """Return the context in which a thread has 64-bit dtypes or not, which has moved in JAX 0.8."""
    try:
        from jax import enable_x64
    except ImportError:
        from jax.experimental import enable_x64
    return enable_x64(on)


def _narrowed(x: Any) -> Any:
    """Return 64-bit integers as 32-bit ones with the same values; refuse other values and
    dtypes.
    """
    short = {"float64": "float32", "complex128": "complex64"}.get(x.dtype.name)
    if short is not None:
        raise DTypeError(
            f"an array of {x.dtype} was given, which jax has only after {_SWITCH}: make that call "
            f"first, or take {short}, asarray(x, dtype=xp.{short})"
        )
    new = x.astype(f"{x.dtype.kind}4")
    if (new != x).any():
        raise DTypeError(
            f"an array of {x.dtype} was given, with values that {new.dtype} does not have; jax has "
            f"{x.dtype} only after {_SWITCH}: make that call first"
        )
    return new
