"""How a dataset's samples are divided into train, val and test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from ssl_registry.config.path import UserPath
from ssl_registry.config.strict import StrictModel

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
RATIOS: Final = (0.7, 0.1, 0.2)


class SplitConfig(StrictModel):
    """A recipe for a split; the core makes it, the same way for every dataset."""

    kind: Literal["auto", "random", "stratified", "official", "file"] = Field(
        default="auto",
        description="random; stratified by label; official (as the release divides it); file; or "
        "auto: official where the release divides all images and neither ratios, seed nor "
        "group_by ask for something else; random elsewhere.",
    )
    ratios: tuple[float, float, float] = Field(
        default=RATIOS, description="Shares of train, val and test; any positive scale."
    )
    seed: int = Field(default=42, ge=0, description="Seed of the draw.")
    group_by: Literal["none", "group", "duplicates"] = Field(
        default="none",
        description=(
            "Keep together: samples of one group (patient, recording), or near-duplicate images "
            "(and the groups they are in)."
        ),
    )
    file: UserPath | None = Field(
        default=None,
        description="For kind file: a CSV with a column `id` or `original_filepath`, and `split`.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "file") != (self.file is not None):
            raise ValueError("kind = 'file' and file = '...' belong together")
        if min(self.ratios) < 0 or self.ratios[0] <= 0:
            raise ValueError("ratios must not be negative, and train needs a share")
        if self.kind in ("official", "file") and self.group_by != "none":
            raise ValueError(f"group_by has no meaning for a split of kind {self.kind!r}")
        return self

    @property
    def follows_release(self) -> bool:
        """Whether the release's own division is wanted, where it has one."""
        undemanding = self.group_by == "none" and self.ratios == RATIOS
        return self.kind == "official" or (self.kind == "auto" and undemanding)


def laid_over(
    base: SplitConfig, changes: Mapping[str, Any], *, grouped: bool = False
) -> dict[str, Any]:
    """The table of a recipe: what `changes` leave out is as in `base`, a dataset's own recipe.

    So another seed does not tear patients apart. Changes of an official split, or one from a
    file, are about a draw, unless they name the kind; with `grouped` that is one of groups.
    So are ratios and a seed where the kind is `auto`, which else may be the release's division.
    """
    table = base.model_dump(include={"kind", "ratios", "seed", "group_by"})
    if base.kind in ("official", "file"):
        table |= {"kind": "random", "group_by": "group" if grouped else "none"}
    elif base.kind == "auto" and not {"ratios", "seed"}.isdisjoint(changes):
        table["kind"] = "random"
    table |= changes
    if table["kind"] in ("official", "file") and "group_by" not in changes:
        table["group_by"] = "none"
    return table
