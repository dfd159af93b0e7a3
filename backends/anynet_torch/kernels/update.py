"""Updates of optimizers, all parameters in few calls."""

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Emit, Kernels
from anynet.primitives.update import by_parameter, in_turn
from anynet_torch import devices
from anynet_torch.dtypes import FLOATING, WIDE
from anynet_torch.elementwise import elementwise

kernels = Kernels()


@kernels.register()
def sgd_update(learning_rate: float, *arrays: Tensor) -> Any:
    """Multiply and subtract all parameters in one call."""
    if not _of_one(arrays, FLOATING):
        return NotImplemented
    n = len(arrays) // 2
    return tuple(_descend(arrays[:n], arrays[n:], learning_rate))


@kernels.lowering(sgd_update)
def lower_sgd_update(emit: Emit, learning_rate: float, *arrays: Tensor) -> Any:
    """Multiply and subtract in one call for each parameter."""
    return tuple([emit(descend, p, g, learning_rate) for p, g in by_parameter(2, arrays)])


def descend(p: Tensor, g: Tensor, rate: float, out: Tensor | None = None) -> Any:
    """Return p - rate · g."""
    if isinstance(rate, torch.Tensor):
        return torch.addcmul(p, g, rate, value=-1, out=out)
    return torch.sub(p, g, alpha=rate, out=out)


kernels.declare(Aliasing.IN_PLACE, descend)


def _descend(parameters: Any, along: Any, rate: Any) -> Any:
    """Return p - rate · along for all; the rate of a graph is an array without axes."""
    if isinstance(rate, torch.Tensor):
        return [torch.addcmul(p, a, rate, value=-1) for p, a in zip(parameters, along, strict=True)]
    return torch._foreach_add(parameters, along, alpha=-rate)


@kernels.register()
def momentum_update(learning_rate: float, momentum: float, nesterov: bool, *arrays: Tensor) -> Any:
    """Multiply and add all parameters in one call each."""
    if not _of_one(arrays, WIDE):
        step = partial(momentum_update, learning_rate, momentum, nesterov)
        return _in_float32(step, 3, arrays)
    n = len(arrays) // 3
    parameters, gradients = arrays[:n], arrays[n : 2 * n]
    velocities = torch._foreach_add(gradients, arrays[2 * n :], alpha=momentum)
    along = torch._foreach_add(gradients, velocities, alpha=momentum) if nesterov else velocities
    return (*_descend(parameters, along, learning_rate), *velocities)


@kernels.register()
def adam_update(
    rate: float,
    correction: float,
    decay: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    *arrays: Tensor,
) -> Any:
    """On a CPU copy, and let PyTorch's own step go over the copies once; elsewhere make a call for
    each operation.

    In a graph, where the first three numbers are arrays, one loop goes over each parameter.
    """
    if not _of_one(arrays, WIDE):
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


_IN_FLOAT32 = {torch.float16, torch.bfloat16, torch.float32}


#: Updates after which PyTorch's step has nothing to make up for: that is in the numbers of ours
#: already.
_MANY = torch.tensor(1e9)


def _copy(x: Tensor) -> Any:
    return x.detach().clone(memory_format=torch.contiguous_format)
