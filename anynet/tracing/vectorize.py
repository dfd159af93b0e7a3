"""The trace that evaluates a function at many points at once.

Its arrays have a leading axis that is hidden from the function. `Vectorizer` shifts the axes that
the function names, and calls each function of the library once for all points.
`anynet.tracing.vectorize_rules` has a rule for each function of the standard. A primitive without a
rule is evaluated by its reference.
"""

from collections.abc import Sequence
from typing import Any

from anynet.array import Array, array_namespace, is_array, unrecorded
from anynet.errors import DifferentiationError, NoRuleError
from anynet.tracing.row_perturbation import RowPerturbation
from anynet.tracing.standard import INDEXING
from anynet.tracing.trace import Primitive, Traced, next_level, shared, traced_namespace, wrap
from anynet.tracing.vectorize_rules import BATCHERS, TAKE_PERTURBATIONS, Batcher, Call

__all__ = ["RowPerturbation", "Vectorizer"]


class Vectorizer:
    """A trace over ``points`` evaluations: axis 0 of a value runs over the points."""

    batch_axes = 1
    # The library has one call for a sort or a product. Only tapes need the decomposition.
    keeps_decompositions = True

    def __init__(self, points: int) -> None:
        self.level = next_level()
        self.points = points

    def variable(self, values: Array | RowPerturbation) -> Traced:
        """Return a traced array that differs from point to point.

        The values are (points, …), or an array with the rows that change.
        """
        return Traced(unrecorded(values), self)

    def error(self, what: str) -> DifferentiationError:
        """Return the error for one value that is taken out of an array with many points."""
        return DifferentiationError(
            f"{what} would differ from point to point, because the function is evaluated at many "
            "points at once: use the functions of its namespace (where() for a choice), or call "
            "the function in a loop"
        )

    def apply(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate the primitive at all points."""
        rule = BATCHERS.get(step.name)
        if rule is not None:
            out = self._by_rule(rule, step, args, settings)
            if out is not NotImplemented:
                return self._traced(out)
        in_parts = (
            step.rule is not None and step.reference is not None and step.decomposition is None
        )
        if in_parts and any(map(_on_tape, args)):
            # The derivative of the reference may differ from the rule's, as at a kink.
            return self._by_own_rule(step, args, settings)
        if step.opaque and not step.vectorized:
            return self._point_by_point(step, args, settings)
        return self._by_parts(step, args, settings)

    def _by_parts(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate the decomposition or the reference. The functions in it have rules."""
        if step.decomposition is not None and not step.opaque:
            return step.decomposition(traced_namespace(args), *map(wrap, args), **settings)
        if step.reference is not None:
            return step.inline(args, settings)
        raise NoRuleError(
            f"{step.name!r} cannot be evaluated at many points at once: add a rule to "
            "anynet/tracing/vectorize_rules.py, or call the function in a loop"
        )

    def _by_own_rule(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate the primitive as one step of the tapes further out.

        So they use its rule, and not the derivative of its reference.
        """
        if step.own_rule and not step.opaque:
            raise NoRuleError(
                f"{step.name}: the result of vmap is differentiated, and this function with its "
                "own derivative takes a network: let it take arrays, or differentiate inside vmap"
            )
        values, batched = self._values(args)

        def begin(values: Sequence[Any]) -> tuple[Vectorizer, list[Any]]:
            batch = Vectorizer(self.points)
            return batch, [
                Traced(x, batch) if b else wrap(x) for x, b in zip(values, batched, strict=True)
            ]

        def reference(*values: Any, **settings: Any) -> Any:
            batch, own = begin(values)
            out = batch.apply(step, own, settings)
            return tuple(map(batch.value, out)) if isinstance(out, tuple) else batch.value(out)

        def rule(
            xp: Any,
            out: Any,
            *values: Any,
            **settings: Any,
        ) -> Any:
            batch, own = begin(values)

            def inside(x: Any) -> Any:
                return (
                    tuple(map(inside, x))
                    if isinstance(x, tuple)
                    else x
                    if x is None
                    else Traced(x, batch)
                )

            begun = shared(inside)
            assert step.rule is not None
            pullbacks = step.rule(traced_namespace(own), inside(out), *own, **settings)

            def through(
                pullback: Any,
                x: Any,
                b: bool,
            ) -> Any:
                def of_all(g: Any) -> Any:
                    c = pullback(begun(g))
                    if c is None:
                        return None
                    c = wrap(c)
                    c = batch.value(c if c.shape == x.shape else INDEXING["sum_to"](c, x.shape))
                    return c if b else array_namespace(c).sum(c, axis=0)

                return None if pullback is None else of_all

            several = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
            # Shorter than the arguments where the last ones are settings.
            return tuple(map(through, several, own, batched))

        # Under another name, by which no backend has a kernel.
        name = f"{step.name} at many points"
        out = Primitive(
            name,
            rule,
            reference,
            opaque=step.opaque,
            vectorized=step.vectorized,
            own_rule=step.own_rule,
        )(*values, **settings)
        return self._traced(out)

    def _traced(self, out: Any) -> Any:
        """Return the arrays of this trace for a result."""
        if isinstance(out, tuple):
            return tuple([Traced(x, self) for x in out])
        return Traced(out, self)

    def value(self, array: Array) -> Array:
        """Return the array at all points, (points, …)."""
        x = wrap(array)
        if x.trace is self:
            return x.value
        plain = x if x.trace is not None else x.value
        return array_namespace(plain).broadcast_to(plain, (self.points, *plain.shape))

    def _point_by_point(
        self,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        """Evaluate at the points one by one."""
        values, batched = self._values(args)
        found = []
        for i in range(self.points):
            at_point = [
                value[i, ...] if b else value for value, b in zip(values, batched, strict=True)
            ]
            out = step.evaluate(at_point, settings)[0]
            found.append(out if isinstance(out, tuple) else (out,))
        if not found:
            raise NoRuleError(
                f"{step.name}: a user's own code cannot be evaluated at zero points: pass one or "
                "more, or vectorized=True if the code takes traced arrays"
            )
        columns = [
            Traced(array_namespace(*column).stack(column), self)
            for column in zip(*found, strict=True)
        ]
        return tuple(columns) if isinstance(out, tuple) else columns[0]

    def _values(self, args: Sequence[Any], *, whole: bool = True) -> tuple[list[Any], list[bool]]:
        """Return the values of the arguments, and which of them differ from point to point."""
        batched = [type(arg) is Traced and arg.trace is self for arg in args]
        values = [
            arg.value if type(arg) is Traced and (arg.trace is self or arg.trace is None) else arg
            for arg in args
        ]
        if whole:
            values = [
                value.whole() if type(value) is RowPerturbation else value for value in values
            ]
        if any(type(value) is Traced for value in values):
            values = [wrap(value) if is_array(value) else value for value in values]
        return values, batched

    def _by_rule(
        self,
        rule: Batcher,
        step: Primitive[..., Any],
        args: Sequence[Any],
        settings: dict[str, Any],
    ) -> Any:
        values, batched = self._values(args, whole=step.name not in TAKE_PERTURBATIONS)

        def function(*values: Any, **settings: Any) -> Any:
            return step.evaluate(values, settings)[0]

        x = next(v for v, b in zip(values, batched, strict=True) if b)
        return rule(Call(array_namespace(x), function, values, batched), **settings)


def _on_tape(x: Any) -> bool:
    """Return whether a tape records an array, or the value of the array further out."""
    while type(x) is Traced:
        if x.trace is not None and not x.trace.keeps_decompositions:
            return True
        x = x.value
    return False
