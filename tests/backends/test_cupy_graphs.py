"""CuPy's graphs on emulated memory and streams.

Pools hand out freed memory again, as CuPy's do. A capture records the calls and undoes their
effects. A launch makes the calls again in the same memory.
"""

import contextlib
import ctypes
import itertools
import sys
import threading
import time
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from anynet_cupy import target as cupy_target
from anynet_cupy.target import CudaGraphDriver

from anynet.compiler import device_graph as graph
from anynet.compiler.device_graph import Carry, Graph, Loop

GARBAGE = 255


class Block:
    """Memory of a pool. It returns to the pool with the last array in it."""

    def __init__(self, pool, size):
        free = pool.free[size]
        if not free:
            pool.bytes.append(np.full(size, GARBAGE, "uint8"))
            free.append(pool.bytes[-1])
        self.pool, self.bytes = pool, free.pop()

    def __del__(self):
        self.pool.free[len(self.bytes)].append(self.bytes)


class Pointer:
    def __init__(self, mem, ptr):
        self.mem, self.ptr = mem, ptr

    def __add__(self, offset):
        return Pointer(self.mem, self.ptr + offset)


class Pool:
    def __init__(self):
        self.free, self.bytes = defaultdict(list), []

    def malloc(self, size):
        block = Block(self, max(size, 1))
        return Pointer(block, block.bytes.ctypes.data)


class Stream:
    ptr = 7

    def __init__(self, non_blocking=False):
        self.capture, self.waited_for = None, []

    def record(self):
        assert self.capture is None
        return self

    def wait_event(self, event):
        assert self.capture is None
        self.waited_for.append(event)

    def __enter__(self):
        state.streams.append(self)
        return self

    def __exit__(self, *error):
        assert state.streams.pop() is self

    def begin_capture(self):
        assert self.capture is None
        self.capture = Captured()

    def end_capture(self):
        captured, self.capture = self.capture, None
        captured.end()
        if captured.spoiled:
            raise RuntimeError("operation failed due to a previous error during capture")
        return captured


class Captured:
    """The calls of a capture, and the memory before them."""

    def __init__(self):
        self.calls, self.spoiled, self._before = [], False, {}

    def writes(self, place):
        """Keep a copy of the memory before the first write to it."""
        for pool in state.pools:
            for line in pool.bytes:
                if 0 <= place - line.ctypes.data < len(line):
                    self._before.setdefault(line.ctypes.data, (line, line.copy()))

    def end(self):
        for line, before in self._before.values():
            line[...] = before
        for line in state.allocators[-1].__self__.bytes:
            line[...] = GARBAGE

    def launch(self):
        for call in self.calls:
            call()


class State(threading.local):
    """The current streams, pools and allocators of a thread."""

    def __init__(self):
        pool = Pool()
        self.streams, self.pools, self.allocators = (
            [Stream()],
            [pool],
            [pool.malloc],
        )


state = State()


class Array(np.ndarray):
    """An array in memory of a pool, computed on the current stream."""

    def __new__(cls, shape, dtype, memory):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        offset = memory.ptr - memory.mem.bytes.ctypes.data
        x = memory.mem.bytes[offset : offset + size].view(dtype).reshape(shape).view(cls)
        x.memory = memory.mem
        return x

    def __array_finalize__(self, other):
        self.memory = getattr(other, "memory", None)

    @property
    def data(self):
        return Pointer(self.memory, self.ctypes.data)

    def __array_ufunc__(self, function, method, *args, **settings):
        return do(getattr(function, method), *args, **settings)

    def __getitem__(self, key):
        # A single element is an array, too.
        return super().__getitem__(key if isinstance(key, tuple) else (key, ...))

    def __setitem__(self, key, value):
        write(lambda to, x: np.ndarray.__setitem__(to, key, x), self, value)


def plain(x):
    """Return a NumPy array of the same memory, which does not keep it alive."""
    return x.view(np.ndarray) if isinstance(x, Array) else x


def write(function, to, *args):
    captured = state.streams[-1].capture
    to, args = plain(to), [*map(plain, args)]
    if captured is not None:
        captured.writes(to.ctypes.data)
        captured.calls.append(lambda: function(to, *args))
    function(to, *args)


def do(function, *args, **settings):
    """Return the result as a new array of the current pool, or as a view of an argument."""
    given = [*map(plain, args)]
    found = np.asarray(function(*given, **settings))
    for x, y in zip(args, given, strict=True):
        if isinstance(x, Array) and np.may_share_memory(found, y):
            view = found.view(Array)
            view.memory = x.memory
            return view
    out = Array(found.shape, found.dtype, state.allocators[-1](found.nbytes))
    write(
        lambda to, *given: np.copyto(to, function(*given, **settings)),
        out,
        *given,
    )
    return out


class Namespace:
    int64 = np.int64

    def __getattr__(self, name):
        return lambda *args, device=None, **settings: do(getattr(np, name), *args, **settings)

    def asarray(self, x, *, dtype=None, device=None, copy=None):
        return do(lambda x: np.array(x, dtype), x)


@contextlib.contextmanager
def using_allocator(malloc):
    state.pools.append(malloc.__self__)
    state.allocators.append(malloc)
    try:
        yield
    finally:
        state.allocators.pop()


def memcpy(to, source, size, kind, stream):
    captured = state.streams[-1].capture
    if captured is not None:
        captured.writes(to)
        captured.calls.append(lambda: ctypes.memmove(to, source, size))
    ctypes.memmove(to, source, size)


def copy_in_order(to, x):
    """Copy element by element, like a GPU, without a check for shared memory."""
    for place in np.ndindex(to.shape):
        to[place] = x[place]


@pytest.fixture(autouse=True)
def pretended(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "state", State())
    cuda = SimpleNamespace(
        get_current_stream=lambda: state.streams[-1],
        Stream=Stream,
        MemoryPool=Pool,
        using_allocator=using_allocator,
        alloc=lambda size: state.allocators[-1](size),
        runtime=SimpleNamespace(memcpyAsync=memcpy, memcpyDefault=4),
    )
    cupy = SimpleNamespace(
        cuda=cuda,
        ndarray=Array,
        dtype=np.dtype,
        may_share_memory=np.may_share_memory,
        copyto=lambda to, x: write(copy_in_order, to, x),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(graph, "array_namespace", lambda *arrays: Namespace())
    monkeypatch.setattr(graph, "device", lambda x: None)
    cupy_target._stream.cache_clear()
    yield
    cupy_target._stream.cache_clear()


class Device(contextlib.nullcontext):
    id = 0


def array(x):
    return Namespace().asarray(np.asarray(x, "float32"))


def driver():
    return CudaGraphDriver(Device())


def as_before():
    """Check that the current stream is restored and has waited for the capture."""
    (current,) = state.streams
    assert len(state.allocators) == 1
    assert current.capture is None
    assert current.waited_for.pop() is cupy_target._stream(0)
    assert cupy_target._stream(0).capture is None


#: Steps on two states, an entry and a rate: the new states first, and a result.
STEPS = {
    "descent": lambda a, b, x, rate: [
        a - rate * (b + x),
        0.9 * b + x * x,
        (a * x + b).sum(),
    ],
    "new and old": lambda a, b, x, rate: [a + rate * x, a, b],
    "swap": lambda a, b, x, rate: [b, a, a - rate * x],
    "turned": lambda a, b, x, rate: [a[::-1], b[::-1], a + x],
    "parts": lambda a, b, x, rate: [a + x, spread(a), b * rate],
}


def spread(x):
    """Return the first element three times, which share its memory."""
    part = lambda x: np.broadcast_to(x[:1], (3,))
    return do(part, x) if isinstance(x, Array) else part(x)


def same(found, wanted):
    for x, y in zip(found, wanted, strict=True):
        np.testing.assert_allclose(plain(x), y, rtol=1e-5)


@pytest.mark.parametrize("name", STEPS)
def test_graph_agrees_with_eager_calls(name):
    step, run = STEPS[name], Graph(STEPS[name], [Carry(0, 0), Carry(1, 1)], driver())
    a, b, seen = np.float32([1, 2, 3]), np.float32([10, 20, 40]), []
    found = [array(a), array(b)]
    for i in range(6):
        x, rate = np.full(3, i, "float32"), 0.1 * i
        wanted = step(a, b, x, np.float32(rate))
        *found, result = run([*found, array(x)], [rate])
        same([*found, result], wanted)
        a, b = wanted[:2]
        seen += [(x, plain(x).copy()) for x in (*found, result)]
        if i == 1:
            as_before()
    # What was returned is nobody else's.
    same([x for x, _ in seen], [y for _, y in seen])


@pytest.mark.parametrize("name", STEPS)
def test_loop_agrees_with_eager_calls(name):
    step, run = STEPS[name], Loop(STEPS[name], [Carry(0, 0), Carry(1, 1)], driver())
    a, b = np.float32([1, 2, 3]), np.float32([10, 20, 40])
    found, entries = (
        [array(a), array(b)],
        np.arange(18, dtype="float32").reshape(6, 3),
    )
    rates, seen = [[0.1 * i] for i in range(6)], []
    for start, stop in ((0, 4), (4, 6), (1, 3)):
        results = []
        for i in range(start, stop):
            a, b, result = step(a, b, entries[i], np.float32(rates[i][0]))
            results.append(result)
        found, (stacked,) = run(found, array(entries), rates, start, stop)
        same([*found, stacked], [a, b, np.stack(results)])
        seen += [(x, plain(x).copy()) for x in (*found, stacked)]
        if not start:
            as_before()
    same([x for x, _ in seen], [y for _, y in seen])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("fails_at", [1, 2])
def test_capture_after_an_error_succeeds(error, fails_at):
    """The error restores the stream and the allocator."""
    calls = []

    def function():
        calls.append(state.streams[-1])
        if len(calls) == fails_at:
            raise error
        return [array([1.0]) * 2]

    for _ in range(2):
        capture = driver().capture
        if len(calls) < fails_at:
            with pytest.raises(error):
                capture(function)
        else:
            launch, (result,) = capture(function)
            launch()
            same([result], [[2.0]])
        as_before()


def test_threads_capture_one_after_the_other():
    """The threads share one stream."""
    begun, failed = threading.Barrier(3), []

    def step(*given):
        time.sleep(0.01)
        return STEPS["descent"](*given)

    def work():
        try:
            begun.wait()
            run = Graph(step, [Carry(0, 0), Carry(1, 1)], driver())
            for _ in range(3):
                found = run([array([1, 2, 3])] * 3, [0.5])
            same(
                found,
                STEPS["descent"](*[np.float32([1, 2, 3])] * 3, np.float32(0.5)),
            )
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("kind", [Graph, Loop])
def test_call_on_another_stream_waits_for_the_previous_call(kind):
    """All calls use the same memory, before the capture, too."""
    run, x = (
        kind(STEPS["descent"], [Carry(0, 0), Carry(1, 1)], driver()),
        array([1, 2, 3]),
    )
    given = (
        ([x, x, x], [0.5]) if kind is Graph else ([x, x], array(np.ones((4, 3))), [[0.5]] * 4, 0, 2)
    )
    streams = [Stream() for _ in range(4)]
    for stream in streams:
        with stream:
            run(*given)
    for before, stream in itertools.pairwise(streams):
        assert stream.waited_for[0] is before


def test_scalars_have_the_smallest_dtype_from_float32_on():
    """Complex arrays count as arrays of their real parts."""
    zeros = lambda *dtypes: [np.zeros(2, dtype) for dtype in dtypes]
    for dtypes, wanted in (
        (("float64", "int32"), "float64"),
        (("float64", "float32"), "float32"),
        (("float64", "float16"), "float64"),
        (("float16",), "float32"),
        (("complex128",), "float64"),
        (("complex128", "complex64"), "float32"),
        (("int64",), "float32"),
    ):
        assert driver().scalar_dtype(zeros(*dtypes)) == np.dtype(wanted)
