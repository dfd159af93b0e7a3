"""Targets: the functions of a backend for compiled steps."""

import numpy as np
import pytest
from helpers import host, normal
from pretended_graphs import Pretended

import anynet
from anynet.array import array_namespace
from anynet.backend import get_backend
from anynet.compiler.target import CompilerTarget, target_of


def test_array_has_the_target_of_its_backend(backend):
    target = target_of(normal(backend, 2))
    assert type(target) is type(target_of(backend))
    assert target.backend.name == backend.name


def test_library_without_a_target_has_the_default():
    pytest.importorskip("array_api_strict")
    assert type(target_of(get_backend("array_api_strict"))) is CompilerTarget


def test_plain_target_calls_the_function(backend):
    target = CompilerTarget(backend)
    assert not target.has_loop
    x = normal(backend, 3)
    run = target.compile(lambda x, y, k: [x + k * y], [])
    np.testing.assert_allclose(host(run([x, x], [2.0])[0]), 3 * host(x))
    assert target.shares_memory(x, x)
    assert not target.shares_memory(x, x + 1)


def test_memory_has_the_order_of_the_strides(backend):
    """Libraries round sums of rows and of columns differently."""
    target = target_of(backend)
    x = backend.xp.permute_dims(normal(backend, 4, 3, 2), (1, 2, 0))
    memory = target.empty(x.shape, x.dtype, backend.strides(x))
    assert memory.shape == x.shape
    assert memory.dtype == x.dtype
    if type(target) is not CompilerTarget and not target.has_loop:
        assert backend.strides(memory) == backend.strides(x)


def test_graphs_and_loops_need_only_a_driver(monkeypatch):
    class Target(CompilerTarget):
        driver = Pretended()

    numpy = get_backend("numpy")
    monkeypatch.setattr(type(numpy), "target", Target)
    assert target_of(numpy).has_loop
    step = anynet.compile(lambda x: array_namespace(x).sum(x * 2.0))
    for i in range(4):
        assert step(np.full(3, float(i))) == 6 * i
    assert (Target.driver.captured, Target.driver.launched) == (1, 2)
    rows = np.arange(6.0).reshape(3, 2)
    by_row = anynet.compile(lambda row: array_namespace(row).sum(row))
    np.testing.assert_array_equal(by_row.for_each(rows), [1, 5, 9])
