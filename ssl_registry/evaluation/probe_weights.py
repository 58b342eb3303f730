"""Probing existing weights beside the same network with random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssl_registry import registry
from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.config.probes import AnyProbeConfig
from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import ConfigError
from ssl_registry.evaluation.bootstrap import Estimate, ImageScores, estimate, mean_scores
from ssl_registry.evaluation.embeddings import Reader
from ssl_registry.evaluation.probes import Probe, ProbeInput, load_probe
from ssl_registry.evaluation.statistics import sample_sd
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.trunk import Trunk
from ssl_registry.progress import track
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.pretrain import check_image_size, fresh_trunk
from ssl_registry.weights.card import Card, read_card
from ssl_registry.weights.read import load_weights

RANDOM_SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Comparison:
    """One score of the weights beside random ones, on the same images.

    Attributes:
        weights: The score of the weights, with its interval.
        random: The mean over the random networks, with its interval.
        random_sd: Sample standard deviation over the random networks; None for one.
        difference: `weights` minus `random`, paired by image.
        chance: The score without any features; None where there is none.
    """

    weights: Estimate
    random: Estimate
    random_sd: float | None
    difference: Estimate
    chance: float | None


@dataclass(frozen=True)
class ProbeResult:
    """What one probe says of the weights.

    Attributes:
        title: Name of the probe.
        kind: `knn`, `linear` or `segmentation`.
        facts: What it was measured on.
        image_size: Side of the images it was shown, px.
        scores: The comparison of each score.
        random_seeds: Seeds of the random networks.
    """

    title: str
    kind: str
    image_size: int
    random_seeds: tuple[int, ...]
    facts: Mapping[str, object] = field(default_factory=dict)
    scores: Mapping[str, Comparison] = field(default_factory=dict)


def probe_weights(
    weights: Path,
    probes: Sequence[AnyProbeConfig],
    *,
    image_size: int | None = None,
    random_seeds: Sequence[int] = RANDOM_SEEDS,
    device: str = "auto",
    seed: int = 0,
) -> list[ProbeResult]:
    """Probe pre-trained weights, and the same network with random weights beside them.

    Args:
        weights: An exchange folder, or a run's folder that holds one.
        probes: What to measure.
        image_size: Side of the images, px; default: that of the pre-training.
        random_seeds: A random network is drawn from each. The seed of the pre-training gives
            the network that it started from.
        device: Where to compute.
        seed: Seed of the bootstrap and of what the probes draw.

    Raises:
        WeightsError: The weights are missing, damaged, or fit no network.
        DataError: A probe's data cannot be used.
        ConfigError: The images are too small for the network, or no random seed is named.
    """
    if not random_seeds:
        raise ConfigError("name at least one seed of random weights to compare with")
    folder = weights_folder(weights)
    card = read_card(folder)
    execution = choose_execution(TrainingConfig(device=device, precision="fp32"))
    given = ProbeInput(
        image_size=image_size or card.image_size,
        channels=card.channels,
        gray=card.gray,
        reader=Reader(Normalize(card.mean, card.std), execution),
        seed=seed,
    )
    trunk = card_trunk(card, folder, 0)
    name = str(card.backbone.get("name", ""))
    check_image_size(given.image_size, name, trunk.backbone.minimum_size)
    ready = [load_probe(probe, given) for probe in probes]
    load_weights(trunk, folder, "encoder" if trunk.decoder is None else "encoder_decoder")
    with track("probing", 1 + len(random_seeds), unit="network") as bar:
        own = _measured(trunk, ready, execution)
        bar.advance(note="the weights")
        others = []
        for random_seed in random_seeds:
            others.append(_measured(card_trunk(card, folder, random_seed), ready, execution))
            bar.advance(note=f"random weights {random_seed}")
    return [
        ProbeResult(
            title=probe.title,
            kind=config.kind,
            image_size=given.image_size,
            random_seeds=tuple(random_seeds),
            facts=probe.facts,
            scores={
                name: _compared(scores, [other[place][name] for other in others], probe, name, seed)
                for name, scores in own[place].items()
            },
        )
        for place, (config, probe) in enumerate(zip(probes, ready, strict=True))
    ]


def weights_folder(path: Path) -> Path:
    """The exchange folder: `path` itself, or its subfolder `weights` if it is a run."""
    inside = path / "weights"
    return inside if (path / "config.json").is_file() and inside.is_dir() else path


def card_trunk(card: Card, folder: Path, seed: int) -> Trunk:
    """The network of a card with random weights: its encoder, and decoder if pre-trained too."""
    parts = [("backbone", card.backbone)]
    if card.content == "encoder_decoder" and card.decoder is not None:
        parts.append(("decoder", card.decoder))
    configs: list[ComponentConfig] = [
        validate(
            registry.config_model(kind, str(table.get("name", ""))),
            table,
            f"{kind} in the card of {folder}",
        )
        for kind, table in parts
    ]
    return fresh_trunk(configs[0], configs[1] if len(configs) > 1 else None, card.channels, seed)


def _measured(
    trunk: Trunk, probes: Sequence[Probe], execution: Execution
) -> list[dict[str, ImageScores]]:
    execution.place(trunk)
    return [probe.measure(trunk) for probe in probes]


def _compared(
    own: ImageScores, others: list[ImageScores], probe: Probe, name: str, seed: int
) -> Comparison:
    random = mean_scores(others)
    return Comparison(
        weights=estimate(own, seed),
        random=estimate(random, seed),
        random_sd=sample_sd([other.score for other in others]) if len(others) > 1 else None,
        difference=estimate(own.minus(random), seed),
        chance=probe.chance.get(name),
    )
