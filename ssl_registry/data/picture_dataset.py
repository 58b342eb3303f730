"""Datasets whose samples are picture files: one image, and any number of binary masks."""

from __future__ import annotations

import numpy as np

from ssl_registry.data.pictures import picture_size, read_binary_mask, read_luma, read_rgb
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import FolderDataset, Image, Mask, Sample


class PictureDataset(FolderDataset):
    """A folder of pictures: `Sample.files` are the image and, after it, its masks.

    A subclass sets `info` and writes `samples`. Its one class is where a mask is above 127; for
    several classes it writes `read_mask` as well.
    """

    def read_image(self, sample: Sample) -> Image:
        """Luma, uint8 `[H, W]`, or RGB, uint8 `[H, W, 3]`, as `info.channels` says.

        Raises:
            DataError: It cannot be read; names the file.
        """
        read = read_luma if self.info.channels == 1 else read_rgb
        return read(sample.files[0])

    def read_mask(self, sample: Sample) -> Mask | None:
        """The union of the image's masks, uint8 `[H, W]` of 0 and 1; None if it has none.

        Raises:
            DataError: A mask cannot be read, or has another size than its image; names the file.
        """
        image, *masks = sample.files
        if not masks:
            return None
        width, height = picture_size(image)
        union = np.zeros((height, width), np.uint8)
        for path in masks:
            mask = read_binary_mask(path)
            if mask.shape != union.shape:
                raise DataError(
                    f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, but its image "
                    f"{image.name} is {width}x{height}"
                )
            union |= mask
        return union
