"""Settings of a folder of images."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ssl_registry import FolderDatasetConfig
from ssl_registry_image_folder.patterns import MaskPattern, image_pattern


def _listed(value: Any) -> Any:
    """A single pattern as a list of one."""
    return (value,) if isinstance(value, str) and value not in ("auto", "none") else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]
MaskPatterns = Annotated[Literal["auto", "none"] | tuple[str, ...], BeforeValidator(_listed)]


class ImageFolderConfig(FolderDatasetConfig):
    """Which files of a folder are images, and what belongs to them.

    Without further settings, all pictures below `root` are images, labelled by their folder.
    `name_mask.png` beside `name.png`, and `masks/name.png` for `images/name.png` or for `name.png`,
    are masks; so is what lies in `train_masks` beside `train_images` or `train`. Images in `train`,
    `val` and `test`, or `train_images` and so on, have these as their official parts, which
    `split.kind = "official"` keeps to; so have those in `imagesTr` and `imagesTs`, whose masks lie
    in `labelsTr` and `labelsTs`.

    Patterns are relative to `root` and pass over upper and lower case: `*` is any part of a name,
    `**/` any folders, `?` one character, `[ab]` one of some, `{png,jpg}` one of several.
    """

    name: str = "image_folder"
    images: Patterns = Field(
        default=("**/*",),
        min_length=1,
        description=(
            "Patterns of the images. {stem} may stand for the part of the file name that the "
            "mask's name shares; default: the name without its suffix."
        ),
    )
    exclude: Patterns = Field(default=(), description="Patterns of files to pass over.")
    masks: MaskPatterns = Field(
        default="auto",
        description=(
            "auto: by usual names; none; or templates, such as {stem}_mask*.png for files beside "
            "the image (all that match are united) or masks/{stem}.png for files below root. "
            "{stem} stands for the image's stem, {folder} for its folder, {parent} for the "
            "folder above that, {inner} for its folder without the topmost."
        ),
    )
    require_masks: bool = Field(
        default=False, description="Stop if an image has no mask, instead of listing it without."
    )
    mask_class: str = Field(
        default="foreground", min_length=1, description="What a binary mask shows."
    )
    mask_values: dict[Annotated[int, Field(ge=0, le=65535)], str] = Field(
        default_factory=dict,
        description=(
            "For masks of several classes: gray value (or place in the palette) to class, such as "
            "{128 = 'liver'}. 0 is background; other values that are, too, are given the class "
            "'background'. Values of the same meaning are given the same class."
        ),
    )
    labels: str = Field(
        default="folder",
        description=(
            "folder: an image's label is the name of its folder (not train, val, test, images); "
            "none; or a regular expression over its path below root, whose group `label`, or "
            "first group, it is."
        ),
    )
    groups: str | None = Field(
        default=None,
        description=(
            "A regular expression over an image's path below root, whose group `group`, or "
            "first group, is its patient or recording."
        ),
    )
    part_folders: bool = Field(
        default=True,
        description=(
            "Whether a topmost folder train, val or test (imagesTr, imagesTs) is the image's "
            "official part. If so, such a folder further down is an error; if not, all images are "
            "divided anew."
        ),
    )
    channels: Literal[1, 3] = Field(
        default=3, description="1: read as gray (luma); 3: read as colour."
    )
    organ: str = Field(default="unknown", description="Organ, for the card of the weights.")
    modality: str = Field(default="unknown", description="Such as ultrasound, for the card.")
    licence: str = Field(default="unknown", description="Licence of the images, for the card.")
    citation: str = Field(default="", description="How to cite the images, for the card.")
    source: str = Field(default="", description="Where the images come from, for the card.")
    lesion_free_label: str | None = Field(
        default=None, description="The label of images that show no lesion, if there is one."
    )

    @field_validator("images", "exclude")
    @classmethod
    def _image_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for text in patterns:
            image_pattern(text)
        return patterns

    @field_validator("masks")
    @classmethod
    def _mask_patterns(cls, masks: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not masks:
            raise ValueError("names no pattern; for no masks write masks = 'none'")
        for text in () if isinstance(masks, str) else masks:
            MaskPattern.parse(text)
        return masks

    @field_validator("labels", "groups")
    @classmethod
    def _expressions(cls, text: str | None) -> str | None:
        if text is None or text in ("folder", "none"):
            return text
        try:
            groups = re.compile(text).groups
        except re.error as error:
            raise ValueError(f"{text!r} is no regular expression: {error}") from error
        if not groups:
            raise ValueError(f"{text!r} needs a group in parentheses, which is what is taken")
        return text

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.masks == "none" and (self.require_masks or self.mask_values):
            raise ValueError("masks = 'none' leaves require_masks and mask_values no meaning")
        if self.mask_values and not self.mask_classes:
            raise ValueError("mask_values names no class but background")
        if len(self.mask_classes) > 255:
            raise ValueError("mask_values names more than 255 classes")
        return self

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the classes 1, 2, ..., in the order of their gray values."""
        if not self.mask_values:
            return (self.mask_class,)
        named = (name for _, name in sorted(self.mask_values.items()) if name != "background")
        return tuple(dict.fromkeys(named))
