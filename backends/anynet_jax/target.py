"""The compiler target of JAX: XLA compiles steps and loops."""

from typing import Any

from anynet.backend import Backend, get_backend
from anynet.compiler.device_graph import Carry
from anynet.compiler.target import CompilerTarget


class JaxTarget(CompilerTarget):
    """XLA on one device, or on those of a mesh."""

    has_loop = True

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        import jax

        self._jax: Any = jax

    def compile(self, function: Any, carry: list[Carry]) -> Any:
        """Let XLA compile it; numbers go to the device together, and stay there until they are
        others.
        """
        compiled = self._jax.jit(self._with_numbers(function, carry))
        on_mesh = not isinstance(self.backend.device, self._jax.Device)
        known: list[float] | None = None
        there: Any = None

        def run(arrays: list[Any], numbers: list[float]) -> Any:
            nonlocal known, there
            if numbers != known:
                # Those of one call alone go there with the call, which is quicker.
                known, there = (numbers, self._numbers(numbers, arrays, carry))
            elif not (on_mesh or isinstance(there, self._jax.Array)):
                # Put there as the default only: for an array that is to stay there, XLA would
                # compile it once more.
                with self._jax.default_device(self.backend.device):
                    there = self._jax.device_put(there)
            return compiled(arrays, there)

        return run

    def calls_python(self, function: Any, arguments: list[Any]) -> bool:
        """Return whether JAX can trace the function, because XLA calls no Python.

        Errors of the function itself are raised.
        """
        try:
            self._jax.eval_shape(function, *arguments)
        except self._jax.errors.JAXTypeError:
            # The function wants values.
            return False
        return True

    def _numbers(self, numbers: Any, arrays: list[Any], carry: list[Carry]) -> Any:
        """Return numbers as an array on the host, in the dtype that they meet what is carry
        in.
        """
        # Numbers of 64 bits would make parameters of 64 bits.
        wide = any(arrays[argument].dtype in ("float64", "complex128") for argument, _ in carry)
        return get_backend("numpy").xp.asarray(numbers, dtype="float64" if wide else "float32")

    def _with_numbers(self, function: Any, carry: list[Carry]) -> Any:
        """Return the function with its numbers as one array; dtypes are what they are beside
        numbers of Python's.
        """

        def run(arrays: list[Any], numbers: Any) -> Any:
            found = function(*arrays, *numbers)
            for argument, result in carry:
                found[result] = found[result].astype(arrays[argument].dtype)
            return found

        return run

    def loop(self, function: Any, carry: list[Carry]) -> Any:
        """Loop as XLA does, which needs no Python between the steps."""
        jax, numpy = self._jax, self._jax.numpy
        results = {result for _, result in carry}
        with_numbers = self._with_numbers(function, carry)

        def run(given: list[Any], entries: Any, numbers: Any, start: int, stop: int) -> Any:
            begin = [given[argument] for argument, _ in carry]

            def call(i: Any, state: list[Any]) -> Any:
                arguments = [*given, entries[i]]
                for (argument, _), x in zip(carry, state, strict=True):
                    arguments[argument] = x
                found = with_numbers(arguments, numbers[i])
                return [found[result] for _, result in carry], [
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
            given: list[Any], entries: Any, numbers: list[list[float]], start: int, stop: int
        ) -> Any:
            new, others = compiled(
                given, entries, self._numbers(numbers, given, carry), start, stop
            )
            return new, [part(x, start, stop - start) for x in others]

        return loop
