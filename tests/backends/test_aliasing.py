"""Every function of a backend keeps the promise that its declared aliasing makes."""

import numpy as np
import pytest
from examples_of_kernels import cases
from helpers import host
from kernels_and_references import arguments

from anynet.array import is_array
from anynet.backend import get_backend
from anynet.compiler.target import target_of
from anynet.kernel import Aliasing, Kernels
from anynet.tracing.standard import CHAPTERS, STANDARD


def examples(backend, kernels, dtype):
    """Return example calls of each declared function: lists of (arguments, settings).

    They come from the examples of kernels, from the calls that lowerings emit for these, and from
    functions of the standard with arrays of several kinds."""
    known = cases(dtype)
    calls = {function: [] for function in kernels.aliasing}

    def emit(function, *args, **settings):
        calls.get(function, []).append((args, settings))
        return function(*args, **settings)

    for name, kernel in kernels.items():
        for args, settings in known.get(name, []):
            args = arguments(backend, name, args, settings)
            if kernel(*args, **settings) is NotImplemented:
                continue
            calls.get(kernel, []).append((args, settings))
            if kernel in kernels.lowerings:
                kernels.lowerings[kernel](emit, *args, **settings)
    for name in STANDARD:
        function = getattr(backend.xp, name, None)
        if function in calls:
            calls[function] += calls_of_standard(backend, function, dtype, name)
    return calls


def calls_of_standard(backend, function, dtype, name):
    """Return the calls, out of some with one or two arrays, that the function supports."""
    numbers = np.linspace(1.25, 6, 20).astype(dtype).reshape(4, 5)
    arrays = [numbers, numbers / 8, numbers > 3, numbers.astype("int64"), numbers.T.copy().T]
    found = []
    for x in arrays:
        for args in ((x,), (x, x[:, ::-1].copy())):
            args = [backend.asarray(y) for y in args]
            try:
                function(*args)
            except (RuntimeWarning, TypeError, ValueError):
                continue
            found.append((args, {}))
            if name in CHAPTERS["elementwise"]:
                break
    return found


def broken_promise(backend, function, aliasing, args, settings):
    """Return a description of the effect that the declared aliasing forbids, or None."""

    def call(*args, **more):
        before = [host(x).copy() for x in args if is_array(x)]
        result = function(*args, **settings, **more)
        others = [(x, y) for x, y in zip(filter(is_array, args), before, strict=True)]
        changed = [x for x, y in others if x is not more.get("out") and not same(host(x), y)]
        return result, changed

    plain, changed = call(*args)
    if changed:
        return "changes an argument"
    if aliasing >= Aliasing.FRESH:
        arrays = [*results_of(plain), *results_of(call(*args)[0]), *args]
        arrays = [*filter(is_array, arrays)]
        for i, x in enumerate(results_of(plain)):
            if any(target_of(backend).shares_memory(x, y) for y in arrays[i + 1 :] if is_array(x)):
                return "shares memory"
    if aliasing >= Aliasing.OUT:
        out = memory_like(backend, plain)
        problem = wrong_out(plain, out, *call(*args, out=out))
        if problem:
            return problem
    if aliasing >= Aliasing.IN_PLACE:
        for i, x in enumerate(args):
            if is_array(x) and kind(backend, x) == kind(backend, plain):
                copies = [copy_of(backend, y) if is_array(y) else y for y in args]
                problem = wrong_out(plain, copies[i], *call(*copies, out=copies[i]))
                if problem:
                    return f"{problem} over argument {i}"
    return None


def results_of(result):
    return result if isinstance(result, tuple) else (result,)


def wrong_out(plain, out, result, changed):
    """Return in words how a result in ``out`` is wrong, or None."""
    if changed:
        return "changes an argument"
    if result is not out:
        return "does not return out"
    return None if same(host(out), host(plain)) else "has another result in out"


def same(x, y):
    return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind in "fc")


def kind(backend, x):
    return tuple(x.shape), x.dtype, tuple(backend.strides(x))


def memory_like(backend, x):
    """Return memory of the same kind with other values in it."""
    out = target_of(backend).empty(tuple(x.shape), x.dtype, backend.strides(x))
    out[...] = backend.xp.zeros_like(x) if host(x).any() else backend.xp.ones_like(x)
    return out


def copy_of(backend, x):
    out = target_of(backend).empty(tuple(x.shape), x.dtype, backend.strides(x))
    out[...] = x
    return out


def broken_promises(backend, kernels, dtype="float32"):
    """Return (function, problem) for each wrong declaration, and declared functions without any
    example."""
    problems, unseen = [], []
    for function, calls in examples(backend, kernels, dtype).items():
        aliasing = kernels.aliasing_of(function)
        found = {broken_promise(backend, function, aliasing, *call) for call in calls} - {None}
        problems += [(function, problem) for problem in found]
        # Another test demands an example of each kernel.
        if not calls and function not in kernels.values() and aliasing is not Aliasing.MAY_VIEW:
            unseen.append(function)
    return problems, unseen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_keep_what_their_aliasing_promises(backend, dtype):
    problems, unseen = broken_promises(backend, Kernels(backend.kernels), dtype)
    assert problems == []
    # On a GPU, lowerings leave out the calls that are faster on a CPU.
    assert unseen == [] or target_of(backend).has_loop


KEPT = np.ones(3, "float32")


def view(x):
    return x[1:]


def kept(x):
    return KEPT


def ignores_out(x, out=None):
    return x + 1


def changes_argument(x, out=None):
    if out is not None:
        x += 1
    return np.positive(x, out=out)


def wrong_in_out(x, out=None):
    return x + 1 if out is None else np.positive(x, out=out)


def cumulative(x, out=None):
    """Read rows after others are written. The result is right only in separate memory."""
    out = np.empty_like(x) if out is None else out
    out[0] = x[0]
    out[1:] = 2 * x[:-1]
    out[0] = x[-1]
    return out


WRONG = [
    (Aliasing.FRESH, view, "shares memory"),
    (Aliasing.FRESH, kept, "shares memory"),
    (Aliasing.OUT, ignores_out, "does not return out"),
    (Aliasing.OUT, changes_argument, "changes an argument"),
    (Aliasing.OUT, wrong_in_out, "has another result in out"),
    (Aliasing.IN_PLACE, cumulative, "has another result in out over argument 0"),
]


@pytest.mark.parametrize(("aliasing", "function", "problem"), WRONG)
def test_wrong_declarations_are_found(aliasing, function, problem):
    kernels = Kernels({"relu": function})
    kernels.declare(aliasing, function)
    problems, _ = broken_promises(get_backend("numpy"), kernels)
    assert (function, problem) in problems
    # A weaker promise is kept.
    weaker = Kernels({"relu": function})
    weaker.declare(Aliasing(aliasing - 1), function)
    assert (function, problem) not in broken_promises(get_backend("numpy"), weaker)[0]


def test_wrong_declarations_beside_a_backend_are_found(backend):
    """The declaration is FRESH for functions that may return a view."""
    kernels = Kernels(backend.kernels)
    if not any(kernels.aliasing.values()):
        pytest.skip(reason=f"{backend.name} declares no aliasing")
    views = [f for f, aliasing in kernels.aliasing.items() if aliasing is Aliasing.MAY_VIEW]
    kernels.declare(Aliasing.FRESH, *views)
    assert broken_promises(backend, kernels)[0]
