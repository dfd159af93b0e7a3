"""NumPy's kernels: what the references do, in fewer passes over memory and fewer calls.

A kernel takes what it is quick at and returns NotImplemented for the rest, which the reference then
does. It writes into arrays that it made itself, never into one it was given.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from anynet.primitives.erf import CENTRE, LIMIT, TAIL
from anynet.primitives.threefry import PARITY, ROTATIONS
from anynet.primitives.update import by_parameter, in_turn
from anynet_numpy.memory import BLOCK, blocks, fresh, scratch

#: The dtypes that kernels take, and a zero of each: arithmetic with an array is quicker than with a
#: Python number.
ZERO = {np.dtype(name): np.zeros((), name) for name in ("float32", "float64")}

_SMALL_BLOCK = 8192

#: Bits to the left, and those to the right that come round.
_ROTATIONS = [[(np.uint32(n), np.uint32(32 - n)) for n in turns] for turns in ROTATIONS]

#: Elements of the arrays of zeros that are kept to compare with.
MOST_ZEROS = 32768


def matmul(x1: Any, x2: Any, out: Any = None) -> Any:
    """Multiply into memory that was used before; `dot` has less to look at than `matmul`.

    A stack of matrices by one is a product of all rows, of which `matmul` makes many small ones.
    """
    if x1.ndim < 2 or x2.ndim != 2 or x1.dtype != x2.dtype or x1.dtype not in ZERO:
        return np.matmul(x1, x2, out=out)
    shape = (*x1.shape[:-1], x2.shape[1])
    if out is None:
        out = fresh(shape, x1.dtype)
    if x1.ndim == 2:
        return np.dot(x1, x2, out=out)
    rows = math.prod(shape[:-1])
    np.dot(x1.reshape(rows, x1.shape[-1]), x2, out=out.reshape(rows, shape[-1]))
    return out


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Add the bias in place."""
    y = matmul(x, weight)
    if bias is None:
        return y
    return np.add(y, bias, out=y if bias.dtype == y.dtype and y.ndim else None)


def relu(x: Any, out: Any = None) -> Any:
    """Compare with as many zeros, block by block: NumPy has vector instructions for two arrays, and
    none for one.
    """
    zero = ZERO.get(x.dtype)
    if zero is None:
        return NotImplemented
    if not x.flags.c_contiguous:
        return np.maximum(x, zero, out=out)
    if out is None:
        out = fresh(x.shape, x.dtype)
    for given, made in ((x, out),) if x.size <= MOST_ZEROS else blocks(x, out, size=MOST_ZEROS):
        np.maximum(given, zeros(given.shape, x.dtype.char), out=made)
    return out


def relu_gradient(g: Any, y: Any) -> Any:
    """Multiply by a mask of floating numbers, in their own place: a third of the time of a
    choice.
    """
    zero = ZERO.get(y.dtype)
    if zero is None or g.dtype != y.dtype or not y.ndim:
        return NotImplemented
    out = np.greater(y, zero, out=fresh(y.shape, y.dtype))
    return np.multiply(g, out, out=out)


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """Work on the transposed logits: reductions along a short last axis are slow, along the first
    axis quick.
    """
    if (
        logits.dtype not in ZERO
        or labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or not labels.size
    ):
        return NotImplemented
    rows, classes = logits.shape
    places = places_of_labels(labels, classes)
    work = logits.T.copy()
    work -= np.maximum.reduce(work)
    at_labels = work.take(places)
    np.exp(work, out=work)
    total = np.dot(ones(classes, work.dtype.char), work)
    work /= total
    difference = less_one_at(work, places, out=work)
    return np.add.reduce(np.log(total) - at_labels) / rows, difference.T


def places_of_labels(labels: Any, classes: int) -> Any:
    """Return where in an array of (classes, rows) elements, counted through, that of each row's
    label is.
    """
    labels = labels.astype(np.intp, copy=False)
    # As unsigned numbers, negative labels are large ones.
    if np.maximum.reduce(labels.view(np.uintp)) >= classes:
        raise IndexError("a label is no class")
    places = labels * labels.size
    places += positions(labels.size)
    return places


def less_one_at(x: Any, places: Any, out: Any = None) -> Any:
    """Return x less one at the places of its elements, counted through."""
    if out is not x:
        out = np.positive(x, out=out)
    out.reshape(-1)[places] -= 1
    return out


def embedding(weight: Any, indices: Any) -> Any:
    """Let NumPy refuse indices beyond the end; negative ones, which it counts from there, are no
    rows.
    """
    if indices.dtype.kind not in "iu":
        return NotImplemented
    places = indices.astype(np.intp, copy=False)
    if places.size and places.min() < 0:
        raise IndexError("a negative index")
    return weight.take(places, axis=0)


def masked_softmax(scores: Any, allowed: Any) -> Any:
    """Refuse rows in which nothing is allowed."""
    if scores.dtype not in ZERO:
        return NotImplemented
    if not allowed.any(-1).all():
        raise ValueError("a row of the mask is empty")
    e = np.where(allowed, scores, scores.dtype.type(-np.inf))
    e -= e.max(-1, keepdims=True)
    np.exp(e, out=e)
    e /= e.sum(-1, keepdims=True)
    return e


def sgd_update(learning_rate: float, *arrays: Any) -> Any:
    """Descend by each gradient."""
    dtype = arrays[0].dtype
    if dtype not in ZERO:
        return NotImplemented
    for x in arrays:
        if (x.dtype is not dtype and x.dtype != dtype) or not x.ndim:
            return NotImplemented
    rate = np.array(learning_rate, dtype)
    count = len(arrays) // 2
    return tuple(
        [descended(p, g, rate) for p, g in zip(arrays[:count], arrays[count:], strict=True)]
    )


def descended(p: Any, g: Any, rate: Any, out: Any = None) -> Any:
    """Return p - rate · g; the products take its own memory, in blocks that fit a cache."""
    out = fresh(p.shape, p.dtype) if out is None else out
    for old, change, made in ((p, g, out),) if p.size <= BLOCK else blocks(p, g, out):
        np.multiply(change, rate, out=made)
        np.subtract(old, made, out=made)
    return out


def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: Any) -> Any:
    """Take the new arrays' own memory for the products, in blocks that fit a cache."""
    found = []
    for given in by_parameter(3, arrays):
        parameter = given[0]
        if (
            parameter.dtype not in ZERO
            or not parameter.ndim
            or any(x.dtype != parameter.dtype for x in given)
        ):
            return NotImplemented
        made = tuple([fresh(parameter.shape, parameter.dtype) for _ in range(2)])
        for p, g, velocity, new, moved in blocks(*given, *made):
            np.multiply(velocity, momentum, out=moved)
            moved += g
            np.multiply(
                moved,
                momentum * learning_rate if nesterov else learning_rate,
                out=new,
            )
            if nesterov:
                new += np.multiply(
                    g,
                    learning_rate,
                    out=scratch("product", g.shape, g.dtype),
                )
            np.subtract(p, new, out=new)
        found.append(made)
    return in_turn(found)


def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: Any,
) -> Any:
    """Work in blocks that fit a cache: a dozen passes over large arrays would read them from memory
    each time.
    """
    numbers = rate, correction, decay, beta1, beta2, epsilon
    found = []
    for given in by_parameter(4, arrays):
        parameter = given[0]
        if (
            parameter.dtype not in ZERO
            or not parameter.ndim
            or any(x.dtype != parameter.dtype for x in given)
        ):
            return NotImplemented
        made = tuple([fresh(parameter.shape, parameter.dtype) for _ in range(3)])
        for block in blocks(*given, *made):
            _adam(block, numbers)
        found.append(made)
    return in_turn(found)


def _adam(arrays: Sequence[Any], numbers: Sequence[float]) -> None:
    """Write the update of the first four arrays into the last three."""
    p, g, m, s, new_p, new_m, new_s = arrays
    rate, correction, decay, beta1, beta2, epsilon = numbers
    work = scratch("product", g.shape, g.dtype)
    np.multiply(g, 1 - beta1, out=work)
    np.multiply(m, beta1, out=new_m)
    new_m += work
    np.multiply(g, g, out=work)
    work *= 1 - beta2
    np.multiply(s, beta2, out=new_s)
    new_s += work
    np.sqrt(new_s, out=work)
    work *= correction
    work += epsilon
    np.divide(new_m, work, out=work)
    work *= rate
    np.subtract(
        p if decay == 1 else np.multiply(p, decay, out=new_p),
        work,
        out=new_p,
    )


def erf(x: Any) -> Any:
    """Evaluate the polynomials in place, in blocks that fit a cache."""
    if x.dtype not in ZERO or not x.ndim:
        return NotImplemented
    out = fresh(x.shape, x.dtype)
    for given, made in blocks(x, out, size=_SMALL_BLOCK):
        _erf(given, made)
    return out


def _erf(x: Any, out: Any) -> None:
    size = np.abs(x)
    np.minimum(size, LIMIT, out=size)
    square = size * size
    tail, below = np.negative(square), np.empty_like(x)
    np.exp(tail, out=tail)
    tail *= _polynomial(TAIL[0], size, out)
    tail /= _polynomial(TAIL[1], size, below)
    np.subtract(1, tail, out=tail)
    np.copysign(tail, x, out=tail)
    _polynomial(CENTRE[0], square, out)
    out *= x
    out /= _polynomial(CENTRE[1], square, below)
    np.copyto(out, tail, where=size >= 1)


def _polynomial(coefficients: Sequence[float], x: Any, out: Any) -> Any:
    np.multiply(x, coefficients[0], out=out)
    out += coefficients[1]
    for coefficient in coefficients[2:]:
        out *= x
        out += coefficient
    return out


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row, as for the bias of a layer: a product with ones is quicker than a
    reduction.
    """
    if g.ndim != 2 or shape != g.shape[1:] or g.dtype not in ZERO:
        return NotImplemented
    return np.dot(ones(len(g), g.dtype.char), g)


def threefry(key: Any, x0: Any, x1: Any) -> Any:
    """Work on words without a sign, whose right shifts bring zeros in, in blocks that fit a
    cache.
    """
    words = np.uint32
    if not key.dtype == x0.dtype == x1.dtype == np.int32:
        return NotImplemented
    k0, k1 = key.view(words)[0:1], key.view(words)[1:2]
    schedule = k0, k1, k0 ^ k1 ^ words(PARITY)
    made = fresh((2, x0.size), x0.dtype)
    for given0, given1, out0, out1 in blocks(x0, x1, *made):
        a, b = out0.view(words), out1.view(words)
        turned = scratch("turned", a.shape, a.dtype)
        np.add(given0.view(words), k0, out=a)
        np.add(given1.view(words), k1, out=b)
        for group in range(5):
            for left, right in _ROTATIONS[group % 2]:
                a += b
                np.left_shift(b, left, out=turned)
                b >>= right
                b |= turned
                b ^= a
            a += schedule[(group + 1) % 3]
            b += schedule[(group + 2) % 3] + words(group + 1)
    return made[0], made[1]


@lru_cache(maxsize=64)
def positions(length: int) -> Any:
    """Return so many numbers from 0 up."""
    return np.arange(length)


@lru_cache(maxsize=64)
def ones(length: int, char: str) -> Any:
    """Return ones of a dtype, which is told by its letter."""
    return np.ones(length, char)


@lru_cache(maxsize=64)
def zeros(shape: tuple[int, ...], char: str) -> Any:
    """Return zeros of a dtype, which is told by its letter."""
    return np.zeros(shape, char)


def matrix_transpose(x: Any) -> Any:
    """Ask the array itself."""
    return x.mT


def index_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add slices where their index says."""
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    np.add.at(out, (slice(None),) * axis + (indices,), g)
    return out


def scatter_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add elements where their index says."""
    axis %= g.ndim
    out = np.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    here = list(np.indices(g.shape, sparse=True))
    here[axis] = indices
    np.add.at(out, tuple(here), g)
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        adam_update,
        affine,
        embedding,
        erf,
        index_add,
        masked_softmax,
        matmul,
        matrix_transpose,
        momentum_update,
        relu,
        relu_gradient,
        scatter_add,
        sgd_update,
        softmax_cross_entropy,
        sum_to,
        threefry,
    )
}
