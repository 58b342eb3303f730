from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ssl_registry.training.interruption import StopRequest


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Start from Python's own handlers and put back what was there.

    A test run in the background of a script inherits an ignored SIGINT.
    """
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_earlier_handler_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
    assert not stop.requested
    assert signal.getsignal(number) is signal.SIG_IGN


def test_a_handler_not_installed_from_python_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def foreign(number: int, frame: object) -> None:
        return

    signal.signal(signal.SIGTERM, foreign)
    # Python says None of a handler that was there before it started.
    monkeypatch.setattr(
        signal, "getsignal", lambda n: None if n == signal.SIGTERM else signal.SIG_DFL
    )
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.undo()
    assert not stop.requested
    assert signal.getsignal(signal.SIGTERM) is foreign
