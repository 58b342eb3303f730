"""Datasets whose samples are picture files: one image, and any number of binary masks."""

from __future__ import annotations

from ssl_registry.data.pictures import read_luma, read_mask_union, read_rgb
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
        return read_mask_union(masks, image) if masks else None
