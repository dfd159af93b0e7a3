"""The compiler target of JAX: XLA compiles steps and loops."""

from collections.abc import Callable
from typing import Any

from anynet.array import Array
from anynet.backend import Backend, get_backend
from anynet.compiler.device_graph import ArrayFunction, Carry
from anynet.compiler.target import CompilerTarget
from anynet.kernel import Function


class JaxTarget(CompilerTarget):
    """XLA on one device, or on those of a mesh."""

    has_loop = True

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        import jax

        self._jax: Any = jax

    def compile(
        self, function: ArrayFunction, carry: list[Carry]
    ) -> Callable[[list[Array], list[float]], list[Array]]:
        """Return the function, compiled by XLA. All scalars are one array, which stays on the
        device until they change.
        """
        jax, device = self._jax, self.backend.device
        on_mesh = not isinstance(device, jax.Device)
        places: list[Any] = []
        compiled = jax.jit(_on_vector(function, carry, places))
        known: list[float] | None = None
        vector: Any = None

        def run(arrays: list[Array], scalars: list[float]) -> Any:
            nonlocal known, vector
            if on_mesh and not places:
                places[:] = _places(arrays, carry)
            if scalars != known:
                # An array on the host that only one call needs is faster than one on the device.
                known, vector = scalars, _host_vector(scalars, arrays, carry)
            elif not (on_mesh or isinstance(vector, jax.Array)):
                # Not committed to the device, because XLA would compile again for such an array.
                with jax.default_device(device):
                    vector = jax.device_put(vector)
            return compiled(arrays, vector)

        return run

    def calls_python(self, function: Function, arguments: list[Array]) -> bool:
        """Return whether JAX can trace the function, because XLA calls no Python.

        Errors of the function itself are raised.
        """
        try:
            self._jax.eval_shape(function, *arguments)
        except self._jax.errors.JAXTypeError:
            # The function needs values.
            return False
        return True

    def loop(self, function: ArrayFunction, carry: list[Carry]) -> Function:
        """Return a loop of XLA's."""
        jax = self._jax
        on_mesh = not isinstance(self.backend.device, jax.Device)
        carried = [result for _, result in carry]
        places: list[Any] = []
        on_vector = _on_vector(function, carry, places)

        def run(
            arrays: list[Any],
            entries: Any,
            rows: Any,
            start: int,
            stop: int,
        ) -> Any:
            def call(i: Any, state: list[Any]) -> tuple[list[Any], list[Any]]:
                arguments = [*arrays, entries[i]]
                for (argument, _), x in zip(carry, state, strict=True):
                    arguments[argument] = x
                results = on_vector(arguments, rows[i])
                others = [x for j, x in enumerate(results) if j not in carried]
                return [results[j] for j in carried], others

            def body(i: Any, state: tuple[list[Any], list[Any]]) -> Any:
                new, others = call(i, state[0])
                pairs = zip(state[1], others, strict=True)
                return new, [stacked.at[i].set(x) for stacked, x in pairs]

            begin = [arrays[argument] for argument, _ in carry]
            shapes = jax.eval_shape(call, 0, begin)[1]
            stacked = [jax.numpy.zeros((len(entries), *x.shape), x.dtype) for x in shapes]
            return jax.lax.fori_loop(start, stop, body, (begin, stacked))

        compiled = jax.jit(run)
        # Compiled once for each number of steps, wherever they start.
        part = jax.jit(jax.lax.dynamic_slice_in_dim, static_argnums=2)

        def loop(
            arrays: list[Array],
            entries: Array,
            scalars: list[list[float]],
            start: int,
            stop: int,
        ) -> Any:
            if on_mesh and not places:
                places[:] = _places(arrays, carry)
            rows = _host_vector(scalars, arrays, carry)
            new, stacked = compiled(arrays, entries, rows, start, stop)
            return new, [part(x, start, stop - start) for x in stacked]

        return loop


def _host_vector(
    scalars: list[Any],
    arrays: list[Any],
    carry: list[Carry],
) -> Any:
    """Return scalars as an array on the host, of the precision of the carried arrays."""
    # Scalars of 64 bits would make parameters of 64 bits.
    wide = any(arrays[argument].dtype in ("float64", "complex128") for argument, _ in carry)
    return get_backend("numpy").xp.asarray(scalars, dtype="float64" if wide else "float32")


def _places(arrays: list[Any], carry: list[Carry]) -> list[Any]:
    """Return how each carried array lies on the devices of a mesh."""
    return [arrays[argument].sharding for argument, _ in carry]


def _on_vector(
    function: ArrayFunction,
    carry: list[Carry],
    places: list[Any],
) -> Callable[[list[Any], Any], list[Any]]:
    """Return the function with its scalars as one array. The carried results have the dtypes that
    they would have with Python scalars.

    Args:
        function: the function.
        carry: its carried results.
        places: how these lie on a mesh when the function is traced. XLA would choose otherwise.

    """

    def run(arrays: list[Any], vector: Any) -> list[Any]:
        results: list[Any] = function(*arrays, *vector)
        for argument, result in carry:
            results[result] = results[result].astype(arrays[argument].dtype)
        for (_, result), place in zip(carry, places, strict=False):
            results[result] = _constrained(results[result], place)
        return results

    return run


def _constrained(x: Any, place: Any) -> Any:
    from jax.lax import with_sharding_constraint

    return with_sharding_constraint(x, place)
