"""Emulated graphs show the faults that a GPU would show."""

import threading

import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from emulated_graphs import Capture, CaptureError, EmulatedDriver  # noqa: E402 - needs PyTorch

from anynet.compiler.device_graph import Carry, Graph, Loop  # noqa: E402 - needs PyTorch


@pytest.fixture
def driver():
    return EmulatedDriver(torch.device("cpu"))


def test_launch_uses_the_memory_of_the_capture(driver):
    x, state = torch.tensor([1.0, 2.0]), torch.zeros(2)
    launch, (result,) = driver.capture(lambda: [state.add_(x) * 2])
    # The function runs once before the capture. The capture undoes its effects.
    torch.testing.assert_close(state, torch.tensor([1.0, 2.0]))
    assert bool(result.isnan().all())
    x.fill_(5.0)
    for _ in range(2):
        launch()
    torch.testing.assert_close(state, torch.tensor([11.0, 12.0]))
    torch.testing.assert_close(result, torch.tensor([22.0, 24.0]))


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        torch.nonzero,
        lambda x: x[x > 0],
        torch.unique,
        lambda x: torch.equal(x, x),
    ],
)
def test_calls_that_wait_for_the_device_raise(waiting):
    x = torch.ones(3)
    with pytest.raises(CaptureError, match="waits for the device"), Capture():
        waiting(x)


def test_indices_do_not_wait_for_the_device():
    x = torch.ones(3)
    with Capture() as captured:
        x[torch.tensor([0, 2])] += 1
    assert len(captured.calls) > 0
    torch.testing.assert_close(x, torch.ones(3))


def test_capture_of_a_shape_that_changes_in_place(driver):
    """PyTorch's product of a vector and a matrix changes one."""
    x, y = torch.ones(3), torch.ones(3, 2)
    launch, (result,) = driver.capture(lambda: [torch.matmul(x, y)])
    x.fill_(2.0)
    for _ in range(2):
        launch()
    torch.testing.assert_close(result, torch.tensor([6.0, 6.0]))


def test_freed_returns_the_memory_without_tensors():
    x = torch.ones(3)
    with Capture() as captured:
        kept = (x + 1) * 2
        part = (x + 3)[1:]
    freed = {y.data_ptr() for y in captured.freed()}
    assert len(freed) == 1
    assert freed.isdisjoint([kept.data_ptr(), part.untyped_storage().data_ptr()])


def test_second_capture_raises():
    with Capture(), pytest.raises(CaptureError, match="another capture"):
        Capture().__enter__()


def test_graphs_of_two_threads_wait_for_each_other(driver):
    begun, failed = threading.Barrier(2), []

    def work(make):
        def slowly(x, *rest):
            ready.wait(0.05)
            return [x + 1]

        ready = threading.Event()
        begun.wait()
        try:
            make(slowly)
        except Exception as error:
            failed.append(error)

    def graph(function):
        captured = Graph(function, [Carry(0, 0)], driver)
        for _ in range(3):
            captured([torch.zeros(2)], [])

    def loop(function):
        Loop(function, [Carry(0, 0)], driver)([torch.zeros(2)], torch.zeros(3, 1), [[]] * 3, 0, 3)

    threads = [threading.Thread(target=work, args=(make,)) for make in (graph, loop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_loop_copies_old_state_before_it_writes(driver):
    """Without the copies, as in a plain capture, a swap is wrong."""
    a, b = torch.zeros(2), torch.ones(2)

    def swap():
        new = b[:], a[:]
        a.copy_(new[0])
        b.copy_(new[1])
        return []

    launch, _ = driver.capture(swap)
    launch()
    torch.testing.assert_close(a, b)
    state = [torch.zeros(2), torch.ones(2)]
    loop = Loop(lambda a, b, x: [b[:], a[:], x], [Carry(0, 0), Carry(1, 1)], driver)
    (one, other), _ = loop(state, torch.zeros(3, 1), [[]] * 3, 0, 3)
    torch.testing.assert_close(one, torch.ones(2))
    torch.testing.assert_close(other, torch.zeros(2))
