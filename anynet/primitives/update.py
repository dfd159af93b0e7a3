"""Optimizers' updates: a new parameter from an old one and its gradient; nothing is written into.

All arrays of one update are of one shape and dtype. What an optimizer keeps from one update to the next goes in beside
the parameter and comes out renewed.
"""

import math

from anynet.array import Array, array_namespace
from anynet.autodiff.trace import primitive


@primitive()
def sgd_update(parameter: Array, gradient: Array, learning_rate: float) -> Array:
    """Return parameter - learning_rate · gradient; both arrays are of one shape and dtype.

    Source: Deep Learning from Scratch, chapter 6.1.2.
    """
    return parameter - learning_rate * gradient


@primitive()
def momentum_update(
    parameter: Array, gradient: Array, velocity: Array, learning_rate: float, momentum: float, nesterov: bool
) -> tuple[Array, Array]:
    """Return parameter - learning_rate · velocity, with velocity = momentum · velocity + gradient, and the velocity.

    By Nesterov, the step is along gradient + momentum · velocity, what the next velocity would be.
    Source: Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in deep learning, ICML
    2013, section 2, with the learning rate outside the velocity.
    """
    velocity = momentum * velocity + gradient
    along = gradient + momentum * velocity if nesterov else velocity
    return parameter - learning_rate * along, velocity


@primitive()
def adam_update(
    parameter: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    step: int,
) -> tuple[Array, Array, Array]:
    """Return the parameter, less learning_rate · mean / (√square + epsilon), the mean and the square.

    mean = beta1 · mean + (1 - beta1) · gradient and square = beta2 · square + (1 - beta2) · gradient², both zeros at
    first, of which the step, counted from 1, says how much they are still too small; the parameter itself decays by
    learning_rate · weight_decay.
    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, algorithm 1; Loshchilov and Hutter,
    Decoupled weight decay regularization, ICLR 2019, algorithm 2.
    """
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * (gradient * gradient)
    root = array_namespace(square).sqrt(square) / math.sqrt(1 - beta2**step) + epsilon
    decayed = (1 - learning_rate * weight_decay) * parameter if weight_decay else parameter
    return decayed - (learning_rate / (1 - beta1**step)) * (mean / root), mean, square
