"""Optimizers' updates of all parameters at once: new arrays from old ones and gradients; nothing is
written into.

The arrays come in turn: all parameters, all their gradients, then all of each kind that an
optimizer keeps from one update to the next, which come out renewed. Those of one parameter are of
one shape and dtype; what is kept of a parameter narrower than float32 is float32, for small steps
would be lost in it.
"""

from collections.abc import Sequence

from anynet.array import Array, array_namespace, is_complex, widened
from anynet.errors import DTypeError
from anynet.primitives.precision import rounded
from anynet.tracing.trace import primitive


def by_parameter(count: int, arrays: tuple[Array, ...]) -> list[tuple[Array, ...]]:
    """Return so many arrays of each parameter, from as many of each kind in turn."""
    n = len(arrays) // count
    return list(
        zip(
            *(arrays[i * n : (i + 1) * n] for i in range(count)),
            strict=True,
        )
    )


def in_turn(found: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Return all arrays of each kind in turn, from those of each parameter."""
    return tuple([x for kind in zip(*found, strict=True) for x in kind])


@primitive()
def sgd_update(learning_rate: float, *arrays: Array) -> tuple[Array, ...]:
    """Return parameter - learning_rate · gradient, for parameters and gradients in turn.

    Source: Deep Learning from Scratch, chapter 6.1.2.
    """
    return tuple(
        [rounded(widened(p) - learning_rate * widened(g), p) for p, g in by_parameter(2, arrays)]
    )


@primitive()
def momentum_update(
    learning_rate: float, momentum: float, nesterov: bool, *arrays: Array
) -> tuple[Array, ...]:
    """Return parameter - learning_rate · velocity, with velocity = momentum · velocity + gradient,
    and the velocities.

    By Nesterov, the step is along gradient + momentum · velocity, what the next velocity would be.
    In turn come parameters, gradients, velocities. Source: Sutskever, Martens, Dahl and Hinton, On
    the importance of initialization and momentum in deep learning, ICML 2013, section 2, with the
    learning rate outside the velocity.
    """
    found = []
    for p, g, velocity in by_parameter(3, arrays):
        g = widened(g)
        new = momentum * velocity + g
        along = g + momentum * new if nesterov else new
        found.append((rounded(widened(p) - learning_rate * along, p), new))
    return in_turn(found)


@primitive()
def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: Array,
) -> tuple[Array, ...]:
    """Return decay · parameter - rate · mean / (correction · √square + epsilon), the means and the
    squares.

    mean = beta1 · mean + (1 - beta1) · gradient and square = beta2 · square + (1 - beta2) ·
    gradient², both zeros at first; rate and correction make up for that, see
    `anynet.optimizers.Adam`. In turn come parameters, gradients, means, squares. Source: Kingma and
    Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1; Loshchilov and Hutter,
    Decoupled weight decay regularization, ICLR 2019, algorithm 2.

    Raises:
        DTypeError: a parameter is complex; the square of its gradient is no size.

    """
    found = []
    for p, g, mean, square in by_parameter(4, arrays):
        if is_complex(p):
            raise DTypeError(
                f"adam_update: a parameter of {p.dtype} was given: wanted real ones, since Adam "
                "divides by the root of squared gradients; SGD and Momentum train complex "
                "parameters"
            )
        g = widened(g)
        new = beta1 * mean + (1 - beta1) * g
        squared = beta2 * square + (1 - beta2) * (g * g)
        root = correction * array_namespace(squared).sqrt(squared) + epsilon
        found.append(
            (
                rounded(decay * widened(p) - rate * (new / root), p),
                new,
                squared,
            )
        )
    return in_turn(found)
