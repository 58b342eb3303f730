from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pluggy
import pytest

from ssl_registry import hookimpl
from ssl_registry.discovery import PluginRecord
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
