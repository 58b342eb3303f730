from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
import pytest

from ssl_registry import hookimpl
from ssl_registry.discovery import PluginRecord
from ssl_registry.errors import ConfigError
from ssl_registry.spec import ENTRY_POINT_GROUP, HookSpec
from ssl_registry.training import observers
from ssl_registry.training.observers import Observers, ObserverWarning


class Watcher:
    """An observer plugin that notes its calls; raises in the hook `fails`."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._fails = fails

    def _note(self, hook: str, *arguments: Any) -> None:
        self.calls.append((hook, *arguments))
        if hook == self._fails:
            raise RuntimeError("the disk of the tracker is full")

    @hookimpl
    def run_started(self, run: Path, config: Mapping[str, Any]) -> None:
        self._note("run_started", run, config)

    @hookimpl
    def epoch_ended(self, run: Path, epoch: int, row: Mapping[str, Any]) -> None:
        self._note("epoch_ended", run, epoch, row)

    @hookimpl
    def run_finished(self, run: Path, summary: Mapping[str, Any]) -> None:
        self._note("run_finished", run, summary)


class OnlyEpochs:
    """An observer of one hook, which takes but one of its arguments."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    @hookimpl
    def epoch_ended(self, epoch: int) -> None:
        self.epochs.append(epoch)


def record(name: str, plugin: object) -> PluginRecord:
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(HookSpec)
    manager.register(plugin)
    return PluginRecord(name, name, "somebody", "1.0", "ok", manager=manager)


def install(monkeypatch: pytest.MonkeyPatch, plugins: Iterable[tuple[str, object]]) -> None:
    records = tuple(record(name, plugin) for name, plugin in plugins)
    broken = PluginRecord("broken", "broken", "somebody", "1.0", "broken", "cannot be imported")
    monkeypatch.setattr(observers, "plugins", lambda: (broken, *records))


def tell(run: Path) -> None:
    told = Observers(run)
    told.started({"id": "x"})
    told.epoch_ended(1, {"loss": 2.0})
    told.epoch_ended(2, {"loss": 1.0})
    told.finished({"steps": 4})


def test_hooks_get_their_arguments_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watcher, partial = Watcher(), OnlyEpochs()
    install(monkeypatch, [("watcher", watcher), ("partial", partial)])
    tell(tmp_path)
    assert watcher.calls == [
        ("run_started", tmp_path, {"id": "x"}),
        ("epoch_ended", tmp_path, 1, {"loss": 2.0}),
        ("epoch_ended", tmp_path, 2, {"loss": 1.0}),
        ("run_finished", tmp_path, {"steps": 4}),
    ]
    assert partial.epochs == [1, 2]


@pytest.mark.parametrize("hook", ["run_started", "epoch_ended", "run_finished"])
def test_one_that_raises_is_reported_once_and_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hook: str
) -> None:
    bad, good = Watcher(hook), Watcher()
    install(monkeypatch, [("bad", bad), ("good", good)])
    with pytest.warns(ObserverWarning) as caught:
        tell(tmp_path)
    (warning,) = caught
    for part in ("somebody:bad", "RuntimeError", hook, "the disk of the tracker is full"):
        assert part in str(warning.message)
    assert [call[0] for call in bad.calls][-1] == hook
    assert [call[0] for call in bad.calls].count(hook) == 1
    assert [call[0] for call in good.calls].count("epoch_ended") == 2
    assert good.calls[-1][0] == "run_finished"


class Plain:
    """An observer object as a caller gives it: unmarked methods, of some of the arguments."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.pictures: list[tuple[int, list[str]]] = []

    def epoch_ended(self, epoch: int, row: dict[str, Any]) -> None:
        self.epochs.append(epoch)
        row["loss"] = "changed"

    def pictures_made(self, epoch: int, pictures: Mapping[str, Any]) -> None:
        self.pictures.append((epoch, sorted(pictures)))


class Giving:
    """A plugin that gives an observer for a run, or something else."""

    def __init__(self, given: object) -> None:
        self._given = given

    @hookimpl
    def run_observer(self, run: Path, config: Mapping[str, Any]) -> object:
        assert config == {"id": "x"}
        return self._given


def test_objects_of_plugins_and_callers_observe_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given, own, watcher = Plain(), Plain(), Watcher()
    install(monkeypatch, [("none", Giving(None)), ("giving", Giving(given)), ("watch", watcher)])
    told = Observers(tmp_path, [own])
    row = {"loss": 1.0}
    told.started({"id": "x"})
    told.epoch_ended(1, row)
    assert given.epochs == own.epochs == [1]
    # What one observer changes reaches neither the run nor another observer.
    assert row == {"loss": 1.0}
    assert watcher.calls[-1] == ("epoch_ended", tmp_path, 1, {"loss": 1.0})


def test_pictures_are_only_made_for_somebody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def make(epoch: int) -> dict[str, Any]:
        asked.append(epoch)
        return {} if epoch == 1 else {"a": np.zeros((2, 2, 3), np.uint8)}

    install(monkeypatch, [("watcher", Watcher())])
    Observers(tmp_path).pictures_made(1, make)
    assert asked == []
    plain = Plain()
    told = Observers(tmp_path, [plain])
    told.pictures_made(1, make)
    told.pictures_made(2, make)
    assert (asked, plain.pictures) == ([1, 2], [(2, ["a"])])


def test_pictures_that_cannot_be_drawn_are_reported_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def make(epoch: int) -> dict[str, Any]:
        raise OSError("no font")

    install(monkeypatch, [])
    told = Observers(tmp_path, [Plain()])
    with pytest.warns(ObserverWarning, match="OSError: no font") as caught:
        told.pictures_made(1, make)
        told.pictures_made(2, make)
    assert len(caught) == 1


class Ending:
    """An observer that ends the process, or tries to."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def epoch_ended(self) -> None:
        raise self._error


def test_an_observer_cannot_exit_but_ctrl_c_gets_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, [])
    last = Plain()
    with pytest.warns(ObserverWarning, match="the observer Ending raised SystemExit") as caught:
        told = Observers(tmp_path, [Ending(SystemExit(3)), last])
        told.epoch_ended(1, {})
        told.epoch_ended(2, {})
    assert len(caught) == 1
    assert last.epochs == [1, 2]
    with pytest.raises(KeyboardInterrupt):
        Observers(tmp_path, [Ending(KeyboardInterrupt())]).epoch_ended(1, {})


class Stranger:
    def epoch_ended(self, epochs: int) -> None:
        """There is no argument of that name."""


@pytest.mark.parametrize(
    ("observer", "reason"), [(3, "int observes nothing"), (Stranger(), "epochs")]
)
def test_an_object_that_cannot_observe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, observer: object, reason: str
) -> None:
    install(monkeypatch, [("bad", Giving(observer))])
    with pytest.raises(ConfigError, match=reason):
        Observers(tmp_path, [observer])
    told = Observers(tmp_path)
    with pytest.warns(ObserverWarning, match=f"somebody:bad raised .*{reason}"):
        told.started({"id": "x"})
