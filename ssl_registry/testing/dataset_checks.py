"""What a dataset is held to, on a generated sample of itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np

from ssl_registry.data.reading import class_planes, read_checked_mask, read_image, read_mask
from ssl_registry.data.splits import make_split
from ssl_registry.errors import DataError, DatasetNotFoundError
from ssl_registry.interfaces.dataset import Sample
from ssl_registry.registry import Found
from ssl_registry.testing.check import Rule, listed, require
from ssl_registry.testing.dataset_bench import DatasetBench

_READ = 24
"""So many images are read of a sample; it need not have more."""
_UNSAID = ("", "unknown")


def subject(found: Found) -> DatasetBench:
    """What the rules below take."""
    return DatasetBench(found)


def _read(bench: DatasetBench) -> list[Sample]:
    """Samples drawn from all of them, in their order.

    At random: at equal steps, a sample in which healthy and ill take turns would show one of them.
    """
    drawn = Random(0).sample(range(len(bench.samples)), min(_READ, len(bench.samples)))
    return [bench.samples[index] for index in sorted(drawn)]


def _sample(bench: DatasetBench) -> None:
    lost = [str(f) for sample in bench.samples for f in sample.files if not f.is_file()]
    require(not lost, f"its samples name files that are not there: {listed(lost)}")
    for sample in _read(bench):
        read_image(bench.dataset, sample)
        read_mask(bench.dataset, sample)


def _ids(bench: DatasetBench) -> None:
    ids = [sample.id for sample in bench.samples]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    require(not twice, f"ids are there several times: {listed(twice)}")
    again = [sample.id for sample in bench.build(bench.dataset.config).samples()]
    require(ids == again, "listed again, the ids are others or in another order")
    elsewhere = [sample.id for sample in bench.sampled(seed=1).samples()]
    require(ids == elsewhere, "in another folder, with other pixels, the ids are others")
    for name in ids:
        plain = name.isprintable() and name == name.strip() and "\\" not in name
        inside = not name.startswith("/") and ".." not in name.split("/")
        require(bool(name) and plain and inside, f"the id {name!r} is no plain relative name")


def _groups(bench: DatasetBench) -> None:
    recipe = bench.dataset.config.split
    clusters = None
    if recipe.group_by == "duplicates":
        from ssl_registry.data.duplicates import dataset_clusters  # scipy takes a while to import

        clusters = dataset_clusters(bench.dataset, bench.samples)
    split = make_split(bench.samples, recipe, clusters)
    parts: dict[str, set[str]] = defaultdict(set)
    for sample in bench.samples:
        if sample.group is not None:
            parts[sample.group].add(split[sample.id])
    torn = [f"{group!r} in {', '.join(sorted(p))}" for group, p in parts.items() if len(p) > 1]
    require(not torn, f"its own split tears groups apart: {listed(torn)}")


def _images(bench: DatasetBench) -> None:
    colour, brightest, samples = bench.dataset.info.channels == 3, 0, _read(bench)
    for sample in samples:
        image = read_image(bench.dataset, sample)
        shape = list(image.shape)
        wanted = "[H, W, 3]" if colour else "[H, W]"
        require(
            (image.ndim == 3) == colour,
            f"the image {sample.id!r} has the shape {shape}, with info.channels it is {wanted}",
        )
        brightest = max(brightest, int(image.max()))
    require(brightest > 1, f"no image is brighter than {brightest} of 255")
    with ThreadPoolExecutor(4) as pool:
        twice = [pool.map(lambda s: read_image(bench.dataset, s), samples) for _ in range(2)]
        same = all(np.array_equal(a, b) for a, b in zip(*twice, strict=True))
    require(same, "read again by several threads, an image is another")


def _masks(bench: DatasetBench) -> None:
    info, found = bench.dataset.info, set()
    for sample in _read(bench):
        if not sample.has_mask:
            given = read_mask(bench.dataset, sample)
            require(given is None, f"{sample.id!r} has a mask, but its has_mask is False")
            continue
        require(bool(info.classes), f"{sample.id!r} has a mask, but info.classes is empty")
        image = read_image(bench.dataset, sample)
        mask = read_checked_mask(bench.dataset, sample, image)
        require(mask.dtype == np.uint8, f"the mask of {sample.id!r} is {mask.dtype}")
        planes = class_planes(mask, len(info.classes))
        found |= {name for name, p in zip(info.classes, planes, strict=True) if p.any()}
    missing = [name for name in info.classes if name not in found]
    require(not missing, f"no mask of the sample shows the class {', '.join(missing)}")


def _information(bench: DatasetBench) -> None:
    info = bench.dataset.info
    told = {key: getattr(info, key) for key in ("organ", "modality", "licence", "citation")}
    told["source"] = info.source
    missing = [key for key, value in told.items() if value.strip().lower() in _UNSAID]
    require(not missing, f"info does not tell {', '.join(missing)}")


def _missing_data(bench: DatasetBench) -> None:
    config = bench.dataset.config
    if "root" not in type(config).model_fields:
        return
    empty = bench.folder()
    for root, state in ((empty / "nowhere", "is not there"), (empty, "is empty")):
        try:
            bench.build(config.model_copy(update={"root": root})).samples()
        except (DatasetNotFoundError, DataError) as error:
            named = root.name in str(error)
            require(named, f"if its folder {state}, the error does not name it: {error}")
        else:
            require(False, f"if its folder {state}, samples() raises nothing")


RULES: tuple[Rule[DatasetBench], ...] = (
    Rule(
        "generated_sample",
        "It lists and reads a generated sample of itself.",
        "Make write_sample write the very layout of the release, and samples() read it.",
        _sample,
    ),
    Rule(
        "ids",
        "Ids are unique, and the same in any folder and order of files.",
        "Make ids of names below the root, sorted, with / between folders.",
        _ids,
    ),
    Rule(
        "groups",
        "Its default split has all parts and keeps the samples of a group together.",
        "Give `split` a default with group_by='group' (SplitConfig), and the sample enough groups.",
        _groups,
    ),
    Rule(
        "images",
        "Images are uint8 in 0..255, [H, W] or [H, W, 3] as declared, the same in every thread.",
        "Return uint8 from read_image (read_luma and read_rgb do), and keep no open files.",
        _images,
    ),
    Rule(
        "masks",
        "Masks are there where has_mask says, fit their image and hold the declared classes only.",
        "Map stored values (such as 255) to class numbers 1, 2, ...; name all in info.classes.",
        _masks,
    ),
    Rule(
        "information",
        "Organ, modality, licence, citation and source are told.",
        "Fill them in `DatasetInfo`; they go into the card of all weights made from the data.",
        _information,
    ),
    Rule(
        "missing_data",
        "Without data, the error names the folder that was looked in.",
        "Raise self.missing(...) of FolderDataset, which says how to get the data.",
        _missing_data,
    ),
)
