"""Splits: which samples are for training, validation and testing.

The core makes them the same way for every dataset. A split depends on the sample ids, their
labels and groups, and the seed; not on the order of the samples nor on the machine.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ssl_registry.config.split import PARTS, Part, SplitConfig
from ssl_registry.data.split_file import names, read_split, write_split
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Sample

__all__ = ["make_split", "read_split", "split_digest", "write_split"]

Quotas = dict[str, list[int]]


class SplitWarning(UserWarning):
    """A split is not the one that could be expected."""


def make_split(
    samples: Sequence[Sample],
    config: SplitConfig,
    clusters: Mapping[str, str] | None = None,
) -> dict[str, Part]:
    """Divide samples into train, val and test.

    Sizes are the ratios' shares of the whole, rounded by largest remainder. A stratified split
    keeps these totals and gives each class its shares as well as whole numbers allow: each share
    is rounded down, then the samples left over go one by one to the class and part that lack
    most, where the class has samples left and the part is below its total. BUSI's 437 + 210 +
    133 images at 7:1:2 give 546/78/156, by class 306/44/87, 147/21/42 and 93/13/27; rounding
    each class on its own need not meet the totals.

    With `group_by`, whole groups are dealt out, the largest first, each to the part that brings
    the counts nearest to these sizes; singles come last and fill the gaps.

    Args:
        samples: All samples of a dataset.
        config: The recipe.
        clusters: For `group_by = "duplicates"`: sample id to the name of its cluster.

    Returns:
        Sample id to part, in the order of `samples`.

    Raises:
        DataError: The samples do not allow the split: too few for a part, no label where it is
            stratified, no group where it is grouped, no official part, or a file that does not
            fit; the message says which samples.
        ValueError: `clusters` are needed but missing for some samples.
    """
    _check_ids(samples)
    divided = all(sample.split is not None for sample in samples)
    official = config.kind == "official" or (config.follows_release and divided)
    if config.follows_release and not official:
        _warn_of_parts(samples)
    if official:
        split = _official(samples)
    elif config.file is not None:
        split = read_split(config.file, samples)
    else:
        split = _drawn(samples, config, clusters)
    _check_parts(split, config, drawn=not official and config.file is None)
    return {sample.id: split[sample.id] for sample in samples}


def split_digest(split: Mapping[str, Part]) -> str:
    """SHA-256, in hexadecimal, of the lines `id:part` in sorted order."""
    lines = "\n".join(sorted(f"{name}:{part}" for name, part in split.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _warn_of_parts(samples: Sequence[Sample]) -> None:
    """Say so if a release's own division is not followed because some images have no part."""
    without = [sample.id for sample in samples if sample.split is None]
    if len(without) < len(samples):
        warnings.warn(
            f"{len(without)} of {len(samples)} images have no official part ({names(without)}), so "
            "all are divided anew; leave those out, or set split.kind to what you want",
            SplitWarning,
            stacklevel=3,
        )


def _check_ids(samples: Sequence[Sample]) -> None:
    if not samples:
        raise DataError("there are no samples to split")
    repeated = [name for name, count in Counter(s.id for s in samples).items() if count > 1]
    if repeated:
        raise DataError(f"{len(repeated)} sample ids are not unique: {names(repeated)}")


def _check_parts(split: Mapping[str, Part], config: SplitConfig, *, drawn: bool) -> None:
    needed = [p for p, ratio in zip(PARTS, config.ratios, strict=True) if ratio and drawn]
    counts = Counter(split.values())
    for part in needed or ["train"]:
        if not counts[part]:
            sizes = "/".join(str(counts[each]) for each in PARTS)
            unit = {"group": "groups of samples", "duplicates": "clusters"}.get(
                config.group_by, "samples"
            )
            kind = config.kind if config.kind != "auto" else "random" if drawn else "official"
            raise DataError(
                f"a {kind} split of {len(split)} samples leaves {part} empty ({sizes} for "
                f"train/val/test): too few {unit} for its share; change split.ratios or the data"
            )


def _official(samples: Sequence[Sample]) -> dict[str, Part]:
    without = [sample.id for sample in samples if sample.split is None]
    if without:
        raise DataError(
            f"{len(without)} of {len(samples)} samples have no official part: {names(without)}; "
            "choose another split.kind"
        )
    return {sample.id: sample.split for sample in samples if sample.split is not None}


@dataclass(frozen=True)
class _Unit:
    """Samples that stay together, and how many of each stratum they are."""

    ids: tuple[str, ...]
    strata: Mapping[str, int]


def _drawn(
    samples: Sequence[Sample], config: SplitConfig, clusters: Mapping[str, str] | None
) -> dict[str, Part]:
    ordered = sorted(samples, key=lambda sample: sample.id)
    stratum_of = _strata(ordered, config)
    quotas = _quotas(Counter(stratum_of.values()), config.ratios)
    units = [
        _Unit(
            ids, Counter(stratum_of[name] for name in ids) if ids[1:] else {stratum_of[ids[0]]: 1}
        )
        for ids in _grouped(ordered, config, clusters)
    ]
    # Uniform draws and a stable sort: `permutation` may differ between numpy releases.
    draws = np.random.Generator(np.random.PCG64(config.seed)).random(len(units))
    shuffled = [units[place] for place in np.argsort(draws, kind="stable")]
    return _deal(sorted(shuffled, key=lambda unit: -len(unit.ids)), quotas)


def _strata(samples: Sequence[Sample], config: SplitConfig) -> dict[str, str]:
    if config.kind != "stratified":
        return {sample.id: "" for sample in samples}
    without = [sample.id for sample in samples if sample.label is None]
    if without:
        raise DataError(
            f"a stratified split needs labels, but {len(without)} of {len(samples)} samples have "
            f"none: {names(without)}; use split.kind = 'random'"
        )
    return {sample.id: sample.label for sample in samples if sample.label is not None}


def _grouped(
    samples: Sequence[Sample], config: SplitConfig, clusters: Mapping[str, str] | None
) -> list[tuple[str, ...]]:
    if config.group_by == "none":
        return [(sample.id,) for sample in samples]
    if config.group_by == "group":
        group_of = {sample.id: sample.group for sample in samples}
    else:
        group_of = {sample.id: (clusters or {}).get(sample.id) for sample in samples}
    without = [name for name, group in group_of.items() if group is None]
    if without and config.group_by == "duplicates":
        raise ValueError(f"clusters lack {len(without)} of {len(samples)} ids: {names(without)}")
    if without:
        raise DataError(
            f"{len(without)} of {len(samples)} samples have no group: {names(without)}; "
            "use split.group_by = 'none' or 'duplicates'"
        )
    members: defaultdict[str | None, list[str]] = defaultdict(list)
    for name, group in group_of.items():
        members[group].append(name)
    return [tuple(ids) for ids in members.values()]


def _quotas(sizes: Mapping[str, int], ratios: Sequence[float]) -> Quotas:
    """How many samples of each stratum go to each part; see `make_split`."""
    # The decimals as written, so that 0.7 is 7/10 and no rounding error decides.
    exact = [Fraction(str(ratio)) for ratio in ratios]
    shares = [ratio / sum(exact) for ratio in exact]
    targets = {name: [size * share for share in shares] for name, size in sorted(sizes.items())}
    quotas = {name: [int(target) for target in row] for name, row in targets.items()}
    totals = _largest_remainder(sum(sizes.values()), shares)
    lacking = [total - sum(row[p] for row in quotas.values()) for p, total in enumerate(totals)]
    while any(lacking):
        name, part = max(
            (
                (name, part)
                for name, row in quotas.items()
                if sum(row) < sizes[name]
                for part in range(len(shares))
                if lacking[part]
            ),
            key=lambda cell: targets[cell[0]][cell[1]] - quotas[cell[0]][cell[1]],
        )
        quotas[name][part] += 1
        lacking[part] -= 1
    return quotas


def _largest_remainder(size: int, shares: Sequence[Fraction]) -> list[int]:
    counts = [int(size * share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda p: counts[p] - size * shares[p])
    for part in by_remainder[: size - sum(counts)]:
        counts[part] += 1
    return counts


def _deal(units: Sequence[_Unit], quotas: Quotas) -> dict[str, Part]:
    """Give each unit in turn to the part that it brings nearest to its quotas.

    Nearness is the sum over strata and parts of (count - quota)^2 / quota, so all parts fill
    at the same pace and large groups go to each of them. Units of one sample meet the quotas
    exactly.
    """
    counts = {name: [0] * len(PARTS) for name in quotas}
    # Most units are of one sample; their costs change in one place with each unit.
    of_one = {name: [_cost_of_one(0, quota) for quota in row] for name, row in quotas.items()}
    used = [part for part in range(len(PARTS)) if any(row[part] for row in quotas.values())]
    empty = list(used)
    split: dict[str, Part] = {}
    for place, unit in enumerate(units):
        # The last units are kept for parts that would else have none.
        choices = empty if len(units) - place <= len(empty) else used
        if len(unit.ids) == 1:
            (name,) = unit.strata
            part = min(choices, key=of_one[name].__getitem__)
        else:
            part = min(choices, key=lambda p: _cost(unit, counts, quotas, p))
        for name, size in unit.strata.items():
            counts[name][part] += size
            of_one[name][part] = _cost_of_one(counts[name][part], quotas[name][part])
        if part in empty:
            empty.remove(part)
        for sample_id in unit.ids:
            split[sample_id] = PARTS[part]
    return split


def _cost(unit: _Unit, counts: Quotas, quotas: Quotas, part: int) -> Fraction:
    """By how much the nearness worsens when `unit` joins `part`."""
    return sum(
        (
            Fraction(size * (2 * (counts[name][part] - quotas[name][part]) + size))
            / max(quotas[name][part], 1)
            for name, size in unit.strata.items()
        ),
        start=Fraction(0),
    )


def _cost_of_one(count: int, quota: int) -> float:
    """The same for a unit of one sample.

    A single quotient is ordered alike in floating point, up to some ten million samples; sums
    of several need exact fractions.
    """
    return (2 * (count - quota) + 1) / max(quota, 1)
