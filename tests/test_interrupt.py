"""Ctrl-C, by real signals."""

import signal
import threading
from collections import deque

import pytest

from anynet.interrupt import DeferredInterrupt

pytestmark = pytest.mark.usefixtures("pythons_handler")


def press():
    signal.raise_signal(signal.SIGINT)


def interrupted(work):
    """Run a generator that yields the names of its parts until it is interrupted.

    Return the names.
    """
    done = []
    with pytest.raises(KeyboardInterrupt):
        deque(map(done.append, work()), maxlen=0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return done


def test_signal_waits_for_deliver():
    def work():
        with DeferredInterrupt() as interrupt:
            press()
            yield "the step"
            interrupt.deliver()
            yield "another step"

    assert interrupted(work) == ["the step"]


def test_end_of_the_context_delivers_the_signal():
    def work():
        with DeferredInterrupt():
            press()
            yield "the step"
        yield "what follows"

    assert interrupted(work) == ["the step"]


def test_undeferred_signal_is_delivered_at_once():
    def work():
        with DeferredInterrupt() as interrupt:
            interrupt.deferring = False
            yield "the step"
            press()
            yield "the rest of it"

    assert interrupted(work) == ["the step"]


def test_second_signal_is_delivered_at_once():
    def work():
        with DeferredInterrupt():
            press()
            yield "the step"
            press()
            yield "the rest of it"

    assert interrupted(work) == ["the step"]


def test_contexts_nest():
    """The inner one hands the signal to the outer one."""

    def work():
        with DeferredInterrupt() as outer:
            with DeferredInterrupt() as inner:
                press()
                inner.deliver()
                yield "inner step"
            outer.deliver()
            yield "outer step"

    assert interrupted(work) == ["inner step"]


def test_without_a_signal_nothing_is_raised():
    with DeferredInterrupt() as interrupt:
        interrupt.deliver()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def fails():
    with DeferredInterrupt():
        press()
        raise ZeroDivisionError


def test_error_takes_precedence_over_the_signal():
    with pytest.raises(ZeroDivisionError):
        fails()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handler_of_the_host_is_called_and_stays():
    """One that returns lets the work go on, and is called once for each signal."""
    calls = []
    own = lambda number, frame: calls.append((number, frame is not None))
    signal.signal(signal.SIGINT, own)
    with DeferredInterrupt() as interrupt:
        press()
        assert calls == []
        interrupt.deliver()
        assert calls == [(signal.SIGINT, True)]
        press()
        press()
        assert len(calls) == 2
    assert len(calls) == 3
    assert signal.getsignal(signal.SIGINT) is own
    with pytest.raises(ZeroDivisionError):
        fails()
    assert len(calls) == 4
    assert signal.getsignal(signal.SIGINT) is own


@pytest.mark.parametrize("left", [signal.SIG_IGN, signal.SIG_DFL])
def test_ignored_signals_stay_ignored(left):
    signal.signal(signal.SIGINT, left)
    with DeferredInterrupt() as interrupt:
        assert signal.getsignal(signal.SIGINT) == left
        interrupt.deliver()
    assert signal.getsignal(signal.SIGINT) == left


def test_handler_that_is_installed_inside_stays():
    with DeferredInterrupt():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_other_threads_install_no_handler():
    seen = []

    def work():
        with DeferredInterrupt() as interrupt:
            seen.append(signal.getsignal(signal.SIGINT))
            interrupt.deliver()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
