"""Buffers are not written while their contents are needed."""

from helpers import assert_close, host, numbers

import anynet


def test_results_are_not_written_over_a_view_of_another_argument(backend):
    """A sum of a matrix and its transpose, both seen for the last time."""

    def f(x, w):
        y = x @ w
        return y + y.T

    compiled, x, w = (
        anynet.compile(f),
        numbers(backend, 4, 4),
        numbers(backend, 4, 4, seed=1),
    )
    for _ in range(3):
        assert_close(compiled(x, w), host(f(x, w)), rtol=1e-6)
