"""The plan of a study: its runs, what they wait for, and which row each fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from ssl_registry.errors import RunError


@dataclass(frozen=True)
class PlannedRun:
    """One pre-training or fine-tuning.

    Attributes:
        id: Hash of what its result depends on.
        kind: What it is.
        config: Its resolved config, as JSON.
        presets: The presets that the config was laid over.
        needs: Id of the pre-training whose weights it starts from; "" for none.
        title: What a person calls it.
        cell: What it has in common with runs that differ by seed alone.
        keep_weights: Whether its weights stay once it has finished.
    """

    id: str
    kind: Literal["pretrain", "finetune"]
    config: Mapping[str, Any]
    presets: tuple[str, ...]
    needs: str
    title: str
    cell: str
    keep_weights: bool


@dataclass(frozen=True)
class Row:
    """One line of the study's table: a combination of the axes, and the run that fills it.

    Attributes:
        study: The part of the study that it belongs to.
        axes: The value of each axis.
        run: Id of the fine-tuning.
    """

    study: str
    axes: Mapping[str, str | int | float]
    run: str


@dataclass(frozen=True)
class Plan:
    """All runs of a study.

    Attributes:
        title: Heading of the report.
        runs: By id; a run comes after the one it needs.
        rows: The lines of the table, in order.
        published: Published figures to compare with, as in the study's config.
        left_out: Values of axes that were left out, each with the reason.
    """

    title: str
    runs: Mapping[str, PlannedRun]
    rows: tuple[Row, ...]
    published: Mapping[str, Any] | None = None
    left_out: tuple[str, ...] = ()

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The names of all axes, in the order of the table's columns."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.axes))

    def count(self, kind: str) -> int:
        """How many runs of a kind there are."""
        return sum(run.kind == kind for run in self.runs.values())

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return {**asdict(self), "runs": [asdict(run) for run in self.runs.values()]}

    @classmethod
    def from_json(cls, value: Any, origin: str) -> Plan:
        """Take back what `to_json` gave; `origin` names it in an error.

        Raises:
            RunError: It is no plan of a study.
        """
        try:
            runs = [
                PlannedRun(**{**run, "presets": tuple(run["presets"])}) for run in value["runs"]
            ]
            return cls(
                title=value["title"],
                runs={run.id: run for run in runs},
                rows=tuple(Row(**row) for row in value["rows"]),
                published=value["published"],
                left_out=tuple(value["left_out"]),
            )
        except (KeyError, TypeError) as error:
            raise RunError(f"{origin} is no plan of a study: {error}") from error
