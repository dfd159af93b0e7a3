"""The JAX backend: arrays that never change, on a CPU, GPU or TPU, and steps that can be compiled by jax.jit."""

from typing import Any

from anynet.array import is_narrow
from anynet.backend import Backend, get_backend
from anynet.errors import BackendError
from anynet_jax import images, kernels


class JaxBackend(Backend):
    """JAX on ``cpu``, ``gpu``, ``tpu``, or one of several, as ``gpu:1``; JAX's own first choice unless told.

    Opening it switches JAX's 64-bit numbers on, which gradient checks need; networks are float32 all the same.
    """

    kernels = kernels.KERNELS | images.KERNELS

    def __init__(self, device: str = "") -> None:
        try:
            import jax
        except ImportError as error:
            raise BackendError(
                f'jax cannot be imported ({error}); install it: pip install jax, or "jax[cuda12]" for an NVIDIA GPU'
            ) from error
        jax.config.update("jax_enable_x64", True)
        self._jax = jax
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

    def from_host(self, obj: Any) -> Any:
        """Copy to the device, by way of NumPy, which knows every buffer."""
        x = get_backend("numpy").from_host(obj)
        return self._jax.device_put(x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("=")), self.device)

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
        """Let XLA compile it; numbers go to the device together, and stay there until they are others."""
        compiled, put = self._jax.jit(self._with_numbers(function, carried)), self._jax.device_put
        known: list[float] | None = None
        there: Any = None

        def run(arrays: list[Any], numbers: list[float]) -> Any:
            nonlocal known, there
            if numbers != known:
                # Those of one call alone go there with the call, which is quicker.
                known, there = numbers, self._numbers(numbers, arrays, carried)
            elif not isinstance(there, self._jax.Array):
                there = put(there, self.device)
            return compiled(arrays, there)

        return run

    def calls_python(self, function: Any, arguments: list[Any]) -> bool:
        """Try: XLA calls no Python, but JAX can trace what is its own code."""
        try:
            self._jax.eval_shape(function, *arguments)
        except Exception:
            return False
        return True

    def _numbers(self, numbers: Any, arrays: list[Any], carried: list[tuple[int, int]]) -> Any:
        """Return numbers as an array on the host, in the dtype that they meet what is carried in."""
        # Numbers of 64 bits would make parameters of 64 bits.
        wide = any(arrays[argument].dtype == "float64" for argument, _ in carried)
        return get_backend("numpy").xp.asarray(numbers, dtype="float64" if wide else "float32")

    def _with_numbers(self, function: Any, carried: list[tuple[int, int]]) -> Any:
        """Return the function with its numbers as one array; dtypes are what they are beside numbers of Python's."""

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

        def run(given: list[Any], entries: Any, numbers: Any, start: int, stop: int) -> Any:
            begin = [given[argument] for argument, _ in carried]

            def call(i: Any, state: list[Any]) -> Any:
                arguments = [*given, entries[i]]
                for (argument, _), x in zip(carried, state, strict=True):
                    arguments[argument] = x
                found = with_numbers(arguments, numbers[i])
                return [found[result] for _, result in carried], [x for i, x in enumerate(found) if i not in results]

            def body(i: Any, state: Any) -> Any:
                new, others = call(i, state[0])
                return new, [all_.at[i].set(x) for all_, x in zip(state[1], others, strict=True)]

            others = [numpy.zeros((len(entries), *x.shape), x.dtype) for x in jax.eval_shape(call, 0, begin)[1]]
            return jax.lax.fori_loop(start, stop, body, (begin, others))

        compiled = jax.jit(run)
        # Compiled for each number of steps, not for each place.
        part = jax.jit(jax.lax.dynamic_slice_in_dim, static_argnums=2)

        def loop(given: list[Any], entries: Any, numbers: list[list[float]], start: int, stop: int) -> Any:
            new, others = compiled(given, entries, self._numbers(numbers, given, carried), start, stop)
            return new, [part(x, start, stop - start) for x in others]

        return loop

    def synchronize(self) -> None:
        """Wait for every array that is still to be computed; what no one holds is not waited for."""
        self._jax.block_until_ready(self._jax.live_arrays())
