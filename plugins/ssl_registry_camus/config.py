"""Settings of the CAMUS dataset."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ssl_registry import FolderDatasetConfig, SplitConfig

View = Literal["2CH", "4CH"]
Phase = Literal["ED", "ES"]
VIEWS: tuple[View, ...] = ("2CH", "4CH")
PHASES: tuple[Phase, ...] = ("ED", "ES")


class CamusConfig(FolderDatasetConfig):
    """Where CAMUS lies, which of its frames are used, and how it is split.

    The folder is the one that holds `database_nifti`, that folder itself, or the one that holds
    `training` and `testing` of the older MetaImage release; where both releases lie, the NIfTI
    one is read. The default split is the official one: 400 patients for training, 50 for
    validation and 50 for testing, with four frames each. It needs the lists in
    `database_split`. The MetaImage release has no validation part, and its test images have no
    masks.

    For pre-training on all frames draw a split instead: `kind = "random"` and `ratios = [9, 1, 0]`
    gives 1,800 and 200 frames. A split that is drawn keeps the frames of a patient together, unless
    `group_by = "none"` is said.
    """

    grouped: ClassVar[bool] = True

    name: str = "camus"
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(kind="official"),
        description="How samples are divided into train, val, test.",
    )
    views: tuple[View, ...] = Field(
        default=VIEWS,
        min_length=1,
        description="The views that are used: 2CH (two chambers), 4CH (four chambers).",
    )
    phases: tuple[Phase, ...] = Field(
        default=PHASES,
        min_length=1,
        description="The phases that are used: ED (end of diastole), ES (end of systole).",
    )
