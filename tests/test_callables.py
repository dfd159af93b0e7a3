"""Every transformation takes any callable, and keeps the name of a function."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from helpers import host

import anynet
from anynet import autodiff
from anynet.array import array_namespace
from anynet.callables import name_of
from anynet.errors import ArgumentTypeError


class Foreign:
    """A callable of another language.

    Every attribute exists, none has the type that Python expects.
    """

    def __init__(self, f):
        self._f = f

    def __call__(self, *args, **named):
        return self._f(*args, **named)

    def __getattr__(self, name):
        if name.startswith("__array"):
            raise AttributeError(name)
        return Foreign(lambda *args: 0)


class WithoutStrings(Foreign):
    def __init__(self, f):
        super().__init__(f)
        self.__name__, self.__qualname__, self.__doc__, self.__module__ = (
            3,
            None,
            5,
            7,
        )


class Raising(Foreign):
    @property
    def __name__(self):
        raise RuntimeError("no name")


class Plain:
    def __init__(self, f):
        self._f = f

    def method(self, *args, **named):
        return self._f(*args, **named)

    __call__ = method


def squares(x):
    """Return the sum of squares."""
    return array_namespace(x).sum(x * x)


CALLABLES = {
    "foreign": Foreign,
    "without strings": WithoutStrings,
    "raising": Raising,
    "object": Plain,
    "method": lambda f: Plain(f).method,
    "partial": lambda f: partial(lambda factor, x: factor * f(x), 1.0),
    "partial of a method": lambda f: partial(Plain(f).method),
}

TRANSFORMATIONS = {
    "grad": lambda f, x: anynet.grad(f)(x),
    "value_and_grad": lambda f, x: anynet.value_and_grad(f)(x)[1],
    "grad by name": lambda f, x: anynet.grad(f, argnames="x")(x=x),
    "jacobian": lambda f, x: anynet.jacobian(f)(x),
    "hessian": lambda f, x: anynet.hessian(f)(x),
    "hvp": lambda f, x: anynet.hvp(f, x, x),
    "vjp": lambda f, x: anynet.vjp(f, x)[1](x[0] ** 0)[0],
    "jvp": lambda f, x: anynet.jvp(f, (x,), (x,))[1],
    "vmap": lambda f, x: anynet.vmap(f)(x),
    "checkpoint": lambda f, x: anynet.grad(autodiff.remat(f))(x),
    "custom_vjp": lambda f, x: anynet.grad(anynet.custom_vjp(f, lambda g, out, x: 2 * g * x))(x),
    "compile": lambda f, x: [anynet.compile(f)(x) for _ in range(2)][1],
    "compile a gradient": lambda f, x: [anynet.compile(anynet.grad(f))(x) for _ in range(2)][1],
    "numerical_gradient": lambda f, x: anynet.numerical_gradient(f, x),
}


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("kind", CALLABLES)
def test_transformations_take_any_callable(backend, kind, transformation):
    x = backend.asarray(np.array([1.0, 2.0, 3.0]))
    transform = TRANSFORMATIONS[transformation]
    assert np.array_equal(
        host(transform(CALLABLES[kind](squares), x)),
        host(transform(squares, x)),
    )


def test_names_and_docstrings_are_kept():
    for transform in (
        anynet.grad,
        anynet.vmap,
        anynet.jacobian,
        autodiff.remat,
        anynet.compile,
    ):
        found = transform(squares)
        assert found.__name__ == "squares"
        assert found.__doc__ == "Return the sum of squares."
        assert found.__wrapped__ is squares


def test_name_of_a_callable():
    assert name_of(squares) == "squares"
    assert name_of(Foreign(squares)) == name_of(Foreign) == "Foreign"
    assert name_of(partial(squares)) == "partial"
    assert repr(anynet.compile(WithoutStrings(squares))) == "compile(WithoutStrings): 0 recorded"


def test_compiled_steps_of_callables_are_copied():
    assert pickle.loads(pickle.dumps(anynet.compile(partial(squares)))).step.func is squares
    assert copy.deepcopy(anynet.compile(squares)).step is squares


@pytest.mark.parametrize("wrong", [3, None, "f", np.ones(2)], ids=["int", "None", "str", "array"])
def test_objects_that_are_not_callable_raise(wrong):
    x = np.ones(2)
    message = r"f is .*: wanted a function, as lambda x: xp\.sum\(x\*\*2\)"
    for use in (
        lambda: anynet.grad(wrong),
        lambda: anynet.value_and_grad(wrong),
        lambda: anynet.jacobian(wrong),
        lambda: anynet.hessian(wrong),
        lambda: anynet.vmap(wrong),
        lambda: anynet.compile(wrong),
        lambda: anynet.custom_vjp(wrong, squares),
        lambda: autodiff.remat(wrong),
        lambda: anynet.vjp(wrong, x),
        lambda: anynet.jvp(wrong, (x,), (x,)),
        lambda: anynet.hvp(wrong, x, x),
        lambda: anynet.numerical_gradient(wrong, x),
        lambda: anynet.check_gradients(wrong, x),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            use()
    with pytest.raises(ArgumentTypeError, match="pullback is None: wanted a function"):
        anynet.custom_vjp(squares, None)
