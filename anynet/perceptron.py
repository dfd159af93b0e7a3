"""The perceptron: gates from weights and a bias, and the rule by which it learns them.

Source: Rosenblatt, The perceptron, Psychological Review, 1958; Deep Learning from Scratch, chapter
2.
"""

from anynet.array import (
    Array,
    array_namespace,
    check_floating,
    device,
    number,
)
from anynet.errors import AnynetError, ArgumentError, DataError
from anynet.functions import step
from anynet.layers import Module

__all__ = [
    "GATES",
    "NotSeparableError",
    "Perceptron",
    "gate",
    "learn",
    "xor",
]

#: Weights and bias of the gates that one perceptron can do (Deep Learning from Scratch, chapter
#: 2.3).
GATES = {
    "AND": ((0.5, 0.5), -0.7),
    "NAND": ((-0.5, -0.5), 0.7),
    "OR": ((0.5, 0.5), -0.2),
}


class NotSeparableError(AnynetError, ArithmeticError):
    """The learning rule found no line between the classes in the passes it was given."""


class Perceptron(Module):
    """Return 1 where x · weights + bias > 0 and 0 elsewhere, for x (…, n) and weights (n,); the
    result is (…).
    """

    def __init__(self, weights: Array, bias: Array) -> None:
        self.weights = weights
        self.bias = bias

    def forward(self, x: Array) -> Array:
        """Apply it to the last axis of x."""
        xp = array_namespace(x, self.weights)
        return step(xp.vecdot(x, self.weights) + self.bias)


def gate(name: str, like: Array) -> Perceptron:
    """Return the perceptron of the gate AND, NAND or OR, on the library, device and dtype of an
    array.

    Raises:
        ArgumentError: another name; XOR takes two layers, see `xor`.
        DTypeError: an array that is not floating.

    """
    if name not in GATES:
        raise ArgumentError(
            f"unknown gate {name!r}: one perceptron can be {', '.join(GATES)}; for XOR see xor()"
        )
    check_floating("gate", like)
    xp = array_namespace(like)
    weights, bias = GATES[name]
    place = {"dtype": like.dtype, "device": like.device}
    return Perceptron(xp.asarray(weights, **place), xp.asarray(bias, **place))


def xor(x: Array) -> Array:
    """Return x₁ xor x₂ for x (…, 2): AND of NAND and OR, two layers (Deep Learning from Scratch,
    chapter 2.5).
    """
    xp = array_namespace(x)
    hidden = xp.stack([gate("NAND", x)(x), gate("OR", x)(x)], axis=-1)
    result: Array = gate("AND", x)(hidden)
    return result


def learn(x: Array, t: Array, learning_rate: float = 1.0, passes: int = 100) -> Perceptron:
    """Return a perceptron that gives t for every x, found by the learning rule w ← w +
    learning_rate · (t - y) · x.

    x is (N, n), floating, and t is (N,), zeros and ones of any dtype. The rule ends where a plane
    separates the classes (Novikoff's theorem, 1962).

    Raises:
        NotSeparableError: a pass without a mistake did not come within ``passes``, as for XOR.
        DataError: no data, or t and x of different lengths.
        DTypeError: x is not floating.

    """
    xp = array_namespace(x, t)
    check_floating("learn", x)
    learning_rate = number("learning_rate", learning_rate)
    if x.ndim != 2 or t.shape != x.shape[:1] or not x.shape[0]:
        raise DataError(
            f"x has shape {tuple(x.shape)} and t {tuple(t.shape)}: wanted (N, n) and (N,), N above "
            "0"
        )
    wanted = xp.astype(t, x.dtype)
    net = Perceptron(
        xp.zeros((x.shape[1],), dtype=x.dtype, device=device(x)),
        xp.zeros((), dtype=x.dtype, device=device(x)),
    )
    for _ in range(passes):
        for i in range(x.shape[0]):
            change = learning_rate * (wanted[i] - net(x[i, ...]))
            net.weights = net.weights + change * x[i, ...]
            net.bias = net.bias + change
        if bool(xp.all(net(x) == wanted)):
            return net
    wrong = int(xp.sum(xp.astype(net(x) != wanted, xp.int32)))
    raise NotSeparableError(
        f"after {passes} passes {wrong} of {x.shape[0]} examples are still wrong: no line may "
        "separate the classes, as with XOR (two layers can), or more passes are needed"
    )
