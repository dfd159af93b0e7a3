"""The perceptron: logic gates from weights and a bias, and its learning rule.

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

#: The weights and the bias of the gates that one perceptron can compute.
#: Source: Deep Learning from Scratch, chapter 2.3.
GATES = {
    "AND": ((0.5, 0.5), -0.7),
    "NAND": ((-0.5, -0.5), 0.7),
    "OR": ((0.5, 0.5), -0.2),
}


class NotSeparableError(AnynetError, ArithmeticError):
    """The learning rule found no plane between the classes in the given number of passes.

    >>> x = np.asarray([[0.0], [1.0], [2.0]])
    >>> anynet.perceptron.learn(x, np.asarray([0, 1, 0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    anynet.perceptron.NotSeparableError: after 100 passes ...

    """


class Perceptron(Module):
    """Return 1 where x · weights + bias > 0, and 0 elsewhere.

    It takes x of shape (…, n) and returns (…).

    Args:
        weights: (n,).
        bias: ().

    >>> unit = anynet.perceptron.Perceptron(np.asarray([1.0, 1.0]), np.asarray(-1.5))
    >>> unit(np.asarray([[0.0, 1.0], [1.0, 1.0]]))
    array([0., 1.])

    """

    def __init__(self, weights: Array, bias: Array) -> None:
        self.weights = weights
        self.bias = bias

    def forward(self, x: Array) -> Array:
        """Return the output for the last axis of x."""
        xp = array_namespace(x, self.weights)
        return step(xp.vecdot(x, self.weights) + self.bias)


def gate(name: str, like: Array) -> Perceptron:
    """Return the perceptron of a gate.

    Args:
        name: AND, NAND or OR.
        like: an array whose library, device and dtype the perceptron has.

    Raises:
        ArgumentError: another name. XOR takes two layers, see `xor`.
        DTypeError: the array is not floating.

    >>> x = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> anynet.perceptron.gate("OR", x)(x)
    array([0., 1., 1.])

    """
    if name not in GATES:
        raise ArgumentError(
            f"unknown gate {name!r}: one perceptron can be {', '.join(GATES)}; for XOR see xor()"
        )
    check_floating("gate", like)
    xp = array_namespace(like)
    weights, bias = GATES[name]
    place = {"dtype": like.dtype, "device": device(like)}
    return Perceptron(xp.asarray(weights, **place), xp.asarray(bias, **place))


def xor(x: Array) -> Array:
    """Return x₁ xor x₂ for x of shape (…, 2), by two layers: AND of NAND and OR.

    Source: Deep Learning from Scratch, chapter 2.5.

    >>> anynet.perceptron.xor(np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    array([0., 1., 0.])

    """
    xp = array_namespace(x)
    hidden = xp.stack([gate("NAND", x)(x), gate("OR", x)(x)], axis=-1)
    result: Array = gate("AND", x)(hidden)
    return result


def learn(
    x: Array,
    t: Array,
    learning_rate: float = 1.0,
    passes: int = 100,
) -> Perceptron:
    """Return a perceptron that gives t for every x, by the learning rule
    w ← w + learning_rate · (t - y) · x.

    The rule ends if a plane separates the classes.

    Args:
        x: (N, n), floating.
        t: (N,), zeros and ones of any dtype.
        learning_rate: the factor of each change.
        passes: the most passes over the data.

    Raises:
        NotSeparableError: no pass was without a mistake, as for XOR.
        DataError: there is no data, or t and x have different lengths.
        DTypeError: x is not floating.

    >>> x = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> anynet.perceptron.learn(x, np.asarray([0, 0, 0, 1]))(x)
    array([0., 0., 0., 1.])

    Source: Novikoff, On convergence proofs for perceptrons, 1962.

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
    place = {"dtype": x.dtype, "device": device(x)}
    net = Perceptron(xp.zeros((x.shape[1],), **place), xp.zeros((), **place))
    for _ in range(passes):
        for i in range(x.shape[0]):
            row = x[i, ...]
            change = learning_rate * (wanted[i] - net(row))
            net.weights = net.weights + change * row
            net.bias = net.bias + change
        if bool(xp.all(net(x) == wanted)):
            return net
    wrong = int(xp.sum(xp.astype(net(x) != wanted, xp.int32)))
    raise NotSeparableError(
        f"after {passes} passes {wrong} of {x.shape[0]} examples are still wrong: no plane may "
        "separate the classes, as with XOR (two layers can), or more passes are needed"
    )
