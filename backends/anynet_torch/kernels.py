"""PyTorch's kernels: its own functions, where the way to them through the standard's takes longer
than they do.

Bringing two arrays to one dtype by the standard's rules is most of that way; arrays of one dtype
can go directly.
"""

from collections.abc import Callable
from functools import cache, partial
from operator import attrgetter
from typing import Any

import torch

from anynet.primitives.threefry import PARITY, ROTATIONS
from anynet.primitives.update import by_parameter, in_turn
from anynet_torch import devices
from anynet_torch.elementwise import elementwise
from anynet_torch.images import of_one_dtype

# PyTorch's functions of two arrays that do as the standard says, once the dtypes are the same.
_OF_TWO = """
    atan2 bitwise_and bitwise_or bitwise_xor copysign floor_divide greater greater_equal hypot less less_equal logaddexp
    maximum minimum nextafter not_equal remainder
""".split()
_WITH_NUMBERS = ("add", "divide", "multiply", "pow", "subtract")

#: Columns that the library multiplies at a time, and elements from which on fewer are better turned
#: round.
_COLUMNS, _LARGE = 16, 1 << 16


def _direct(function: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(x1: Any, x2: Any) -> Any:
        if type(x1) is type(x2) is torch.Tensor and x1.dtype is x2.dtype:
            return function(x1, x2)
        return NotImplemented

    return kernel


def _direct_with_numbers(
    function: Callable[..., Any],
) -> Callable[..., Any]:
    def kernel(x1: Any, x2: Any) -> Any:
        if type(x1) is torch.Tensor:
            other = type(x2)
            if (other is torch.Tensor and x1.dtype is x2.dtype) or (
                other is float and x1.dtype.is_floating_point
            ):
                return function(x1, x2)
        return NotImplemented

    return kernel


def is_narrow(x1: Any, x2: Any) -> bool:
    """Tell whether a product on a CPU has few columns, fewer than what PyTorch's library multiplies
    at a time.
    """
    if x1.ndim != 2 or x2.ndim != 2 or x2.shape[1] >= _COLUMNS:
        return False
    return bool(x1.shape[0] * x1.shape[1] >= _LARGE and devices.device_type(x1) == "cpu")


def matmul(x1: Any, x2: Any) -> Any:
    """Multiply arrays of one dtype; few columns are rows of the transposed product, up to four
    times as quick.
    """
    if x1.dtype is not x2.dtype:
        x1, x2 = of_one_dtype(x1, x2)
    return torch.mm(x2.mT, x1.mT).mT if is_narrow(x1, x2) else torch.matmul(x1, x2)


def sign(x: Any) -> Any:
    """Take the sign of floating numbers, keeping what is not a number."""
    return torch.where(x == x, torch.sign(x), x) if x.dtype.is_floating_point else NotImplemented


def take(x: Any, indices: Any, *, axis: int | None = None) -> Any:
    """Index, where the indices have one axis."""
    if axis is None or indices.ndim != 1 or not _integral(indices):
        return NotImplemented
    # PyTorch takes bytes for a mask, and no other short integers.
    places = indices if indices.dtype in (torch.int32, torch.int64) else indices.long()
    return x[(slice(None),) * (axis % x.ndim) + (places,)]


def take_along_axis(x: Any, indices: Any, *, axis: int = -1) -> Any:
    """Take indices of every integer dtype; PyTorch wants int64."""
    return (
        torch.take_along_dim(x, indices.long(), dim=axis) if _integral(indices) else NotImplemented
    )


def embedding(weight: Any, indices: Any) -> Any:
    """Let PyTorch refuse an index outside on a CPU; return NaN on a GPU, which would not survive
    the look-up.
    """
    if not _integral(indices) or not len(weight):
        return NotImplemented
    if devices.device_type(weight) == "cpu":
        return torch.embedding(weight, indices.long())
    # Before they are compared: a narrow dtype may not have the number of rows.
    places = indices.long()
    inside = (places >= 0) & (places < len(weight))
    rows = weight[torch.where(inside, places, 0)]
    return torch.where(inside.unsqueeze(-1), rows, torch.nan)


def _integral(x: Any) -> bool:
    return not (x.dtype.is_floating_point or x.dtype.is_complex or x.dtype is torch.bool)


def masked_softmax(scores: Any, allowed: Any) -> Any:
    """Refuse rows in which nothing is allowed, on a CPU."""
    if devices.device_type(scores) == "cpu" and not bool(allowed.any(-1).all()):
        raise ValueError("a row of the mask is empty")
    return torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1)


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """Choose between arrays of one dtype."""
    if type(x1) is type(x2) is torch.Tensor and x1.dtype is x2.dtype:
        return torch.where(condition, x1, x2)
    return NotImplemented


def affine(x: Any, weight: Any, bias: Any) -> Any:
    """Multiply and add in one call."""
    if x.dtype is not weight.dtype:
        return matmul(x, weight) if bias is None else matmul(x, weight) + bias
    if x.ndim != 2 or bias is None or bias.dtype is not x.dtype:
        return NotImplemented
    if is_narrow(x, weight):
        return torch.addmm(bias.unsqueeze(1), weight.mT, x.mT).mT
    return torch.addmm(bias, x, weight)


def relu_gradient(g: Any, y: Any, out: Any = None) -> Any:
    """Compare and choose in one call."""
    if g.dtype is not y.dtype:
        return NotImplemented
    if out is None:
        return torch.ops.aten.threshold_backward(g, y, 0)
    return torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=out)


def sgd_update(learning_rate: float, *arrays: Any) -> Any:
    """Multiply and subtract all parameters in one call."""
    if not _of_one(arrays, _FLOATING):
        return NotImplemented
    n = len(arrays) // 2
    return tuple(_descend(arrays[:n], arrays[n:], learning_rate))


def _descend(parameters: Any, along: Any, rate: Any) -> Any:
    """Return p - rate · along for all; the rate of a graph is an array without axes."""
    if isinstance(rate, torch.Tensor):
        return [torch.addcmul(p, a, rate, value=-1) for p, a in zip(parameters, along, strict=True)]
    return torch._foreach_add(parameters, along, alpha=-rate)


def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: Any) -> Any:
    """Multiply and add all parameters in one call each."""
    if not _of_one(arrays, _WIDE):
        step = partial(momentum_update, learning_rate, momentum, nesterov)
        return _in_float32(step, 3, arrays)
    n = len(arrays) // 3
    parameters, gradients = arrays[:n], arrays[n : 2 * n]
    velocities = torch._foreach_add(gradients, arrays[2 * n :], alpha=momentum)
    along = torch._foreach_add(gradients, velocities, alpha=momentum) if nesterov else velocities
    return (*_descend(parameters, along, learning_rate), *velocities)


def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: Any,
) -> Any:
    """On a CPU copy, and let PyTorch's own step go over the copies once; elsewhere make a call for
    each operation.

    In a graph, where the first three numbers are arrays, one loop goes over each parameter.
    """
    if not _of_one(arrays, _WIDE):
        step = partial(adam_update, rate, correction, decay, beta1, beta2, epsilon)
        return _in_float32(step, 4, arrays)
    n = len(arrays) // 4
    parameters, gradients, means, squares = (arrays[i * n : (i + 1) * n] for i in range(4))
    if isinstance(rate, torch.Tensor):
        numbers = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon}
        return in_turn(
            [_adam(given, (rate, correction, decay), numbers) for given in by_parameter(4, arrays)]
        )
    if rate and devices.device_type(parameters[0]) == "cpu":
        new, new_means, new_squares = (
            [_copy(x) for x in kind] for kind in (parameters, means, squares)
        )
        torch._fused_adamw_(
            *(
                new,
                [g.contiguous() for g in gradients],
                new_means,
                new_squares,
                [],
                [_MANY] * n,
            ),
            lr=rate / correction,
            beta1=beta1,
            beta2=beta2,
            weight_decay=(1 - decay) * correction / rate,
            eps=epsilon / correction,
            amsgrad=False,
            maximize=False,
        )
        return (*new, *new_means, *new_squares)
    means = torch._foreach_lerp(means, gradients, 1 - beta1)
    squares = torch._foreach_mul(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_mul_(roots, correction)
    torch._foreach_add_(roots, epsilon)
    decayed = parameters if decay == 1 else torch._foreach_mul(parameters, decay)
    return (
        *torch._foreach_addcdiv(decayed, means, roots, -rate),
        *means,
        *squares,
    )


def _adam(arrays: Any, asked: Any, numbers: dict[str, float]) -> Any:
    """Update one parameter in one loop."""
    return tuple(elementwise("adam_update", *arrays, *asked, **numbers))


def _in_float32(step: Callable[..., Any], kinds: int, arrays: Any) -> Any:
    """Update parameters narrower than float32, of which all else that is kept is float32, and round
    them once.
    """
    if not {*map(_dtype_of, arrays)} <= _IN_FLOAT32:
        return NotImplemented
    n = len(arrays) // kinds
    found = step(*[x.float() for x in arrays])
    return (
        *[new.to(old.dtype) for new, old in zip(found[:n], arrays[:n], strict=True)],
        *found[n:],
    )


#: Quicker than a comprehension.
_dtype_of = attrgetter("dtype")


def _of_one(arrays: Any, dtypes: Any) -> bool:
    """Tell whether all arrays are of one and the same of these dtypes."""
    found = {*map(_dtype_of, arrays)}
    return len(found) == 1 and found <= dtypes


_WIDE = {torch.float32, torch.float64}
_FLOATING = _WIDE | {torch.float16, torch.bfloat16}
_IN_FLOAT32 = {torch.float16, torch.bfloat16, torch.float32}

#: Updates after which PyTorch's step has nothing to make up for: that is in the numbers of ours
#: already.
_MANY = torch.tensor(1e9)


def _copy(x: Any) -> Any:
    return x.detach().clone(memory_format=torch.contiguous_format)


def softmax(x: Any, axis: int = -1) -> Any:
    """Compute it in one call."""
    return torch.softmax(x, axis)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Compute it in one call."""
    return torch.nn.functional.gelu(x, approximate="tanh" if approximate else "none")


def softplus(x: Any) -> Any:
    """Compute it in one call; PyTorch takes x itself above its threshold, and from 40 on that is
    exact.
    """
    return torch.nn.functional.softplus(x, threshold=40)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Compute it in one call; on a CPU, PyTorch adds up 16-bit exponentials in 16 bits."""
    if x.dtype in _WIDE or devices.device_type(x) != "cpu":
        return torch.log_softmax(x, axis)
    return torch.log_softmax(x, axis, dtype=torch.float32).to(x.dtype)


def softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """Gather at the labels instead of multiplying with one-hot rows; a GPU would not survive a
    label out of range.
    """
    place = devices.device_type(logits)
    if labels.ndim != 1 or not _integral(labels) or place not in ("cpu", "cuda"):
        return NotImplemented
    if place == "cuda" and (logits.dtype not in _WIDE or not len(logits)):
        return NotImplemented
    logarithms = log_softmax(logits)
    if place == "cuda":
        rows, classes = logits.shape
        # Of one dtype: a loop that converts takes several times as long.
        given = (
            logarithms,
            labels.to(logits.dtype).unsqueeze(-1),
            _numbers(classes, logits.dtype, logits.device),
        )
        difference, surprise = elementwise("cross_entropy", *given, classes=classes, share=1 / rows)
        surprise = surprise.reshape(-1)
        return torch.dot(
            surprise, _ones(len(surprise), surprise.dtype, surprise.device)
        ), difference
    at_labels = labels.long().unsqueeze(-1)
    difference = logarithms.exp()
    difference.scatter_add_(
        -1,
        at_labels,
        difference.new_full((1, 1), -1.0).expand(at_labels.shape),
    )
    return -torch.mean(torch.gather(logarithms, -1, at_labels)), difference


@cache
def _numbers(classes: int, dtype: Any, device: Any) -> Any:
    return torch.arange(classes, dtype=dtype, device=device)


def getitem(x: Any, key: Any) -> Any:
    """Read a slice that runs backwards, which PyTorch refuses, forwards, and turn it round."""
    forwards, flipped = _forwards(key, x.shape)
    return x[key] if not flipped else x[forwards].flip(flipped)


def place(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Set a slice of zeros, also one that runs backwards."""
    # None adds axes when an array is read, and has no place where it is written.
    forwards, flipped = _forwards(tuple(part for part in _parts(key) if part is not None), shape)
    out = g.new_zeros(shape)
    there = out[forwards]
    there.copy_(g.reshape(there.shape).flip(flipped) if flipped else g.reshape(there.shape))
    return out


def index_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add slices where their index says."""
    out = g.new_zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]))
    places = indices if indices.dtype in (torch.int32, torch.int64) else indices.long()
    return out.index_add_(axis, places % length, g)


def scatter_add(g: Any, indices: Any, axis: int, length: int) -> Any:
    """Add elements where their index says."""
    axis %= g.ndim
    out = g.new_zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]))
    return out.scatter_add_(axis, indices.long().expand(g.shape) % length, g)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a matrix to one row on a GPU, as for the bias of a layer: a product with ones is quicker
    than a reduction.
    """
    # On a CPU it is declined in every step: the first question decides.
    if (
        devices.device_type(g) != "cuda"
        or g.ndim != 2
        or shape != g.shape[1:]
        or g.dtype not in _WIDE
        or not len(g)
    ):
        return NotImplemented
    return torch.mv(g.mT, _ones(len(g), g.dtype, g.device))


@cache
def _ones(count: int, dtype: Any, device: Any) -> Any:
    return torch.ones(count, dtype=dtype, device=device)


def threefry(key: Any, x0: Any, x1: Any) -> Any:
    """Work in place: signed words, for those without a sign cannot be shifted."""
    k0, k1 = key[0:1], key[1:2]
    if devices.device_type(key) == "cuda":
        return elementwise("threefry", k0, k1, x0, x1)
    schedule = k0, k1, k0 ^ k1 ^ PARITY
    x0, x1 = x0 + k0, x1 + k1
    turned = torch.empty_like(x1)
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 += x1
            torch.bitwise_left_shift(x1, rotation, out=turned)
            x1 >>= 32 - rotation
            x1 &= (1 << rotation) - 1
            x1 |= turned
            x1 ^= x0
        x0 += schedule[(group + 1) % 3]
        x1 += schedule[(group + 2) % 3] + (group + 1)
    return x0, x1


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _forwards(key: Any, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """Return the key with all steps above 0, and the axes of the result to turn round."""
    parts = _parts(key)
    missing = len(shape) - sum(part is not None and part is not Ellipsis for part in parts)
    new: list[Any] = []
    flipped = []
    axis = result_axis = 0
    for part in parts:
        if part is Ellipsis:
            axis, result_axis = axis + missing, result_axis + missing
        elif isinstance(part, slice):
            if part.step is not None and part.step < 0:
                places = range(shape[axis])[part]
                part = slice(places[-1], places[0] + 1, -part.step) if places else slice(0, 0)
                flipped.append(result_axis)
            axis, result_axis = axis + 1, result_axis + 1
        elif part is None:
            result_axis += 1
        else:
            axis += 1
        new.append(part)
    return tuple(new), flipped


KERNELS: dict[str, Callable[..., Any]] = {
    **{name: _direct(getattr(torch, name)) for name in _OF_TWO},
    **{name: _direct_with_numbers(getattr(torch, name)) for name in _WITH_NUMBERS},
    "equal": _direct(torch.eq),
    "elu": torch.nn.functional.elu,
    "erf": torch.erf,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "mish": torch.nn.functional.mish,
    "relu": torch.relu,
    "selu": torch.selu,
    "sigmoid": torch.sigmoid,
    **{
        function.__name__: function
        for function in (
            adam_update,
            affine,
            embedding,
            gelu,
            getitem,
            index_add,
            log_softmax,
            masked_softmax,
            matmul,
            momentum_update,
            place,
            relu_gradient,
            scatter_add,
            sgd_update,
            sign,
            softmax,
            softmax_cross_entropy,
            softplus,
            sum_to,
            take,
            take_along_axis,
            threefry,
            where,
        )
    },
}
