"""The source of a program is shown by tracebacks, and goes with the program."""

import gc
import linecache
import traceback

import numpy as np
import pytest
from compiled_steps import total
from helpers import assert_close, host, normal

import anynet
from anynet.compiler.source import function_of, input_names


def compiled_files():
    return {file for file in linecache.cache if file.startswith("<compiled ")}


def test_traceback_through_a_replay_shows_the_line_that_failed():
    def work(x):
        if x[0] == 3:
            raise ConnectionError("the other side is gone")
        return x * 2

    own = anynet.custom_vjp(work, lambda g, out, x: g)

    @anynet.compile
    def doubled(x):
        return own(x) + 1

    for i in range(3):
        doubled(np.full(2, float(i)))
    with pytest.raises(ConnectionError) as raised:
        doubled(np.full(2, 3.0))
    shown = "".join(traceback.format_exception(raised.value))
    assert 'File "<compiled doubled ' in shown
    assert "custom_vjp_work_(x)" in shown


def test_lines_of_a_program_are_freed_with_it():
    before = compiled_files()
    step = anynet.compile(lambda x: x + 1)
    step(np.ones(2))
    step(np.ones((2, 2)))
    new = compiled_files() - before
    assert len(new) == 2
    for file, program in zip(sorted(new), step.programs, strict=True):
        # What checks the files that others changed keeps them.
        linecache.checkcache(file)
        assert "".join(linecache.getlines(file)) == program.source
    step.programs.clear()
    del step, program
    gc.collect()
    assert new.isdisjoint(compiled_files())


def test_functions_of_one_title_have_two_files():
    one, other = (function_of(f"def run():\n    return {n}\n", {}, "same") for n in (1, 2))
    assert (one(), other()) == (1, 2)
    files = one.__code__.co_filename, other.__code__.co_filename
    assert [linecache.getline(file, 2).strip() for file in files] == ["return 1", "return 2"]


def test_inputs_have_the_names_of_the_arguments():
    paths = ["net.weight", "class", "net['weight']", "v1", "s2", "0", "?", "slice"]
    names = input_names(paths)
    assert names == ["net_weight", "_class", "net_weight1", "_v1", "_s2", "_0", "x", "_slice"]


def test_argument_names_may_be_names_of_the_source(backend):
    constant = normal(backend, 3)
    f = lambda c, v4, multiply, n2, slice: multiply * (c * constant + v4) - n2 / slice
    compiled, args = (
        anynet.compile(f),
        [normal(backend, 3, seed=i + 1) for i in range(5)],
    )
    for _ in range(3):
        assert_close(compiled(*args), host(f(*args)), rtol=1e-6)
    assert len(compiled.programs) == 1


def test_source_of_a_program_is_readable():
    compiled = anynet.compile(anynet.grad(lambda w, x: total((x @ w) ** 2)))
    compiled(np.ones((2, 3)), np.ones((4, 2)))
    source = compiled.programs[0].source
    assert source.startswith("def run(w, x):\n    v2 = dot(x, w, out=c")
    assert repr(compiled) == "compile(<lambda>): 1 recorded"
