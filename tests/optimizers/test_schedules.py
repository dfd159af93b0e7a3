"""Schedules beside PyTorch's, their ends, and their settings."""

import copy
import math
import pickle

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import layers, optimizers
from anynet.errors import ArgumentError, ArgumentTypeError, AttributeNameError
from anynet.optimizers import schedules

STEPS = 50


def of_pytorch(make, steps=STEPS):
    """Return the rates that a scheduler of PyTorch gives."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for i in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if i + 1 < steps:
            scheduler.step()
    return rates


def sequence(lr, optimizer):
    parts = [
        lr.LinearLR(optimizer, start_factor=0.1, total_iters=7),
        lr.StepLR(optimizer, step_size=4, gamma=0.5),
        lr.CosineAnnealingLR(optimizer, T_max=25),
    ]
    return lr.SequentialLR(optimizer, parts, milestones=[7, 25])


def one_cycle(**settings):
    return lambda lr, optimizer: lr.OneCycleLR(
        optimizer, 0.2, total_steps=STEPS, cycle_momentum=False, **settings
    )


AS_PYTORCH = {
    "constant": (
        schedules.Constant(0.2),
        lambda lr, optimizer: lr.ConstantLR(optimizer, factor=1.0),
    ),
    "step": (
        schedules.Step(0.2, 7),
        lambda lr, optimizer: lr.StepLR(optimizer, 7),
    ),
    "multi-step": (
        schedules.MultiStep(0.2, [3, 20, 20, 45], gamma=0.7),
        lambda lr, optimizer: lr.MultiStepLR(optimizer, [3, 20, 20, 45], gamma=0.7),
    ),
    "exponential": (
        schedules.Exponential(0.2, 0.9),
        lambda lr, optimizer: lr.ExponentialLR(optimizer, 0.9),
    ),
    "rising exponential": (
        schedules.Exponential(0.2, 1.1),
        lambda lr, optimizer: lr.ExponentialLR(optimizer, 1.1),
    ),
    "polynomial": (
        schedules.Polynomial(0.2, STEPS, power=2.5),
        lambda lr, optimizer: lr.PolynomialLR(optimizer, STEPS, power=2.5),
    ),
    "linear": (
        schedules.Linear(0.2, 20),
        lambda lr, optimizer: lr.LinearLR(optimizer, total_iters=20),
    ),
    "linear to zero": (
        schedules.Linear(0.2, STEPS, start_factor=1.0, end_factor=0.0),
        lambda lr, optimizer: lr.LinearLR(optimizer, 1.0, 0.0, total_iters=STEPS),
    ),
    "cosine": (
        schedules.Cosine(0.2, STEPS, min_lr=0.01),
        lambda lr, optimizer: lr.CosineAnnealingLR(optimizer, STEPS, eta_min=0.01),
    ),
    "restarts": (
        schedules.CosineRestarts(0.2, 12, min_lr=0.01),
        lambda lr, optimizer: lr.CosineAnnealingWarmRestarts(optimizer, 12, eta_min=0.01),
    ),
    "longer restarts": (
        schedules.CosineRestarts(0.2, 3, multiplier=2),
        lambda lr, optimizer: lr.CosineAnnealingWarmRestarts(optimizer, 3, T_mult=2),
    ),
    "one cycle": (schedules.OneCycle(0.2, STEPS), one_cycle()),
    "linear cycle": (
        schedules.OneCycle(0.2, STEPS, 0.5, "linear", div_factor=10.0, final_div_factor=100.0),
        one_cycle(pct_start=0.5, anneal_strategy="linear", div_factor=10.0, final_div_factor=100.0),
    ),
    "three phases": (
        schedules.OneCycle(0.2, STEPS, pct_start=0.25, three_phase=True),
        one_cycle(pct_start=0.25, three_phase=True),
    ),
    "warm-up": (
        schedules.Warmup(schedules.Cosine(0.2, 45), 5),
        lambda lr, optimizer: lr.SequentialLR(
            optimizer,
            [
                lr.LinearLR(optimizer, start_factor=1 / 6, total_iters=5),
                lr.CosineAnnealingLR(optimizer, T_max=45),
            ],
            milestones=[5],
        ),
    ),
    "joined": (
        schedules.Joined(
            (
                schedules.Linear(0.2, 7, start_factor=0.1),
                schedules.Step(0.2, 4, gamma=0.5),
                schedules.Cosine(0.2, 25),
            ),
            (7, 25),
        ),
        sequence,
    ),
}


@pytest.mark.parametrize("name", AS_PYTORCH)
def test_fifty_steps_agree_with_pytorch(name):
    rate, make = AS_PYTORCH[name]
    ours = [rate(i) for i in range(STEPS)]
    assert ours == pytest.approx(of_pytorch(make), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(
    "settings",
    [
        {"factor": 0.5, "patience": 2},
        {"factor": 0.5, "patience": 0, "cooldown": 3, "min_lr": 0.02},
        {"mode": "max", "patience": 1, "threshold": 0.05},
        {"mode": "max", "patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 1, "threshold": 0.3, "threshold_mode": "abs", "eps": 0.01},
    ],
)
def test_plateau_agrees_with_pytorch(settings):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    rate = schedules.Plateau(0.2, **settings)
    rng = np.random.default_rng(0)
    scores = [*rng.normal(size=20), math.nan, *np.linspace(0, 3, 15), *rng.normal(size=14) * 2]
    for i, score in enumerate(scores):
        assert rate(i) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step(score)
        rate.step(score)
    assert rate(0) < 0.2


def test_warmup_of_no_steps_is_the_schedule():
    cosine = schedules.Cosine(0.1, 30)
    rate = schedules.Warmup(cosine, 0)
    assert [rate(i) for i in range(30)] == [cosine(i) for i in range(30)]


def test_numbers_and_functions_are_schedules():
    rate = schedules.Joined((0.5, lambda step: 0.1 * step), [3])
    assert [rate(i) for i in range(6)] == [0.5, 0.5, 0.5, 0.0, 0.1, 0.2]
    assert schedules.Warmup(0.4, 3)(1) == pytest.approx(0.2)


ENDS = {
    "cosine": (schedules.Cosine(0.1, 10), 10),
    "cosine with a lowest rate": (schedules.Cosine(0.1, 10, min_lr=0.01), 10),
    "polynomial": (schedules.Polynomial(0.1, 10), 10),
    "linear to zero": (schedules.Linear(0.1, 10, end_factor=0.0), 10),
    "one cycle": (schedules.OneCycle(0.1, 10), 9),
    "inside a warm-up": (schedules.Warmup(schedules.Cosine(0.1, 10), 5), 15),
    "joined": (schedules.Joined((0.1, schedules.Cosine(0.1, 10)), (5,)), 15),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_step_past_the_end_raises(name):
    rate, last = ENDS[name]
    assert rate(last) < 0.1
    for step in (last + 1, 10 * last):
        with pytest.raises(ArgumentError, match=r"ends with step .*more steps.*Joined\("):
            rate(step)


def test_the_remedy_of_the_error_works():
    cosine = schedules.Cosine(0.1, 10)
    rate = schedules.Joined((cosine, schedules.Constant(0.001)), (11,))
    assert (rate(10), rate(11), rate(500)) == (cosine(10), 0.001, 0.001)


@pytest.mark.parametrize(
    "rate",
    [
        schedules.Constant(0.1),
        schedules.Step(0.1, 3),
        schedules.MultiStep(0.1, (3, 5)),
        schedules.Exponential(0.1, 0.5),
        schedules.Linear(0.1, 3),
        schedules.CosineRestarts(0.1, 3),
        schedules.Plateau(0.1),
        schedules.Warmup(0.1, 3),
    ],
)
def test_schedules_without_an_end(rate):
    assert 0 <= rate(10_000) <= 0.1
    assert rate(10_000) == rate(10_000)
    with pytest.raises(ArgumentError, match="steps count from 0"):
        rate(-1)


def test_an_update_past_the_end_changes_nothing(backend):
    net = {"w": backend.asarray([1.0])}
    optimizer = optimizers.Momentum(schedules.Polynomial(0.1, 1))
    for _ in range(2):
        optimizer.update(net, {"w": backend.asarray([1.0])})
    before, updates = net["w"], optimizer.updates
    with pytest.raises(ArgumentError, match="ends with step 1, and the rate of step 2 was wanted"):
        optimizer.update(net, {"w": backend.asarray([1.0])})
    assert net["w"] is before
    assert optimizer.updates == updates == 2


def test_a_rate_that_overflows_raises(backend):
    optimizer = optimizers.SGD(schedules.Exponential(0.1, 10.0))
    net, grads = {"w": backend.asarray([1.0])}, {"w": backend.asarray([1.0])}
    optimizer.load_state_dict({**optimizer.state_dict(), "updates": 400})
    with pytest.raises(ArgumentError, match="gives the learning rate inf for step 400"):
        optimizer.update(net, grads)


@pytest.mark.parametrize(
    "rate",
    [schedules.Cosine(0.1, 10), schedules.Plateau(0.1), schedules.Joined((0.1, 0.2), (3,))],
)
def test_an_assignment_raises(rate):
    name = "learning_rate" if hasattr(rate, "learning_rate") else "schedules"
    with pytest.raises(AttributeNameError, match=rf"{name} was assigned.*optimizer.learning_rate"):
        setattr(rate, name, 0.2)
    with pytest.raises(AttributeNameError):
        delattr(rate, name)


def test_repr_shows_the_settings():
    texts = {
        "Cosine(learning_rate=0.1, steps=10, min_lr=0.0)": schedules.Cosine(np.float64(0.1), 10),
        "Warmup(schedule=Constant(learning_rate=0.1), steps=3)": schedules.Warmup(
            schedules.Constant(0.1), 3
        ),
        "MultiStep(learning_rate=0.1, milestones=(3, 5), gamma=0.1)": schedules.MultiStep(
            0.1, [3, 5]
        ),
        "Joined(schedules=(0.1, Step(learning_rate=0.2, step_size=2, gamma=0.1)), "
        "boundaries=(3,))": schedules.Joined([0.1, schedules.Step(0.2, 2)], [3]),
    }
    for text, rate in texts.items():
        assert repr(rate) == text
        assert eval(text, vars(schedules)) == rate
    plateau = schedules.Plateau(0.1, patience=0)
    before = repr(plateau)
    plateau.step(1.0)
    plateau.step(2.0)
    assert repr(plateau) == before
    assert plateau(0) == pytest.approx(0.01)


def test_copies_have_a_state_of_their_own():
    rate = schedules.Warmup(schedules.Plateau(0.1, patience=0, factor=0.5), 2)
    rate.schedule.step(1.0)
    for other in (copy.deepcopy(rate), pickle.loads(pickle.dumps(rate))):
        other.schedule.step(1.0)
        assert (rate(5), other(5)) == (0.1, 0.05)


def test_a_plateau_in_other_schedules_resumes():
    make = lambda: schedules.Joined(
        (schedules.Constant(0.3), schedules.Warmup(schedules.Plateau(0.1, patience=0), 2)), (4,)
    )
    first, second = make(), make()
    for score in (1.0, 1.0, 0.5, 0.6):
        first.schedules[1].schedule.step(score)
    optimizer, other = optimizers.SGD(first), optimizers.SGD(second)
    other.load_state_dict(optimizer.state_dict())
    assert second(20) == first(20) == pytest.approx(0.001)
    state = first.state_dict()
    state["0"] = {}
    with pytest.raises(ArgumentError, match="has no state"):
        second.load_state_dict(state)
    with pytest.raises(ArgumentError, match="the state of Plateau lacks 'best'"):
        schedules.Plateau(0.1).load_state_dict({"rate": 0.1, "bad": 0, "cooldown": 0})


def test_a_failing_state_changes_no_part():
    plateau = lambda: schedules.Plateau(0.1, patience=0)
    rate = schedules.Joined((plateau(), plateau()), (4,))
    before, other = rate.state_dict(), plateau()
    other.step(1.0)
    other.step(2.0)
    with pytest.raises(ArgumentError):
        rate.load_state_dict({"0": other.state_dict(), "1": {}})
    assert rate.state_dict() == before


def test_compiled_steps_follow_a_plateau(backend):
    plateau = schedules.Plateau(0.5, factor=0.5, patience=0)
    optimizer, net = optimizers.SGD(plateau), {"w": backend.asarray([8.0])}

    @anynet.compile
    def step(net, optimizer, gradient):
        optimizer.update(net, {"w": gradient})
        return net["w"]

    values = []
    for score in (3.0, 2.0, 2.0, 1.0, 1.0):
        values.append(float(step(net, optimizer, backend.asarray([1.0]))[0]))
        plateau.step(score)
    assert values == [7.5, 7.0, 6.5, 6.25, 6.0]
    assert len(step.programs) == 1


@pytest.mark.parametrize("compile", [False, True])
def test_fit_calls_a_plateau_after_each_epoch(backend, compile):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    settings = {"factor": 0.5, "patience": 1, "threshold": 0.02}
    plateau = schedules.Plateau(2.0, **settings)
    net = layers.Sequential(layers.Linear(2, 2), seed=0, backend=backend)
    data = backend.asarray(np.ones((4, 2), "float32")), backend.asarray([0, 1, 0, 1])
    before, optimizer = host(net[0].bias), optimizers.SGD(plateau)
    history = anynet.fit(
        net,
        data,
        optimizer=optimizer,
        epochs=8,
        callbacks=[plateau],
        compile=compile,
        progress=False,
    )
    assert not np.allclose(host(net[0].bias), before)
    peer = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(peer, **settings)
    for epoch in history.epochs:
        peer.step()
        theirs.step(epoch.loss)
    assert plateau(0) == peer.param_groups[0]["lr"] < 2.0


def test_an_unknown_score_raises():
    class Run:
        history = anynet.training.History(
            [anynet.training.Epoch(1, 0.5, {"accuracy": 0.75}, {"accuracy": 0.5}, 2.0)]
        )

    plateau = schedules.Plateau(0.1, monitor="test acuracy", mode="max")
    with pytest.raises(ArgumentError, match="did you mean 'test accuracy'"):
        plateau.on_epoch_end(Run())
    plateau = schedules.Plateau(0.1, monitor="test accuracy", mode="max")
    plateau.on_epoch_end(Run())
    assert plateau.state_dict()["best"] == 0.5


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf])
def test_learning_rate_out_of_range_raises(rate):
    for make in (
        lambda: schedules.Constant(rate),
        lambda: schedules.Warmup(rate, 2),
        lambda: schedules.OneCycle(rate, 10),
        lambda: schedules.Plateau(rate),
        lambda: schedules.Joined((rate, 0.1), (2,)),
    ):
        with pytest.raises(
            ArgumentError,
            match=r" is .*: wanted a finite number above 0",
        ):
            make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.Cosine(0.1, 0), "steps is 0: wanted 1 or more"),
        (lambda: schedules.Cosine(0.1, 2.5), "steps is 2.5: wanted a whole number"),
        (lambda: schedules.Cosine(0.1, 10, min_lr=0.2), "min_lr is 0.2 and learning_rate is 0.1"),
        (lambda: schedules.Step(0.1, 0), "step_size is 0: wanted 1 or more"),
        (lambda: schedules.Step(0.1, 3, gamma=0.0), "gamma is 0.0: wanted a finite number above 0"),
        (lambda: schedules.MultiStep(0.1, (5, 3)), "wanted steps in increasing order"),
        (lambda: schedules.MultiStep(0.1, 5), "milestones is 5: wanted a tuple of steps"),
        (lambda: schedules.Exponential(0.1, math.nan), "gamma is nan"),
        (lambda: schedules.Polynomial(0.1, 5, power=-1), "power is -1"),
        (lambda: schedules.CosineRestarts(0.1, 5, multiplier=0), "multiplier is 0"),
        (lambda: schedules.Warmup(0.1, -1), "steps is -1: wanted 0 or more"),
        (lambda: schedules.Warmup(schedules.Cosine, 3), "schedule is the class Cosine"),
        (lambda: schedules.Joined((0.1, 0.2), (3, 4)), "there are 2 schedules and 2 boundaries"),
        (lambda: schedules.Joined((0.1,), ()), "there are 1 schedules and 0 boundaries"),
        (lambda: schedules.Joined((0.1, 0.2, 0.3), (3, 3)), "wanted different steps"),
        (lambda: schedules.Joined((0.1, 0.2), (0,)), "one of boundaries is 0: wanted 1 or more"),
        (lambda: schedules.Joined((schedules.Cosine(0.1, 3), 0.2), (5,)), "ends with step 3"),
        (lambda: schedules.OneCycle(0.1, 1), "steps is 1: wanted 2 or more"),
        (lambda: schedules.OneCycle(0.1, 10, 1.0), "wanted a number above 0.1 and below 1"),
        (lambda: schedules.OneCycle(0.1, 10, 0.1), "wanted a number above 0.1 and below 1"),
        (lambda: schedules.OneCycle(0.1, 10, 0.6, three_phase=True), "and at most 0.5"),
        (lambda: schedules.OneCycle(0.1, 10, anneal_strategy="cosine"), "wanted 'cos' or 'linear'"),
        (
            lambda: schedules.OneCycle(0.1, 10, final_div_factor=0.5),
            "final_div_factor is 0.5: wanted a finite number of 1",
        ),
        (lambda: schedules.Plateau(0.1, mode="low"), "mode is 'low': wanted 'min' or 'max'"),
        (lambda: schedules.Plateau(0.1, factor=1.0), "factor is 1.0"),
        (lambda: schedules.Plateau(0.1, patience=-1), "patience is -1"),
    ],
)
def test_settings_out_of_range_raise(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_a_score_that_is_no_number_raises():
    with pytest.raises(ArgumentTypeError, match="the score is 'low'"):
        schedules.Plateau(0.1).step("low")


@pytest.mark.parametrize(
    ("optimizer", "steps"),
    [
        (lambda rate: optimizers.SGD(rate), 6),
        (lambda rate: optimizers.Clipping(optimizers.Adam(rate), max_norm=1.0), 6),
        (lambda rate: optimizers.Accumulation(optimizers.SGD(rate), 2), 12),
        (lambda rate: optimizers.Groups(("layers.0", optimizers.SGD(rate)), None), 6),
    ],
)
def test_fit_checks_the_end_of_a_schedule_first(optimizer, steps):
    data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])

    def train(net, epochs):
        rate = schedules.OneCycle(0.1, 6)
        return anynet.fit(net, data, optimizer=optimizer(rate), epochs=epochs, progress=False)

    net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    before = net[0].weight
    with pytest.raises(ArgumentError, match="ends with step 5"):
        train(net, steps + 2)
    assert net[0].weight is before
    assert len(train(net, steps).epochs) == steps


def test_fit_goes_on_with_a_schedule():
    net = layers.Sequential(layers.Linear(2, 2), seed=0, backend="numpy")
    data = np.ones((4, 2), "float32"), np.asarray([0, 1, 0, 1])
    optimizer, history = optimizers.SGD(schedules.OneCycle(0.1, 6)), None
    for epochs in (2, 4, 6):
        history = anynet.fit(
            net, data, optimizer=optimizer, epochs=epochs, history=history, progress=False
        )
    assert optimizer.updates == 6
    with pytest.raises(ArgumentError, match="the rate of step 6 was wanted"):
        anynet.fit(net, data, optimizer=optimizer, epochs=7, history=history, progress=False)
    assert len(history.epochs) == 6


def test_unknown_and_missing_arguments_raise():
    with pytest.raises(ArgumentTypeError, match=r"Cosine takes no argument 'T_max'.*steps"):
        schedules.Cosine(0.1, T_max=10)
    with pytest.raises(ArgumentTypeError, match="did you mean 'step_size'"):
        schedules.Step(0.1, stepsize=10)
    with pytest.raises(ArgumentTypeError, match="missing a required argument: 'steps'"):
        schedules.Warmup(0.1)


def falling(step):
    return 0.1 * 0.9**step


def test_repr_of_an_optimizer_shows_the_settings_around_a_function():
    for rate, text in (
        (falling, "falling"),
        (schedules.Warmup(falling, 10), "Warmup(schedule=falling, steps=10)"),
        (schedules.Joined((falling, 0.5), (3,)), "Joined(schedules=(falling, 0.5), boundaries=(3,"),
    ):
        assert repr(optimizers.SGD(rate)).startswith(f"SGD({text}")
        assert repr(optimizers.Clipping(optimizers.SGD(rate), 1.0)).count("0x") == 0
