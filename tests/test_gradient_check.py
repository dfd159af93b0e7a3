import numpy as np
import pytest
from helpers import host, normal

import anynet
from anynet import autodiff, layers, losses
from anynet.array import array_namespace
from anynet.autodiff.rules import RULES
from anynet.errors import ArgumentError, DifferentiationError
from anynet.gradient_check import GradientError
from anynet.primitives import affine, relu
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import primitive


def total(x):
    return array_namespace(x).sum(x)


def problem(backend, width=3, features=4):
    """Return a loss and a network whose weights have whole float64 numbers."""
    net = layers.Sequential(
        layers.Linear(features, width),
        layers.Tanh(),
        layers.Linear(width, 3),
        seed=0,
        backend=backend,
        dtype=backend.xp.float64,
    )
    x, t = (
        normal(backend, 6, features),
        backend.asarray([0, 1, 2, 0, 1, 2]),
    )
    return lambda net: losses.cross_entropy(net(x), t), net


def test_small_network_is_checked_element_by_element(backend):
    report = anynet.check_gradients(*problem(backend))
    assert report
    assert report.every_element
    assert [check.path for check in report.checks] == [
        f"layers.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")
    ]
    assert all(check.error <= 1e-6 for check in report.checks)
    assert "every element" in str(report)


def test_large_network_is_checked_along_random_directions(backend):
    report = anynet.check_gradients(*problem(backend, width=40, features=50))
    assert not report.every_element
    assert all(check.error <= 1e-7 for check in report.checks)
    assert "random directions" in str(report)


def test_kind_of_check_can_be_chosen(backend):
    f, net = problem(backend)
    assert not anynet.check_gradients(f, net, every_element=False).every_element
    assert anynet.check_gradients(*problem(backend, 40, 50), every_element=True).every_element


def test_in_float32(backend):
    f, net = problem(backend)
    report = anynet.check_gradients(f, net, dtype=backend.xp.float32)
    assert report
    assert report.tolerance == 1e-2
    # The network is as it was: only copies are cast.
    assert all(p.dtype == backend.xp.float64 for p in net.parameters().values())


BROKEN = {
    "a factor": lambda g, w: g * 1.001,
    "the sign": lambda g, w: -g,
    "nothing": lambda g, w: g * 0,
    "not a number": lambda g, w: g * float("nan"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("every_element", [True, False])
def test_broken_rule_fails(backend, monkeypatch, how, every_element):
    right = affine.rule

    def broken(xp, out, x, weight, bias):
        to_x, to_weight, to_bias = right(xp, out, x, weight, bias)
        return to_x, lambda g: BROKEN[how](to_weight(g), weight), to_bias

    monkeypatch.setattr(affine, "rule", broken)
    f, net = problem(backend)
    with pytest.raises(GradientError) as caught:
        anynet.check_gradients(f, net, every_element=every_element)
    wrong = {
        check.path
        for check in caught.value.report.checks
        if not check.error <= caught.value.report.tolerance
    }
    assert wrong == {"layers.0.weight", "layers.2.weight"}
    message = str(caught.value)
    assert message.startswith("the analytic gradient is wrong\n")
    assert message.count("WRONG: above") == 2


@pytest.mark.parametrize("name", ["tanh", "exp", "multiply", "sum", "matmul"])
def test_broken_rule_of_the_standard_fails(backend, monkeypatch, name):
    def broken(xp, out, *args, **settings):
        pullbacks = RULES[name](xp, out, *args, **settings)
        several = pullbacks if isinstance(pullbacks, tuple) else (pullbacks,)
        return tuple((lambda g, p=p: 1.01 * p(g)) for p in several)

    monkeypatch.setattr(STANDARD[name], "rule", broken)
    f = {
        "matmul": lambda x: total(x @ x),
        "multiply": lambda x: total(x * x),
    }.get(name, lambda x: total(getattr(array_namespace(x), name)(x) ** 2))
    with pytest.raises(GradientError, match="argument"):
        anynet.check_gradients(f, normal(backend, 3, 3))


def test_report_names_the_worst_element(backend):
    @primitive(lambda xp, out, x: lambda g: 2 * x * g + xp.astype(x > 2, x.dtype))
    def square(x):
        return x**2

    x = backend.asarray(np.array([[0.5, 1.0], [3.0, -1.0]]))
    with pytest.raises(GradientError) as caught:
        anynet.check_gradients(lambda x: total(square(x["x"])), {"x": x})
    (check,) = caught.value.report.checks
    assert (check.path, check.shape, check.worst) == ("x", (2, 2), (1, 0))
    assert (check.analytic, check.numerical) == (7.0, pytest.approx(6.0))
    assert check.error == pytest.approx(1 / 6)


@pytest.mark.parametrize("every_element", [True, False])
@pytest.mark.parametrize("place", [0, 2])
def test_one_nan_derivative_fails(backend, every_element, place):
    """It may be any element, and any direction."""
    at = backend.asarray(np.arange(3) == place)

    @primitive(lambda xp, out, x: lambda g: xp.where(at, xp.full_like(g, float("nan")), 2 * x * g))
    def square(x):
        return x**2

    with pytest.raises(GradientError) as caught:
        anynet.check_gradients(
            lambda x: total(square(x)),
            normal(backend, 3),
            every_element=every_element,
        )
    (check,) = caught.value.report.checks
    assert not check.error <= 1
    if every_element:
        assert check.worst == (place,)


def test_nan_along_one_direction_fails(backend):
    """Most directions are right. The median would pass."""
    calls = []

    def f(x):
        calls.append(1)
        return total(x**2) * (float("nan") if len(calls) == 6 else 1.0)

    with pytest.raises(GradientError):
        anynet.check_gradients(f, normal(backend, 3), every_element=False)


def test_complex_points(backend):
    z = backend.asarray(np.array([1 + 2j, 3 - 1j]))
    f = lambda z: total(array_namespace(z).abs(z) ** 4)
    assert anynet.check_gradients(f, z)
    assert anynet.check_gradients(f, z, every_element=False)
    halved = anynet.custom_vjp(f, lambda g, out, z: g * anynet.grad(f)(z) / 2)
    for every_element in (True, False):
        with pytest.raises(GradientError):
            anynet.check_gradients(halved, z, every_element=every_element)


def test_rounding_of_a_large_value_passes(backend):
    """The derivative is zero, and the differences are not."""
    assert anynet.check_gradients(lambda x: total(x * 0) + 1e6, normal(backend, 4))
    assert anynet.check_gradients(lambda x: total(relu(x - 100)), normal(backend, 4))


def test_arguments_without_parameters_raise(backend):
    with pytest.raises(
        DifferentiationError,
        match="nothing to check: list holds no floating array",
    ):
        anynet.check_gradients(total, [backend.asarray([1, 2])])


def test_directions_are_the_same_on_every_backend(backend):
    reports = [
        anynet.check_gradients(*problem(b, 40, 50), directions=1)
        for b in (anynet.get_backend("numpy"), backend)
    ]
    for ours, theirs in zip(reports[0].checks, reports[1].checks, strict=True):
        assert ours.analytic == pytest.approx(theirs.analytic, rel=1e-10)
    assert host(autodiff.grad(total)(normal(backend, 2))).tolist() == [
        1,
        1,
    ]
    golden = [
        0.020608707298046366,
        0.04091735745091225,
        0.0062591573244693555,
        -0.1721750581075236,
    ]
    assert [check.analytic for check in reports[1].checks] == pytest.approx(golden, rel=1e-9)


@pytest.mark.parametrize("tolerance", [0, -1.0, float("nan"), "1e-6"])
def test_tolerance_is_above_zero(tolerance):
    with pytest.raises(ArgumentError, match=r"tolerance is .*: wanted a number above 0"):
        anynet.check_gradients(lambda x: x * x, np.asarray(3.0), tolerance=tolerance)
