"""Buffers are not written while their contents are needed."""

from helpers import assert_close, host, normal

import anynet


def test_result_is_not_written_over_a_view_of_another_argument(backend):
    """The sum of a matrix and its transpose is the last use of both."""

    def f(x, w):
        y = x @ w
        return y + y.T

    compiled, x, w = (
        anynet.compile(f),
        normal(backend, 4, 4),
        normal(backend, 4, 4, seed=1),
    )
    for _ in range(3):
        assert_close(compiled(x, w), host(f(x, w)), rtol=1e-6)


def test_buffers_are_not_written_while_a_result_needs_them(backend):
    """A backend could write into an argument that is a view, is used twice or is a result."""

    def f(x, w):
        y = x @ w
        turned = y.T
        squares = y * y
        z = turned + y
        kept = z + 1
        both = (kept - 1) * kept
        again = kept / (both + turned)
        return squares, kept, again + again, again, y.T, (y.T - 1) * 2

    compiled = anynet.compile(f)
    w = normal(backend, 6, 6, seed=1)
    x = normal(backend, 6, 6)
    calls = []
    for _ in range(4):
        calls.append((x, compiled(x, w)))
        x = x + 1
    # Later calls leave the results of earlier ones unchanged.
    for x, results in calls:
        for result, expected in zip(results, f(x, w), strict=True):
            assert_close(result, host(expected), rtol=1e-6)
