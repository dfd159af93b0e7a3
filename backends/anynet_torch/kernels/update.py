"""Updates of optimizers, all parameters in few calls."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from anynet.kernel import Aliasing, Emit, Kernels
from anynet_torch import devices
from anynet_torch.dtypes import FLOATING, WIDE
from anynet_torch.elementwise import elementwise

kernels = Kernels()

_IN_FLOAT32 = {torch.float16, torch.bfloat16, torch.float32}

#: Updates after which PyTorch's correction of the moments is 1. Our scalars contain the correction.
_MANY = torch.tensor(1e9)

#: Faster than a comprehension.
_dtype_of = attrgetter("dtype")


@kernels.register(Aliasing.FRESH)
def sgd_update(
    rate: float,
    *arrays: Tensor,
    weight_decay: float,
) -> Any:
    """Multiply and subtract all parameters in one call."""
    # A sum in a narrow dtype would be rounded twice.
    if not _of_one(arrays, WIDE if weight_decay else FLOATING):
        return NotImplemented
    parameters, along = arrays[::2], arrays[1::2]
    if weight_decay:
        along = _penalized(along, parameters, weight_decay)
    return tuple(_descend(parameters, along, rate))


@kernels.lowering(sgd_update)
def lower_sgd_update(
    emit: Emit,
    rate: float,
    *arrays: Tensor,
    weight_decay: float,
) -> Any:
    """Multiply and subtract in one call for each parameter."""
    results = []
    for p, g in zip(arrays[::2], arrays[1::2], strict=True):
        along = emit(torch.add, g, p, alpha=weight_decay) if weight_decay else g
        results.append(emit(descend, p, along, rate))
    return tuple(results)


def descend(
    p: Tensor,
    g: Tensor,
    rate: float,
    out: Tensor | None = None,
) -> Any:
    """Return p - rate · g."""
    if isinstance(rate, torch.Tensor):
        return torch.addcmul(p, g, rate, value=-1, out=out)
    return torch.sub(p, g, alpha=rate, out=out)


kernels.declare(Aliasing.IN_PLACE, descend)


def _descend(
    parameters: Sequence[Tensor],
    along: Sequence[Tensor],
    rate: Any,
) -> Any:
    """Return p - rate · along for all parameters.

    In a device graph, the rate is an array without axes.
    """
    if isinstance(rate, torch.Tensor):
        return [torch.addcmul(p, a, rate, value=-1) for p, a in zip(parameters, along, strict=True)]
    return torch._foreach_add(parameters, along, alpha=-rate)


@kernels.register(Aliasing.FRESH)
def momentum_update(
    rate: float,
    gain: float,
    *arrays: Tensor,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
) -> Any:
    """Multiply and add all parameters in one call each."""
    if dampening:
        return NotImplemented
    if not _of_one(arrays, WIDE):
        step = partial(
            momentum_update,
            rate,
            gain,
            momentum=momentum,
            dampening=dampening,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
        return _in_float32(step, 3, arrays)
    parameters, gradients, velocities = (arrays[i::3] for i in range(3))
    if weight_decay:
        gradients = _penalized(gradients, parameters, weight_decay)
    velocities = torch._foreach_add(gradients, velocities, alpha=momentum)
    along = torch._foreach_add(gradients, velocities, alpha=momentum) if nesterov else velocities
    return _by_parameter(_descend(parameters, along, rate), velocities)


@kernels.register(Aliasing.FRESH)
def adam_update(
    rate: float,
    correction: float,
    *arrays: Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
) -> Any:
    """Update copies by PyTorch's fused step on a CPU, and make a call for each operation elsewhere.

    In a device graph, the scalars are arrays, and one loop updates each parameter.
    """
    if amsgrad:
        return NotImplemented
    if not _of_one(arrays, WIDE):
        step = partial(
            adam_update,
            rate,
            correction,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=False,
        )
        return _in_float32(step, 4, arrays)
    if isinstance(rate, torch.Tensor):
        numbers = {"beta1": betas[0], "beta2": betas[1], "eps": eps, "weight_decay": weight_decay}
        return _by_loop("adam_update", arrays, (rate, correction), numbers)
    if rate and devices.device_type(arrays[0]) == "cpu":
        step = partial(torch._fused_adam_, weight_decay=weight_decay)
        return _fused_adam(step, rate / correction, eps / correction, betas, arrays)
    parameters, gradients, means, squares = (arrays[i::4] for i in range(4))
    if weight_decay:
        gradients = _penalized(gradients, parameters, weight_decay)
    return _adam(rate, correction, betas, eps, parameters, gradients, means, squares)


@kernels.register(Aliasing.FRESH)
def adamw_update(
    rate: float,
    correction: float,
    decay: float,
    *arrays: Tensor,
    betas: tuple[float, float],
    eps: float,
    amsgrad: bool,
) -> Any:
    """Update as `adam_update` does."""
    if amsgrad:
        return NotImplemented
    if not _of_one(arrays, WIDE):
        step = partial(
            adamw_update,
            rate,
            correction,
            decay,
            betas=betas,
            eps=eps,
            amsgrad=False,
        )
        return _in_float32(step, 4, arrays)
    if isinstance(rate, torch.Tensor):
        numbers = {"beta1": betas[0], "beta2": betas[1], "eps": eps}
        return _by_loop("adamw_update", arrays, (rate, correction, decay), numbers)
    if rate and devices.device_type(arrays[0]) == "cpu":
        step = partial(torch._fused_adamw_, weight_decay=(1 - decay) * correction / rate)
        return _fused_adam(step, rate / correction, eps / correction, betas, arrays)
    parameters, *others = (arrays[i::4] for i in range(4))
    decayed = parameters if decay == 1 else torch._foreach_mul(parameters, decay)
    return _adam(rate, correction, betas, eps, decayed, *others)


@kernels.register(Aliasing.FRESH)
def adagrad_update(
    rate: float,
    *arrays: Tensor,
    weight_decay: float,
    eps: float,
) -> Any:
    """Update all parameters in one call for each operation."""
    if not _of_one(arrays, WIDE):
        return NotImplemented
    parameters, gradients, sums = (arrays[i::3] for i in range(3))
    if weight_decay:
        gradients = _penalized(gradients, parameters, weight_decay)
    new_sums = torch._foreach_addcmul(sums, gradients, gradients)
    along = _divided(gradients, new_sums, eps)
    return _by_parameter(_descend(parameters, along, rate), new_sums)


@kernels.register(Aliasing.FRESH)
def rmsprop_update(
    rate: float,
    *arrays: Tensor,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> Any:
    """Update all parameters in one call for each operation."""
    if momentum or centered or not _of_one(arrays, WIDE):
        return NotImplemented
    parameters, gradients, squares = (arrays[i::3] for i in range(3))
    if weight_decay:
        gradients = _penalized(gradients, parameters, weight_decay)
    new_squares = torch._foreach_mul(squares, alpha)
    torch._foreach_addcmul_(new_squares, gradients, gradients, 1 - alpha)
    along = _divided(gradients, new_squares, eps)
    return _by_parameter(_descend(parameters, along, rate), new_squares)


def _divided(
    gradients: Sequence[Tensor],
    squares: Sequence[Tensor],
    eps: float,
) -> Sequence[Tensor]:
    """Return gradient / (√square + eps) for all parameters."""
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, eps)
    return torch._foreach_div(gradients, roots)  # type: ignore[no-any-return]


def _by_loop(
    name: str,
    arrays: Sequence[Tensor],
    scalars: Sequence[Tensor],
    numbers: dict[str, float],
) -> tuple[Tensor, ...]:
    """Update each parameter of Adam by one loop."""
    results: list[Tensor] = []
    for i in range(0, len(arrays), 4):
        results += elementwise(name, *arrays[i : i + 4], *scalars, **numbers)
    return tuple(results)


def _fused_adam(
    step: Callable[..., Any],
    rate: float,
    eps: float,
    betas: tuple[float, float],
    arrays: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Update copies by a fused step of PyTorch's."""
    parameters, gradients, means, squares = (arrays[i::4] for i in range(4))
    new, new_means, new_squares = map(_copies, (parameters, means, squares))
    step(
        new,
        [g.contiguous() for g in gradients],
        new_means,
        new_squares,
        [],
        [_MANY] * len(new),
        lr=rate,
        beta1=betas[0],
        beta2=betas[1],
        eps=eps,
        amsgrad=False,
        maximize=False,
    )
    return _by_parameter(new, new_means, new_squares)


def _adam(
    rate: float,
    correction: float,
    betas: tuple[float, float],
    eps: float,
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Make one call for each operation of Adam."""
    beta1, beta2 = betas
    means = torch._foreach_lerp(means, gradients, 1 - beta1)
    squares = torch._foreach_mul(squares, beta2)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_mul_(roots, correction)
    torch._foreach_add_(roots, eps)
    new = torch._foreach_addcdiv(parameters, means, roots, -rate)
    return _by_parameter(new, means, squares)


def _penalized(
    gradients: tuple[Tensor, ...],
    parameters: tuple[Tensor, ...],
    weight_decay: float,
) -> tuple[Tensor, ...]:
    """Return gradient + weight_decay · parameter for all parameters."""
    return tuple(torch._foreach_add(gradients, parameters, alpha=weight_decay))


def _by_parameter(*kinds: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the arrays of each parameter in turn, from those of each kind."""
    return tuple(chain.from_iterable(zip(*kinds, strict=True)))


def _in_float32(
    step: Callable[..., Any],
    count: int,
    arrays: Sequence[Tensor],
) -> Any:
    """Update 16-bit parameters, whose slots are float32, in float32, and round them once.

    The count is that of the arrays of each parameter.
    """
    if not {*map(_dtype_of, arrays)} <= _IN_FLOAT32:
        return NotImplemented
    results = [*step(*[x.float() for x in arrays])]
    new, old = results[:: count - 1], arrays[::count]
    results[:: count - 1] = [x.to(like.dtype) for x, like in zip(new, old, strict=True)]
    return tuple(results)


def _of_one(arrays: Sequence[Tensor], dtypes: set[torch.dtype]) -> bool:
    """Return whether all arrays have the same dtype, and it is one of these."""
    known = {*map(_dtype_of, arrays)}
    return len(known) == 1 and known <= dtypes


def _copies(arrays: Sequence[Tensor]) -> list[Tensor]:
    return [x.detach().clone(memory_format=torch.contiguous_format) for x in arrays]
