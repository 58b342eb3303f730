"""The combinations of a study's axes, without those that would be the same run twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ssl_registry.config.study import NONE, AxisValue, StudyConfig, VariantConfig
from ssl_registry.errors import ConfigError
from ssl_registry.registry import suggest

_OF_PRETRAINING = ("scope", "pretrain_seed")
"""Plain axes that mean nothing to a run without pre-training."""


@dataclass(frozen=True)
class Combination:
    """One value of each axis.

    Attributes:
        values: By axis; `NONE` where the axis does not apply.
        variants: What the named ones among them set, in the order of the axes.
    """

    values: Mapping[str, AxisValue]
    variants: tuple[VariantConfig, ...]

    @property
    def pretrained(self) -> bool:
        """Whether it starts from a pre-training of the study."""
        return self.weights is None and all(variant.pretraining for variant in self.variants)

    @property
    def weights(self) -> str | None:
        """The folder of given weights that it starts from, if it does."""
        given = [variant.weights for variant in self.variants if variant.weights is not None]
        return given[0] if given else None


def combinations(config: StudyConfig) -> Iterator[Combination]:
    """All combinations of the axes of a study, seeds changing fastest.

    Values of axes that only concern pre-training are `NONE` where there is none.
    """
    named, listed = config.axes.named(), config.axes.listed()
    idle = {
        *(name for name, variants in named.items() if not _matters(variants.values())),
        *_OF_PRETRAINING,
    }
    choices = [list(values.items()) for values in named.values()]
    seen: set[tuple[AxisValue, ...]] = set()
    for chosen in itertools.product(*choices):
        of_axis = dict(zip(named, chosen, strict=True))
        baseline = any(not v.pretraining or v.weights is not None for _, v in chosen)
        for plain in itertools.product(*listed.values()):
            values: dict[str, AxisValue] = {name: value for name, (value, _) in of_axis.items()}
            values |= dict(zip(listed, plain, strict=True))
            unused = idle if baseline else set()
            cell = {name: NONE if name in unused else value for name, value in values.items()}
            variants = {n: variant for n, (_, variant) in of_axis.items() if n not in unused}
            if tuple(cell.values()) in seen or not _wanted(cell, variants, config.without):
                continue
            seen.add(tuple(cell.values()))
            yield Combination(cell, tuple(variants.values()))


def left_out(config: StudyConfig) -> list[str]:
    """Values of axes that need weights which were not given, in sentences."""
    return [
        f"{axis} {name!r} is left out: it needs weights; name their folder with "
        f"--set axes.{axis}.{name}.weights=FOLDER"
        for axis, variants in config.axes.named().items()
        for name, variant in variants.items()
        if variant.weights == "" and name not in config.without.get(axis, ())
    ]


def _matters(variants: Iterable[VariantConfig]) -> bool:
    """Whether any value of an axis changes a run without pre-training."""
    return any(variant.changes_finetuning for variant in variants)


def _wanted(
    cell: Mapping[str, AxisValue],
    variants: Mapping[str, VariantConfig],
    without: Mapping[str, Sequence[AxisValue]],
) -> bool:
    if any(variant.weights == "" for variant in variants.values()):
        return False
    if any(cell.get(axis) in values for axis, values in without.items()):
        return False
    return all(
        cell.get(axis, NONE) in (NONE, *values)
        for variant in variants.values()
        for axis, values in variant.only.items()
    )


def check_without(parts: Mapping[str, StudyConfig], origin: str) -> None:
    """Nothing may be left out that is in no part of a study.

    Raises:
        ConfigError: `without` names an axis or a value that there is not; says what there is.
    """
    axes: dict[str, list[AxisValue]] = {}
    for config in parts.values():
        for axis, values in config.axes.values().items():
            axes.setdefault(axis, []).extend(values)
    for config in parts.values():
        for axis, values in config.without.items():
            if axis not in axes:
                text = f"without.{axis}: there is no such axis{suggest(axis, [*axes])}"
                raise ConfigError(f"{origin}: {text}")
            for value in values:
                if value not in (NONE, *axes[axis]):
                    known = list(dict.fromkeys(str(one) for one in axes[axis]))
                    raise ConfigError(
                        f"{origin}: without.{axis}: there is no value {value!r}"
                        f"{suggest(str(value), known)}; there is {', '.join(known)}"
                    )
