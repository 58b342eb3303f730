"""The probes of a pre-training run: during it, at its end, and of random weights beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ssl_registry.config.probes import AnyProbeConfig
from ssl_registry.evaluation.bootstrap import estimate
from ssl_registry.evaluation.probes import Probe, ProbeInput, load_probe
from ssl_registry.nn.trunk import Trunk
from ssl_registry.training.undisturbed import undisturbed

PREFIX = "probe/"


class RunProbes:
    """Probes a trunk while it is trained.

    Args:
        configs: The probes; their data are loaded and checked at once.
        given: How images are shown to the network.
        initial: Builds the network that training started from, on the device.

    Raises:
        DataError: The data of a probe cannot be used.
    """

    def __init__(
        self,
        configs: Sequence[AnyProbeConfig],
        given: ProbeInput,
        initial: Callable[[], Trunk],
    ) -> None:
        self._every = [config.every_epochs for config in configs]
        self._probes = [load_probe(config, given) for config in configs]
        self._initial, self._seed = initial, given.seed
        self._random: dict[str, dict[str, float]] = {}

    def measure(self, trunk: Trunk, epoch: int, epochs: int) -> dict[str, float]:
        """What is due after `epoch` (from 1) of `epochs`, as entries of a log row.

        Each score has its name, the ends of its bootstrap interval (`.../low`, `.../high`), and
        the score of the same network with its initial, random weights (`.../random`).
        """
        row: dict[str, float] = {}
        for every, probe in zip(self._every, self._probes, strict=True):
            if epoch == epochs or (every and epoch % every == 0):
                row |= self._scores(probe, trunk)
        return row

    def _scores(self, probe: Probe, trunk: Trunk) -> dict[str, float]:
        row: dict[str, float] = {}
        random = self._random_scores(probe)
        for name, scores in probe.measure(trunk).items():
            found, key = estimate(scores, self._seed), f"{PREFIX}{probe.title}/{name}"
            row |= {key: found.value, f"{key}/low": found.low, f"{key}/high": found.high}
            row[f"{key}/random"] = random[name]
        return row

    def _random_scores(self, probe: Probe) -> Mapping[str, float]:
        """Those of the initial weights; a resumed run draws the same ones again."""
        if probe.title not in self._random:
            with undisturbed():
                initial = self._initial()
            measured = probe.measure(initial)
            self._random[probe.title] = {name: one.score for name, one in measured.items()}
        return self._random[probe.title]

    def summary(self, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """By probe: what it was measured on, chance, and its scores in the last row of a log."""
        return {probe.title: _summary(probe, row) for probe in self._probes}


def _summary(probe: Probe, row: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{PREFIX}{probe.title}/"
    scores = {k.removeprefix(prefix): value for k, value in row.items() if k.startswith(prefix)}
    return {**probe.facts, "chance": dict(probe.chance), "scores": scores}


def probe_facts(summary: Mapping[str, Any]) -> dict[str, str]:
    """Each score of a probe's summary, in words."""
    scores, facts = summary["scores"], {}
    for name in (name for name in scores if f"{name}/low" in scores):
        text = f"{scores[name]:.3f} [{scores[f'{name}/low']:.3f}, {scores[f'{name}/high']:.3f}]"
        chance = summary["chance"].get(name)
        beside = [f"random weights {scores[f'{name}/random']:.3f}"]
        beside += [] if chance is None else [f"chance {chance:.3f}"]
        facts[name] = f"{text}; {', '.join(beside)}"
    return facts
