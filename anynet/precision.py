"""Mixed precision: computation in a 16-bit dtype, with parameters and sums in float32."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from anynet import tree
from anynet.arguments import describe, whole_number
from anynet.array import (
    Array,
    DType,
    Namespace,
    array_namespace,
    device,
    dtype_name,
    is_array,
    number,
    widened,
)
from anynet.callables import check_callable, named_like
from anynet.errors import (
    ArgumentError,
    ArgumentTypeError,
    DifferentiationError,
    DTypeError,
    PathError,
)
from anynet.state import check_state
from anynet.tracing.dynamic_scalars import recorder_of
from anynet.tracing.mixed import MixedTrace
from anynet.tracing.trace import Traced

__all__ = ["MixedPrecision"]

R = TypeVar("R")

_DYNAMIC = ("initial_scale", "growth_factor", "backoff_factor", "growth_interval")
_DTYPES = ("bfloat16", "float16")


class MixedPrecision:
    """A policy of dtypes: products in a 16-bit dtype, everything that adds up in float32.

    Parameters, gradients, buffers and the state of the optimizer stay float32. Matrix products and
    convolutions are computed in the narrow dtype, and activations keep it. Statistics, softmax,
    losses and sums are computed in float32. Pass the policy to `anynet.fit`,
    `anynet.training.training_step` or `anynet.value_and_grad`. Arrays of float64 stay float64.

    Small gradients vanish in float16. With loss scaling the backward pass starts with the scale in
    place of 1, and the gradients are divided by it. A dynamic scale is halved when a gradient is
    infinite or NaN, and `update` skips that step. The scale is doubled after ``growth_interval``
    steps without one.

    Args:
        dtype: "bfloat16", which has the range of float32, or "float16", which has more digits.
        loss_scale: "dynamic", a fixed scale above 0, or None for no scale. The default "auto" is
            "dynamic" for float16 and None for bfloat16.
        keep: paths of parameters and modules of the network that stay float32.
        initial_scale: the first scale, if it is dynamic.
        growth_factor: the scale grows by this factor, above 1.
        backoff_factor: the scale shrinks by this factor, above 0 and below 1.
        growth_interval: the number of steps with finite gradients before the scale grows.

    Raises:
        ArgumentError: another dtype, or a number out of range.
        DTypeError: when it is used, the library lacks the dtype, or a trained array is not float32.
        PathError: when it is used, nothing is at a path in ``keep``.

    >>> net = layers.Sequential(layers.Linear(2, 1), seed=0, backend="numpy")
    >>> loss = lambda net, x: (net(x) ** 2).mean()
    >>> policy = anynet.MixedPrecision("float16", initial_scale=1024.0)
    >>> step = anynet.value_and_grad(loss, precision=policy)
    >>> value, grads = step(net, np.ones((4, 2), "float32"))
    >>> value.dtype, grads[0].weight.dtype
    (dtype('float32'), dtype('float32'))

    Source: Micikevicius et al., Mixed precision training, ICLR 2018; PyTorch's autocast and
    GradScaler.

    """

    tree_node = True

    def __init__(
        self,
        dtype: str = "bfloat16",
        *,
        loss_scale: float | str | None = "auto",
        keep: Iterable[str] = (),
        initial_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        if dtype not in _DTYPES:
            raise ArgumentError(f"dtype is {describe(dtype)}: wanted 'bfloat16' or 'float16'")
        if loss_scale == "auto":
            loss_scale = "dynamic" if dtype == "float16" else None
        self.dtype = dtype
        self.loss_scale = _checked_scale(loss_scale)
        self.keep = _checked_paths(keep)
        self.initial_scale = _in_range("initial_scale", initial_scale, 0.0, math.inf)
        self.growth_factor = _in_range("growth_factor", growth_factor, 1.0, math.inf)
        self.backoff_factor = _in_range("backoff_factor", backoff_factor, 0.0, 1.0)
        self.growth_interval = whole_number("growth_interval", growth_interval, 1)
        # Arrays on the device as soon as there are gradients.
        self._scale: Any = self.initial_scale
        self._finite_steps: Any = 0
        self._skipped: Any = 0

    @property
    def is_dynamic(self) -> bool:
        """Whether the loss scale follows the gradients."""
        return self.loss_scale == "dynamic"

    @property
    def scale(self) -> float:
        """The loss scale of the next step. Reading a dynamic one waits for the device."""
        if self.is_dynamic:
            return float(self._scale)
        return 1.0 if self.loss_scale is None else float(self.loss_scale)

    @property
    def skipped(self) -> int:
        """How many gradients were not finite. Reading it waits for the device."""
        return int(self._skipped)

    def apply(self, f: Callable[..., R]) -> Callable[..., R]:
        """Return a function that computes ``f`` in mixed precision. Its results are float32.

        Args:
            f: a function of trees of arrays, or a network.

        >>> net = layers.Sequential(layers.Linear(2, 1), seed=0, backend="numpy")
        >>> anynet.MixedPrecision("float16").apply(net)(np.ones((4, 2), "float32")).dtype
        dtype('float32')

        """
        check_callable(f)
        # A network is an argument of its own call.
        bound = (f,) if tree.is_node(f) else ()
        function: Any = type(f).__call__ if bound else f

        @named_like(f)
        def mixed(*args: Any, **named: Any) -> Any:
            return self._apply(function, (*bound, *args), named)

        return mixed

    def _apply(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        arguments = (args, named)
        like = next((x for _, x in tree.leaves(arguments)), None)
        if like is None:
            return function(*args, **named)
        trace = MixedTrace(self._dtype_of(array_namespace(like)))
        kept = dict.fromkeys(self._kept(arguments), True) if self.keep else {}
        return tree.map(widened, trace.call(function, args, named, kept))

    def _dtype_of(self, xp: Namespace) -> DType:
        library: Any = getattr(xp, "plain_namespace", xp)
        dtype: DType | None = getattr(library, self.dtype, None)
        if dtype is None:
            name = library.__name__.rpartition("compat.")[2]
            others = [x for x in _DTYPES if hasattr(library, x)]
            remedy = f"dtype={others[0]!r}" if others else "float32, which is precision=None"
            raise DTypeError(
                f"{name} has no {self.dtype}: use {remedy}, or another array library, such as "
                "get_backend('torch')"
            )
        return dtype

    def _kept(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> set[int]:
        """Return the identities of the arrays that stay float32."""
        kept: set[int] = set()
        missing = dict.fromkeys(self.keep)
        for argument in (*arguments[0], *arguments[1].values()):
            arrays = dict(tree.leaves(argument))
            places = {path: path for path in arrays} | tree.ties(argument)
            for path, first in places.items():
                for wanted in self.keep:
                    if path == wanted or path.startswith(f"{wanted}."):
                        kept.add(id(arrays[first]))
                        missing.pop(wanted, None)
        if missing:
            raise PathError(
                f"keep has {', '.join(map(repr, missing))}, where there is no parameter: wanted "
                "paths such as those of net.parameters()"
            )
        return kept

    def seed(self, loss: Array) -> Array | None:
        """Return the cotangent that the backward pass starts with, None for 1."""
        if self.loss_scale is None:
            return None
        xp = array_namespace(loss)
        if not self.is_dynamic:
            return xp.full((), self.loss_scale, dtype=loss.dtype, device=device(loss))
        self._begin(loss)
        return xp.astype(self._scale, loss.dtype, copy=False)

    def unscale(self, gradients: Sequence[Array | None]) -> tuple[list[Array | None], Array | None]:
        """Return the gradients without the loss scale, and whether all of them are finite.

        A dynamic scale is adjusted. For any other scale the second result is None.

        Raises:
            DTypeError: a gradient is not float32.
            DifferentiationError: the scale is dynamic, and another transformation is outside.

        """
        for g in gradients:
            if g is not None and dtype_name(g.dtype) != "float32":
                raise DTypeError(
                    f"MixedPrecision was given trained arrays of {dtype_name(g.dtype)}: wanted "
                    "float32, as net.initialize(seed=0), or precision=None"
                )
        if self.loss_scale is None:
            return [*gradients], None
        scale: Any = self._scale if self.is_dynamic else self.loss_scale
        unscaled = [None if g is None else g * (1 / scale) for g in gradients]
        if not self.is_dynamic:
            return unscaled, None
        finite = _all_finite([g for g in unscaled if g is not None])
        if type(finite) is Traced and recorder_of(finite) is None:
            raise DifferentiationError(
                "a dynamic loss scale inside vmap or another derivative would differ from point to "
                "point: use MixedPrecision('bfloat16'), or a number as loss_scale"
            )
        self._adjust(finite)
        return unscaled, finite

    def update(
        self,
        optimizer: Any,
        net: Any,
        grads: Any,
    ) -> None:
        """Update the network, unless the scale is dynamic and a gradient is infinite or NaN.

        A step that is skipped leaves the parameters, the state of the optimizer and its count of
        updates as they are. Outside of a compiled step, this waits for the gradients.

        Args:
            optimizer: an object with update(net, grads).
            net: a network, or another tree of arrays.
            grads: a tree of the same structure, from `anynet.value_and_grad`.

        >>> net = {"w": np.ones(2, "float32")}
        >>> optimizer, policy = optimizers.SGD(0.1), anynet.MixedPrecision("float16")
        >>> policy.update(optimizer, net, {"w": np.asarray([np.inf, 1.0], "float32")})
        >>> net["w"], optimizer.updates
        (array([1., 1.], dtype=float32), 0)

        """
        gradients = [g for _, g in tree.leaves(grads)] if self.is_dynamic else []
        if not gradients:
            optimizer.update(net, grads)
            return
        finite = _all_finite(gradients)
        recorder = recorder_of(finite)
        if recorder is not None:
            if recorder.makes_update(finite):
                with recorder.advancing_if(finite):
                    _update_where(finite, optimizer, net, grads)
        elif bool(finite):
            optimizer.update(net, grads)

    def state_dict(self) -> dict[str, Any]:
        """Return the loss scale and its counters. Without a dynamic scale it is empty.

        >>> anynet.MixedPrecision("float16").state_dict()
        {'scale': 65536.0, 'finite_steps': 0, 'skipped': 0}

        """
        if not self.is_dynamic:
            return {}
        return {
            "scale": self.scale,
            "finite_steps": int(self._finite_steps),
            "skipped": self.skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the loss scale and the counters of a `state_dict`.

        Raises:
            ArgumentError: the state is that of another policy. Nothing has changed then.

        """
        check_state(repr(self), state, self.state_dict())
        if not self.is_dynamic:
            return
        scale = _in_range("scale", state["scale"], 0.0, math.inf)
        finite_steps = whole_number("finite_steps", state["finite_steps"], 0)
        skipped = whole_number("skipped", state["skipped"], 0)
        self._scale, self._finite_steps, self._skipped = scale, finite_steps, skipped

    def _begin(self, like: Array) -> None:
        """Put the state of a dynamic scale on the device of an array."""
        xp, place = array_namespace(like), device(like)
        current = self._scale
        if is_array(current) and _library(current) is _library(like) and device(current) == place:
            return
        scale, finite_steps, skipped = self.scale, int(self._finite_steps), self.skipped
        self._scale = xp.asarray(scale, dtype=xp.float32, device=place)
        self._finite_steps = xp.asarray(finite_steps, dtype=xp.int32, device=place)
        self._skipped = xp.asarray(skipped, dtype=xp.int32, device=place)

    def _adjust(self, finite: Array) -> None:
        """Adjust the scale after a step, without waiting for the device."""
        xp = array_namespace(self._scale, finite)
        scale, steps = self._scale, self._finite_steps + 1
        is_due = steps >= self.growth_interval
        grown = scale * self.growth_factor
        grown = xp.where(xp.logical_and(is_due, xp.isfinite(grown)), grown, scale)
        counts = xp.logical_and(finite, xp.logical_not(is_due))
        # where() returns arrays, and operators may return scalars, which are settings of a step.
        self._scale = xp.where(finite, grown, scale * self.backoff_factor)
        self._finite_steps = xp.where(counts, steps, xp.zeros_like(steps))
        self._skipped = xp.where(finite, self._skipped, self._skipped + 1)

    def __repr__(self) -> str:
        settings = [f"{self.dtype!r}", f"loss_scale={self.loss_scale!r}"]
        if self.keep:
            settings.append(f"keep={self.keep!r}")
        if self.is_dynamic:
            settings += [f"{name}={getattr(self, name)!r}" for name in _DYNAMIC]
        return f"MixedPrecision({', '.join(settings)})"


def check_precision(precision: Any) -> None:
    """Check that a precision is a policy or None.

    Raises:
        ArgumentTypeError: it is something else.

    """
    if precision is not None and not isinstance(precision, MixedPrecision):
        raise ArgumentTypeError(
            f"precision is {describe(precision)}: wanted anynet.MixedPrecision('bfloat16') or None"
        )


def _library(x: Array) -> Any:
    xp = array_namespace(x)
    return getattr(xp, "plain_namespace", xp)


def _all_finite(arrays: Sequence[Array]) -> Array:
    """Return whether all elements of all arrays are finite, as an array of no axes."""
    flags: Iterator[Array] = (
        array_namespace(x).all(array_namespace(x).isfinite(x)) for x in arrays
    )
    finite = next(flags)
    for flag in flags:
        finite = array_namespace(finite, flag).logical_and(finite, flag)
    return finite


def _update_where(
    finite: Array,
    optimizer: Any,
    net: Any,
    grads: Any,
) -> None:
    """Update, and then choose the old arrays where the gradients are not finite.

    A slot that begins now has no old array. Its recording is not used again.
    """
    xp = array_namespace(finite)
    if hasattr(optimizer, "begin"):
        optimizer.begin(net, grads)
    before = [dict(tree.leaves(root)) for root in (net, optimizer)]
    optimizer.update(net, grads)
    for root, arrays in zip((net, optimizer), before, strict=True):
        paths = [path for path, _ in tree.leaves(root)]
        for path, (holder, name, new, _) in zip(paths, tree.pairs(root, root), strict=True):
            old = arrays.get(path, new)
            if old is not new:
                holder[name] = xp.where(finite, new, old)


def _checked_scale(value: Any) -> float | str | None:
    if value is None or value == "dynamic":
        return value  # type: ignore[no-any-return]
    if isinstance(value, str | bool):
        raise ArgumentError(f"loss_scale is {value!r}: wanted 'dynamic', a number above 0, or None")
    return _in_range("loss_scale", value, 0.0, math.inf)


def _checked_paths(keep: Any) -> tuple[str, ...]:
    if isinstance(keep, str) or not all(isinstance(path, str) for path in keep):
        raise ArgumentTypeError(
            f"keep is {describe(keep)}: wanted a list of paths, such as ['layers.2']"
        )
    return tuple(keep)


def _in_range(
    name: str,
    value: Any,
    low: float,
    high: float,
) -> float:
    value = number(name, value)
    if not low < value < high:
        bound = "" if high == math.inf else f" and below {high:g}"
        raise ArgumentError(f"{name} is {value!r}: wanted a finite number above {low:g}{bound}")
    return float(value)
