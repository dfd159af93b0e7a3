"""Muon: momentum with orthogonal steps."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

from anynet import tree
from anynet.arguments import describe
from anynet.array import Array, array_namespace
from anynet.errors import ArgumentError, ArgumentTypeError
from anynet.optimizers.adam import AdamW
from anynet.optimizers.base import Optimizer, checked_rate
from anynet.optimizers.checks import (
    below_one,
    check_real,
    flag,
    not_negative,
    plain_number,
    positive_integer,
)
from anynet.optimizers.groups import Part, check_optimizer, prepare_parts, split
from anynet.optimizers.protocol import begin, check_schedule
from anynet.optimizers.schedules import Schedule
from anynet.primitives.update import Scalars, Slots
from anynet.state import State, check_state, load_states, state_of

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


def _three_numbers(name: str, value: Any) -> Any:
    if not isinstance(value, tuple | list) or len(value) != 3:
        raise ArgumentTypeError(f"{name} is {describe(value)}: wanted three numbers")
    return tuple([plain_number(f"{name}[{i}]", x) for i, x in enumerate(value)])


def _adjustment(name: str, value: Any) -> Any:
    if value not in _ADJUSTMENTS:
        raise ArgumentError(
            f"{name} is {value!r:.60}: wanted 'original' or 'match_rms_adamw', or None for the "
            "first of them"
        )
    return value


class Muon(Optimizer):
    """Descent along the momentum, of which each matrix is replaced by an orthogonal one near it.

    mean ← momentum · mean + (1 - momentum) · gradient. With ``nesterov`` the step is along momentum
    · mean + (1 - momentum) · gradient, else along the mean. All singular values of the step become
    about 1, by ``ns_steps`` iterations X ← a · X + (b · A + c · A²) X with A = X Xᵀ. Then parameter
    ← (1 - learning_rate · weight_decay) · parameter - learning_rate · ratio · step.

    This holds for parameters with two axes. ``rest`` updates all others: biases, the weights of
    norms, and kernels of convolutions. Embeddings and the last layer have two axes, and train
    better with `AdamW`. `Groups` gives it to them.

    The ratio is √max(1, outputs / inputs) by default, and 0.2 · √max(outputs, inputs) with
    ``adjust_lr_fn="match_rms_adamw"``, which fits the learning rates of `AdamW`. A weight here is
    (inputs, outputs), so its ratio is that of PyTorch's transposed weight. PyTorch iterates in
    bfloat16, and this in the dtype of the parameter, or float32 if that is narrower.

    Args:
        learning_rate: a number above 0, or a schedule from `anynet.optimizers.schedules`.
        weight_decay: 0 or more.
        momentum: 0 or more and below 1.
        nesterov: use Nesterov's momentum.
        ns_coefficients: a, b and c.
        eps: 0 or more. The norm of the step is at least eps when it is divided by it.
        ns_steps: 1 or more.
        adjust_lr_fn: "original" or "match_rms_adamw", None for the first of them.
        rest: the optimizer of all other parameters, None for `AdamW` with the learning rate and the
            weight decay of Muon. It has its own learning rate.

    Raises:
        DTypeError: a parameter is complex (raised by ``update``).

    Source: PyTorch's Muon; Jordan et al., Muon: an optimizer for hidden layers in neural networks,
    2024; Liu et al., Muon is scalable for LLM training, 2025, for ``"match_rms_adamw"``.

    >>> import numpy as np
    >>> from anynet.optimizers import Muon
    >>> net = {"w": np.zeros((2, 2)), "b": np.zeros(2)}
    >>> optimizer = Muon(0.1, ns_coefficients=(1.5, -0.5, 0.0), ns_steps=20)
    >>> optimizer.update(net, {"w": np.array([[0.0, -3.0], [0.5, 0.0]]), "b": np.ones(2)})
    >>> np.round(net["w"], 3) + 0.0
    array([[ 0. ,  0.1],
           [-0.1,  0. ]])

    """

    SLOTS = ("mean",)
    SCALARS = ("rate", "decay")
    CHECKS: ClassVar = {
        "weight_decay": not_negative,
        "momentum": below_one,
        "nesterov": flag,
        "ns_coefficients": _three_numbers,
        "eps": not_negative,
        "ns_steps": positive_integer,
        "adjust_lr_fn": _adjustment,
        "rest": check_optimizer,
    }

    _adamw: AdamW

    def __init__(
        self,
        learning_rate: float | Schedule = 1e-3,
        *,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        rest: Any = None,
    ) -> None:
        super().__init__(learning_rate)
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.nesterov = nesterov
        self.ns_coefficients = ns_coefficients
        self.eps = eps
        self.ns_steps = ns_steps
        self.adjust_lr_fn = adjust_lr_fn
        self.rest = rest
        self._adamw = AdamW(learning_rate, weight_decay=self.weight_decay)

    @property
    def learning_rate(self) -> float | Schedule:
        """A number above 0, or a schedule. A new one takes effect at the next update."""
        return self._learning_rate.value  # type: ignore[no-any-return]

    @learning_rate.setter
    def learning_rate(self, value: float | Schedule) -> None:
        self._learning_rate.value = checked_rate(value)
        self._adamw.learning_rate = value

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "weight_decay" and "_adamw" in vars(self):
            self._adamw.weight_decay = self.weight_decay

    def scalars(self, rate: float, step: int) -> Scalars:
        """Return the rate, and the factor of the parameter."""
        return rate, 1 - rate * self.weight_decay

    def apply(
        self,
        parameter: Array,
        gradient: Array,
        slots: Slots,
        scalars: Scalars,
    ) -> tuple[Array, Slots]:
        """Return the new parameter and the new mean."""
        check_real(self, parameter)
        (rate, decay), (mean,) = scalars, slots
        mean = self.momentum * mean + (1 - self.momentum) * gradient
        along = mean
        if self.nesterov:
            along = self.momentum * mean + (1 - self.momentum) * gradient
        step = self._ratio(parameter) * self._orthogonal(along)
        return decay * parameter - rate * step, (mean,)

    def _orthogonal(self, x: Array) -> Array:
        """Return a matrix with nearly the same singular vectors, and singular values of about 1."""
        a, b, c = self.ns_coefficients
        xp = array_namespace(x)
        rows, columns = x.shape
        if rows > columns:
            x = x.mT
        norm = xp.sqrt(xp.sum(x * x))
        x = x / xp.maximum(norm, xp.full_like(norm, self.eps))
        for _ in range(self.ns_steps):
            gram = x @ x.mT
            x = a * x + (b * gram + c * (gram @ gram)) @ x
        return x.mT if rows > columns else x

    def _ratio(self, parameter: Array) -> float:
        """Return the factor of the learning rate for the shape of a matrix."""
        inputs, outputs = parameter.shape
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(inputs, outputs))
        return math.sqrt(max(1.0, outputs / max(inputs, 1)))

    def begin(self, net: Any, grads: Any) -> None:
        """Create the state of the parameters that have gradients, see `Optimizer.begin`."""
        for optimizer, part in self._parts(net, grads):
            begin(optimizer, net, part)

    def _prepare(self, net: Any, grads: Any) -> Callable[[], None]:
        return prepare_parts(net, self._parts(net, grads))

    def _parts(self, net: Any, grads: Any) -> list[Part]:
        pairs = tree.pairs(net, grads)
        gradients = [gradient for *_, gradient in pairs]
        numbers = [0 if parameter.ndim == 2 else 1 for _, _, parameter, _ in pairs]
        return split(net, gradients, numbers, [super(), self._others()])

    def check_schedule(self, calls: int) -> None:
        """Raise an error if a schedule ends before this many further calls of `update`.

        Args:
            calls: 1 or more.

        Raises:
            ArgumentError: a schedule has no rate for the last of the calls.

        """
        super().check_schedule(calls)
        check_schedule(self._others(), calls)

    def _others(self) -> Any:
        """Return the optimizer of the other parameters."""
        return self._adamw if self.rest is None else self.rest

    def state_dict(self) -> State:
        """Return the state of the matrices as that of any optimizer, and that of the rest."""
        return {**super().state_dict(), "rest": state_of(self._others())}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state.

        Args:
            state: the result of `state_dict` of Muon with the same settings.

        Raises:
            ArgumentError: it is another optimizer's state. Nothing has changed then.

        """
        check_state("Muon", state, ("rest",), state)
        own = {name: value for name, value in state.items() if name != "rest"}
        load_states([(super(), own), (self._others(), state["rest"])])
