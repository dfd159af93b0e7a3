"""Schedules beside PyTorch's. The plain cosine is in test_optimizers.py."""

import math

import pytest

from anynet.errors import ArgumentError
from anynet.optimizers import schedules


def of_pytorch(make, steps):
    """Return the rates that a scheduler of PyTorch gives."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("steps", "warmup"), [(20, 5), (20, 0), (7, 6)])
def test_warmup_cosine_agrees_with_pytorch(steps, warmup):
    def make(schedulers, optimizer):
        cosine = schedulers.CosineAnnealingLR(optimizer, T_max=steps - warmup)
        if not warmup:
            return cosine
        linear = schedulers.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        return schedulers.SequentialLR(optimizer, [linear, cosine], milestones=[warmup])

    rate = schedules.WarmupCosine(0.2, steps, warmup)
    assert [rate(i) for i in range(steps)] == pytest.approx(of_pytorch(make, steps), rel=1e-9)
    assert rate(warmup) == 0.2
    assert rate(steps) == rate(10 * steps) == pytest.approx(0.0)


@pytest.mark.parametrize("steps", [10, 37])
@pytest.mark.parametrize(
    "settings",
    [{}, {"rise": 0.5, "start_divisor": 10.0, "end_divisor": 100.0}],
)
def test_one_cycle_agrees_with_pytorch(steps, settings):
    names = {
        "rise": "pct_start",
        "start_divisor": "div_factor",
        "end_divisor": "final_div_factor",
    }
    given = {names[name]: value for name, value in settings.items()}
    make = lambda schedulers, optimizer: schedulers.OneCycleLR(
        optimizer, 0.2, total_steps=steps, cycle_momentum=False, **given
    )
    rate = schedules.OneCycle(0.2, steps, **settings)
    # Its scheduler does not go beyond the last step.
    assert [rate(i) for i in range(steps - 1)] == pytest.approx(
        of_pytorch(make, steps - 1), rel=1e-9
    )
    assert (
        rate(steps - 1)
        == rate(10 * steps)
        == pytest.approx(0.2 / rate.start_divisor / rate.end_divisor)
    )


def test_warmup_of_no_steps_is_cosine():
    both = schedules.WarmupCosine(0.1, 30, 0), schedules.Cosine(0.1, 30)
    assert [both[0](i) for i in range(40)] == pytest.approx([both[1](i) for i in range(40)])


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf])
def test_learning_rate_out_of_range_raises(rate):
    for make in (
        lambda: schedules.WarmupCosine(rate, 10, 2),
        lambda: schedules.OneCycle(rate, 10),
    ):
        with pytest.raises(
            ArgumentError,
            match=r"learning_rate is .*: wanted a finite number above 0",
        ):
            make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: schedules.WarmupCosine(0.1, 10, 10),
            "warmup is 10 and steps is 10: wanted 0 or more, below all",
        ),
        (
            lambda: schedules.WarmupCosine(0.1, 10, -1),
            "warmup is -1 and steps is 10",
        ),
        (
            lambda: schedules.OneCycle(0.1, 1),
            "steps is 1: wanted 2 or more",
        ),
        (
            lambda: schedules.OneCycle(0.1, 10, 1.0),
            "rise is 1.0: wanted a number above 0.1 and below 1",
        ),
        (
            lambda: schedules.OneCycle(0.1, 10, 0.1),
            "rise is 0.1: wanted a number above 0.1 and below 1",
        ),
        (
            lambda: schedules.OneCycle(0.1, 10, end_divisor=0.5),
            "end_divisor is 0.5: wanted a finite number of 1",
        ),
    ],
)
def test_settings_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
