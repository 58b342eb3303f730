"""A folder of images as a dataset.

Format: any. Which files are images, which are masks, and what the names say is told by the
config's patterns, whose defaults suit a flat folder, folders of classes, `images` beside `masks`,
`name_mask.png` beside `name.png`, and any of these below `train`, `val` and `test`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ssl_registry import (
    DataError,
    DatasetInfo,
    FolderDataset,
    Image,
    Mask,
    Sample,
    picture_size,
    read_luma,
    read_rgb,
)
from ssl_registry_image_folder.binary_mask import read_binary
from ssl_registry_image_folder.config import ImageFolderConfig
from ssl_registry_image_folder.label_map import LabelMap
from ssl_registry_image_folder.listing import Files, list_files
from ssl_registry_image_folder.naming import has_deep_part, ids, part_and_label, taken
from ssl_registry_image_folder.pairing import Pairing, matching_images, pair
from ssl_registry_image_folder.patterns import MaskPattern, image_pattern
from ssl_registry_image_folder.usual_masks import usual_masks


class ImageFolderDataset(FolderDataset):
    """The pictures below a folder.

    A sample's id is its path below the root without the suffix, or with it where two images
    would have the same. `info` tells what the config says of the images; that there are no mask
    classes is known, and told, once `samples` has looked for masks by their usual names.
    """

    config: ImageFolderConfig
    suffixes: ClassVar[frozenset[str]] = frozenset(
        {"bmp", "dib", "gif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm"}
        | {"ppm", "tga", "tif", "tiff", "webp"}
    )

    def __init__(self, config: ImageFolderConfig) -> None:
        super().__init__(config)
        self.info = DatasetInfo(
            organ=config.organ,
            modality=config.modality,
            licence=config.licence,
            citation=config.citation,
            source=config.source,
            channels=config.channels,
            classes=() if config.masks == "none" else config.mask_classes,
            lesion_free_label=config.lesion_free_label,
        )
        self._label_map = LabelMap(config.mask_values, config.mask_classes)

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> ImageFolderConfig:
        """Write a tiny folder of generated pictures."""
        from ssl_registry_image_folder.sample import write_folder

        return write_folder(root, seed)

    def samples(self) -> Sequence[Sample]:
        """All images, sorted by their path; lists the folders but opens no file.

        Raises:
            DatasetNotFoundError: There is no such folder, or it holds no file.
            DataError: No file is an image by the patterns, masks have no image or several, images
                have no mask though they must, a part is not topmost, or an expression finds
                nothing; says what was looked for, and names the first few files.
        """
        root = self.root
        every = list_files(root)
        if not every:
            raise self.missing(f"{root.absolute()} holds no file")
        pairing = self._paired(root, every)
        self._check(root, pairing)
        if self.config.masks == "auto" and not pairing.masks:
            self.info = replace(self.info, classes=())
        return self._named(root, pairing)

    def read_image(self, sample: Sample) -> Image:
        """Luma, uint8 `[H, W]`, or RGB, uint8 `[H, W, 3]`, as the config's `channels` say."""
        read = read_luma if self.config.channels == 1 else read_rgb
        return read(sample.files[0])

    def read_mask(self, sample: Sample) -> Mask | None:
        """The image's masks as one, uint8 `[H, W]` of class numbers.

        Binary masks are united; a pixel is foreground above 127, or at 1 if there is no higher
        value.

        Raises:
            DataError: A mask cannot be read, has another size than its image, holds a value
                without a class, holds several classes that have no names, or gives a pixel another
                class than a second mask does.
        """
        image, *masks = sample.files
        if not masks:
            return None
        width, height = picture_size(image)
        united = np.zeros((height, width), np.uint8)
        for path in masks:
            mask = self._label_map.read(path) if self.config.mask_values else read_binary(path)
            if mask.shape != united.shape:
                raise DataError(
                    f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, but its image "
                    f"{image.name} is {width}x{height}"
                )
            if ((united > 0) & (mask > 0) & (united != mask)).any():
                raise DataError(
                    f"the mask {path} gives pixels another class than another mask of {image.name}"
                )
            united = np.maximum(united, mask)
        return united

    def _paired(self, root: Path, every: Files) -> Pairing:
        """Images and masks among all files."""
        config = self.config
        excluded = [image_pattern(text) for text in config.exclude]
        files = {
            folder: [name for name in names if self._is_picture(folder, name, excluded)]
            for folder, names in every.items()
        }
        images = matching_images(files, [image_pattern(text) for text in config.images])
        if not images:
            there = Counter(name.rpartition(".")[2] for names in every.values() for name in names)
            kinds = ", ".join(f"{count} .{suffix}" for suffix, count in there.most_common(8))
            raise DataError(
                f"no file in {root.absolute()} is an image matching {_texts(config.images)}; "
                f"there are {kinds}; read are {', '.join(sorted(self.suffixes))}"
            )
        if config.masks == "none":
            return pair(files, images, [])
        if config.masks == "auto":
            return pair(files, images, usual_masks(files, images))
        pairing = pair(files, images, [MaskPattern.parse(text) for text in config.masks])
        if not pairing.images:
            raise DataError(
                f"masks = {_texts(config.masks)} takes all {len(images)} images matching "
                f"{_texts(config.images)} for masks, such as {images[0].path}; write a pattern "
                "that fits the masks only"
            )
        return pairing

    def _is_picture(self, folder: str, name: str, excluded: Sequence[re.Pattern[str]]) -> bool:
        if name.rpartition(".")[2].lower() not in self.suffixes:
            return False
        return not excluded or not any(each.fullmatch(folder + name) for each in excluded)

    def _named(self, root: Path, pairing: Pairing) -> list[Sample]:
        """The samples, with what the names say of them."""
        config, images, masks = self.config, pairing.images, pairing.masks
        paths = [image.path for image in images]
        folders = {image.folder for image in images}
        listed = {folder: _paths(root / folder) for folder in folders}
        placed = {folder: part_and_label(folder, config.part_folders) for folder in folders}
        labels = [placed[image.folder][1] for image in images]
        if config.labels != "folder":
            labels = taken("label", None if config.labels == "none" else config.labels, paths)
        groups = taken("group", config.groups, paths)
        return [
            Sample(
                id=name,
                label=label,
                group=group,
                split=placed[image.folder][0],
                has_mask=image.path in masks,
                files=(
                    listed[image.folder].get(image.path[len(image.folder) :]) or root / image.path,
                    *(root / mask for mask in masks.get(image.path, ())),
                ),
            )
            for image, name, label, group in zip(images, ids(paths), labels, groups, strict=True)
        ]

    def _check(self, root: Path, pairing: Pairing) -> None:
        """Stop at masks without images, images without masks they must have, and deep parts."""
        if self.config.part_folders:
            self._check_parts(root, pairing)
        if pairing.ambiguous:
            mask, first, last = pairing.ambiguous[0]
            raise DataError(
                f"{len(pairing.ambiguous)} masks in {root.absolute()} fit several images, such as "
                f"{mask}, which fits {first} and {last}; tell them apart by {{folder}}, {{parent}} "
                "or {inner} in `masks`"
            )
        if pairing.orphans and not self.config.skip_unreadable:
            raise DataError(
                f"{len(pairing.orphans)} masks in {root.absolute()} match no image: "
                f"{_some(pairing.orphans)}; add their images, exclude them, change `masks`, or set "
                "skip_unreadable = true to go on without them"
            )
        without = [i.path for i in pairing.images if i.path not in pairing.masks]
        named = isinstance(self.config.masks, tuple)
        if without and (self.config.require_masks or (named and not pairing.masks)):
            looked = f"by masks = {_texts(self.config.masks)}" if named else "by any usual name"
            raise DataError(
                f"{len(without)} of {len(pairing.images)} images in {root.absolute()} have no mask "
                f"{looked}: {_some(without)}"
            )

    def _check_parts(self, root: Path, pairing: Pairing) -> None:
        """Stop at parts that are not topmost, whose images would be divided anew."""
        folders = {image.folder for image in pairing.images}
        deep = {folder for folder in folders if has_deep_part(folder)}
        if deep:
            inside = [image.path for image in pairing.images if image.folder in deep]
            raise DataError(
                f"{len(inside)} of {len(pairing.images)} images in {root.absolute()} lie in a "
                f"folder named like a part, but not topmost: {_some(inside)}; set root one level "
                "deeper or move the parts to the top, or set part_folders = false to divide all "
                "images anew"
            )


def _paths(folder: Path) -> dict[str, Path]:
    """What lies in a folder, by name: listing makes paths at half the cost of joining them."""
    try:
        return {path.name: path for path in folder.iterdir()}
    except OSError:  # moved since it was listed
        return {}


def _texts(patterns: Iterable[str]) -> str:
    return ", ".join(map(repr, patterns))


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
