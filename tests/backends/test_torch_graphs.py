"""The capture of PyTorch's graphs, on an emulation of torch.cuda."""

import contextlib
import threading
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from anynet_torch import target  # noqa: E402


class Stream:
    """A stream, and the streams that it waited for in order."""

    def __init__(self, device="cuda:0"):
        self.device = device
        self.capturing = self.spoiled = False
        self.waited_for = []

    def wait_stream(self, other):
        assert not self.capturing
        assert not other.capturing
        self.waited_for.append(other)


class Current:
    """The context of a stream."""

    def __init__(self, cuda, stream):
        self.cuda, self.stream = cuda, stream

    def __enter__(self):
        self.before = self.cuda.current_stream()
        self.cuda.local.stream = self.stream

    def __exit__(self, *error):
        self.cuda.local.stream = self.before


class Cuda:
    """An emulation of torch.cuda. A capture with a failed end leaves its stream the current one."""

    def __init__(self):
        self.default = Stream()
        self.local = threading.local()
        self.mode, self.modes, self.begun, self.error_modes = 0, [], 0, []

    def current_stream(self):
        return getattr(self.local, "stream", self.default)

    def Stream(self, device):
        return Stream(device)

    def stream(self, stream):
        return Current(self, stream)

    def device(self, device):
        return contextlib.nullcontext()

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: None)

    @contextlib.contextmanager
    def graph(self, graph, *, stream, capture_error_mode):
        self.begun += 1
        self.error_modes.append(capture_error_mode)
        context = self.stream(stream)
        context.__enter__()
        stream.capturing, stream.spoiled = True, False
        try:
            yield
        finally:
            stream.capturing = False
            if stream.spoiled:
                # What follows is left out, as there.
                raise RuntimeError("operation failed due to a previous error during capture")
            context.__exit__(None, None, None)

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        self.mode = {"error": 2}.get(mode, mode)
        self.modes.append(self.mode)

    def wait_for_device(self):
        """Wait for the device, as reading a value does."""
        if self.mode == 2:
            raise RuntimeError("called a synchronizing CUDA operation")
        stream = self.current_stream()
        if stream.capturing:
            stream.spoiled = True
            raise RuntimeError("operation not permitted when stream is capturing")


@pytest.fixture
def cuda(monkeypatch):
    cuda = Cuda()
    monkeypatch.setattr(
        target,
        "torch",
        SimpleNamespace(cuda=cuda, no_grad=torch.no_grad),
    )
    return cuda


def settled(cuda):
    """Check that all settings are restored, and that the capture's stream was waited for."""
    assert cuda.current_stream() is cuda.default
    assert cuda.mode == 0
    assert len(cuda.default.waited_for) == 1
    beside = cuda.default.waited_for.pop()
    assert beside.waited_for == [cuda.default]
    assert not beside.capturing
    return beside


def test_capture_runs_on_another_stream(cuda):
    driver, streams = target.CudaGraphDriver("cuda:1"), []
    with driver.current():
        _, results = driver.capture(lambda: streams.append(cuda.current_stream()) or [len(streams)])
    beside = settled(cuda)
    assert results == [2]
    assert streams == [beside, beside]
    assert beside.device == "cuda:1"
    assert cuda.error_modes == ["thread_local"]
    assert cuda.modes == [2, 0]


def test_function_that_waits_raises_before_the_capture(cuda):
    driver = target.CudaGraphDriver("cuda:0")
    with pytest.raises(RuntimeError, match="called a synchronizing"):
        driver.capture(cuda.wait_for_device)
    settled(cuda)
    assert cuda.begun == 0
    driver.capture(list)
    settled(cuda)


def test_other_threads_may_wait_for_the_device(cuda):
    """PyTorch's mode applies to all threads. With another thread, only the capture raises."""
    driver, end = target.CudaGraphDriver("cuda:0"), threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        with pytest.raises(RuntimeError, match="previous error during capture"):
            driver.capture(cuda.wait_for_device)
    finally:
        end.set()
        other.join()
    settled(cuda)
    assert cuda.modes == []
    assert cuda.begun == 1
    driver.capture(list)
    settled(cuda)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("fails_at", [1, 2])
def test_capture_after_an_error_succeeds(cuda, error, fails_at):
    calls = []

    def function():
        calls.append(cuda.current_stream())
        if len(calls) == fails_at:
            calls[-1].spoiled = True
            raise error
        return []

    driver = target.CudaGraphDriver("cuda:0")
    with pytest.raises(RuntimeError if fails_at == 2 else error):
        driver.capture(function)
    settled(cuda)
    assert cuda.begun == fails_at - 1
    driver.capture(function)
    settled(cuda)


def test_mode_of_the_host_is_kept(cuda):
    cuda.mode = 1
    target.CudaGraphDriver("cuda:0").capture(list)
    assert cuda.mode == 1


def test_scalars_have_the_smallest_dtype_from_float32_on():
    driver = target.CudaGraphDriver("cuda:0")
    zeros = lambda *dtypes: [torch.zeros(2, dtype=dtype) for dtype in dtypes]
    assert driver.scalar_dtype(zeros(torch.float32, torch.complex128)) is torch.float64
    assert driver.scalar_dtype(zeros(torch.float32, torch.float64)) is torch.float64
    assert driver.scalar_dtype(zeros(torch.complex64, torch.float16)) is torch.float32
