"""A primitive is a function, and a kernel stands in for it."""

import copy
import inspect
import pickle
import pydoc
import sys

import numpy as np
import pytest
from helpers import host
from kernels_and_references import OTHERS, PRIMITIVES

import anynet
from anynet import functions, primitives
from anynet.backend import kernels_for
from anynet.errors import ArgumentTypeError
from anynet.tracing.standard import STANDARD
from anynet.tracing.trace import Primitive


@pytest.mark.parametrize("name", sorted({*PRIMITIVES, *functions.__all__}))
def test_help_and_inspect_see_the_reference(name):
    """As of a function: its name, docstring, signature, module and source."""
    function = getattr(functions, name, None) or PRIMITIVES[name]
    text = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert f"\n{name}(" in text
    assert "Primitive" not in text.partition("\n")[2]
    assert function.__name__ == function.__qualname__ == name
    assert inspect.getdoc(function).splitlines()[0] in text
    assert inspect.isroutine(function)
    assert inspect.signature(function).parameters
    assert f"def {name}(" in inspect.getsource(function)
    assert getattr(sys.modules[function.__module__], name) is function
    assert pickle.loads(pickle.dumps(function)) is copy.deepcopy(function) is function


def test_primitive_in_a_class_is_not_bound():
    class Layer:
        activation = functions.relu

    assert Layer().activation is Layer.activation is functions.relu
    assert host(Layer().activation(np.array([-1.0, 2.0]))).tolist() == [
        0,
        2,
    ]


def test_every_kernel_belongs_to_a_primitive(backend):
    assert kernels_for(backend.xp).keys() <= {*PRIMITIVES, *STANDARD, *OTHERS}


def test_kernel_replaces_a_function_of_the_standard(monkeypatch):
    monkeypatch.setattr(
        "anynet.tracing.trace.kernels_for",
        lambda xp: {"exp": lambda x: x + 1},
    )
    assert Primitive("exp")(np.ones(2)).tolist() == [2, 2]


def test_arguments_without_an_array_raise():
    with pytest.raises(
        TypeError,
        match=r"^relu: list was given: wanted an array, as get_backend\(\)\.asarray",
    ):
        functions.relu([1.0, -2.0])
    with pytest.raises(
        TypeError,
        match=r"^affine: list was given: wanted an array, as get_backend\(\)\.asarray",
    ):
        primitives.affine([[1.0, 2.0]], np.ones((2, 3)), None)


def test_missing_settings_are_named(backend):
    images = backend.asarray(np.ones((1, 1, 4, 4), "float32"))
    weight = backend.asarray(np.ones((1, 1, 2, 2), "float32"))

    def total(x):
        return anynet.primitives.conv2d(x, weight, None).sum()

    for function in (total, anynet.grad(total)):
        with pytest.raises(ArgumentTypeError, match=r"conv2d: missing .*stride.*wanted x, weight"):
            function(images)
    with pytest.raises(ArgumentTypeError, match=r"max_pool2d: missing .*kernel"):
        anynet.primitives.max_pool2d(images)
