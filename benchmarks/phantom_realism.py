"""Measure the generated breast images against BUSI, and draw both.

    python benchmarks/phantom_realism.py --data $SSL_REGISTRY_DATA --out DIR [--figures docs/images]

Writes `realism.csv`, `phantom_gallery.png` and `phantom_realism.png` (no real pixel in them), and
`side_by_side.png`, which shows real pictures and therefore goes to DIR only.
"""

from __future__ import annotations

import argparse
import gzip
import struct
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ssl_registry_phantom.config import PhantomConfig
from ssl_registry_phantom.dataset import PhantomDataset
from ssl_registry_phantom.generator import generate_image, generate_mask
from ssl_registry_phantom.speckle import homogeneous_envelope

mpl.use("Agg")
from matplotlib import pyplot as plt

Array = NDArray[np.float64]

LONG_SIDE = 160  # both sets are compared at this size, px
LOCAL_MEAN = 6.0  # standard deviation of the local mean that autocorrelations leave out, px
LAGS = 14
QUANTILES = (5, 25, 50, 75, 95)
QUANTITIES = {
    **{f"q{q}": f"gray value, {q} % quantile" for q in QUANTILES},
    "axial": "axial autocorrelation half-width, px",
    "lateral": "lateral autocorrelation half-width, px",
    "contrast": "lesion contrast, ring - lesion, gray values",
    "contrast_benign": "the same, benign only",
    "contrast_malignant": "the same, malignant only",
    "ratio": "lesion contrast, lesion / ring",
    "area": "lesion area, share of the image",
}
COLOURS = {"BUSI": "#4c72b0", "phantom": "#dd8452"}
PHANTOM = PhantomDataset(PhantomConfig(organs=("breast",), images_per_organ=780, size=LONG_SIDE))


@dataclass(frozen=True)
class Picture:
    """One breast image at the common size, its label and its lesion."""

    label: str
    image: Array
    mask: NDArray[np.bool_]


def busi(data: Path) -> Iterator[Picture]:
    """All BUSI pictures, in luma, reduced to the common long side; lesions are unions of masks."""
    root = data / "busi" / "Dataset_BUSI_with_GT"
    files = sorted(root.glob("*/*).png"))
    if not files:
        sys.exit(f"no BUSI images in {root}: --data must name the folder that holds busi/")
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("L")
        factor = LONG_SIDE / max(image.size)
        size = round(image.width * factor), round(image.height * factor)
        lesion = np.zeros((image.height, image.width), dtype=bool)
        for mask_file in file.parent.glob(f"{file.stem}_mask*.png"):
            with Image.open(mask_file) as opened:
                lesion |= np.asarray(opened.convert("L")) > 127
        mask = Image.fromarray(lesion.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float64)
        yield Picture(file.parent.name, pixels, np.asarray(mask) > 127)


def phantom() -> Iterator[Picture]:
    """As many phantom pictures as BUSI has."""
    for sample in PHANTOM.samples():
        mask = PHANTOM.read_mask(sample)
        if sample.label is None or mask is None:
            raise RuntimeError(f"{sample.id} has no label or mask")
        yield Picture(sample.label, PHANTOM.read_image(sample).astype(np.float64), mask > 0)


def autocorrelation(image: Array, axis: int) -> Array:
    """Autocorrelation of the locally de-meaned gray values at lags 0 ... `LAGS` - 1 px."""
    detail = np.moveaxis(image - ndimage.gaussian_filter(image, LOCAL_MEAN), axis, 0)
    power = np.mean(detail**2)
    later = [np.mean(detail[lag:] * detail[:-lag]) / power for lag in range(1, LAGS)]
    return np.array([1.0, *later])


def half_width(curve: Array) -> float:
    """The lag at which the curve first falls to 0.5, interpolated linearly."""
    after = int(np.argmax(curve < 0.5))
    before = curve[after - 1]
    return float(after - 1 + (before - 0.5) / (before - curve[after]))


def measure(picture: Picture) -> dict[str, Any]:
    """All `QUANTITIES` of one picture, and its autocorrelation curves."""
    curves = {
        "axial": autocorrelation(picture.image, 0),
        "lateral": autocorrelation(picture.image, 1),
    }
    row: dict[str, Any] = {"label": picture.label}
    row |= {f"{name}_curve": curve for name, curve in curves.items()}
    quantiles = np.percentile(picture.image, QUANTILES)
    row |= {f"q{q}": value for q, value in zip(QUANTILES, quantiles, strict=True)}
    row |= {name: half_width(curve) for name, curve in curves.items()}
    if picture.mask.any():
        near = ndimage.binary_dilation(picture.mask, iterations=2)
        ring = ndimage.binary_dilation(picture.mask, iterations=8) & ~near
        inside, outside = picture.image[picture.mask].mean(), picture.image[ring].mean()
        row |= {"contrast": outside - inside, "ratio": inside / outside}
        row[f"contrast_{picture.label}"] = outside - inside
        row["area"] = picture.mask.mean()
    return row


def measure_all(pictures: Iterable[Picture]) -> pd.DataFrame:
    """One row a picture."""
    with ThreadPoolExecutor() as pool:
        return pd.DataFrame(pool.map(measure, pictures))


def compare(real: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """One row a quantity: the 5, 50 and 95 % points of both sets, and the share inside."""
    rows = []
    for key, text in QUANTITIES.items():
        low, middle, high = np.nanpercentile(real[key], [5, 50, 95])
        values = made[key].dropna()
        own = np.percentile(values, [5, 50, 95])
        rows.append(
            {
                "quantity": text,
                **{"BUSI 5 %": low, "BUSI 50 %": middle, "BUSI 95 %": high},
                **dict(zip(("phantom 5 %", "phantom 50 %", "phantom 95 %"), own, strict=True)),
                "inside": float(((values >= low) & (values <= high)).mean()),
            }
        )
    return pd.DataFrame(rows).set_index("quantity")


def speckle_snr() -> float:
    """Mean / deviation of the envelope of a homogeneous medium (Rayleigh: 1.91)."""
    envelope = homogeneous_envelope(np.random.default_rng(0), 512)
    return float(envelope.mean() / envelope.std())


def show(axes: Any, image: NDArray[Any], title: str = "", mask: NDArray[Any] | None = None) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear", aspect="auto")
    if mask is not None and mask.any():
        axes.contour(mask, levels=[0.5], colors="#ffc400", linewidths=1.0)
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(title, fontsize=9)


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A picture without noise in its metadata changes only when its pixels do.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def gallery(path: Path) -> None:
    """The three organs, a column a picture; lesions outlined."""
    rows = [
        ("breast", ["benign"] * 4 + ["malignant"] * 4, [1, 3, 4, 6, 1, 2, 6, 8]),
        ("heart", ["4ch"] * 4 + ["2ch"] * 4, [1, 2, 3, 5, 1, 2, 3, 4]),
        ("lung", ["convex"] * 4 + ["linear"] * 4, [2, 4, 5, 10, 1, 2, 4, 8]),
    ]
    figure, grid = plt.subplots(3, 8, figsize=(14, 5.7), layout="constrained", squeeze=False)
    for line, (organ, categories, numbers) in zip(grid, rows, strict=True):
        for axes, category, number in zip(line, categories, numbers, strict=True):
            image = generate_image(category, 0, number, 240)
            show(axes, image, f"{organ}, {category}", generate_mask(category, 0, number, 240))
    save(figure, path)


def distributions(path: Path, real: pd.DataFrame, made: pd.DataFrame) -> None:
    """Quantile bands, autocorrelation curves and contrast histograms, beside examples."""
    figure = plt.figure(figsize=(14, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 5)
    for column, category in enumerate(("benign", "malignant", "normal")):
        image = generate_image(category, 0, column + 3, 240)
        mask = generate_mask(category, 0, column + 3, 240)
        show(figure.add_subplot(grid[0, column]), image, f"phantom, {category}", mask)
    _quantile_bands(figure.add_subplot(grid[0, 3:]), real, made)
    for column, name in enumerate(("axial", "lateral")):
        _curves(figure.add_subplot(grid[1, column]), name, real, made)
    for column, label in enumerate(("benign", "malignant")):
        _histogram(figure.add_subplot(grid[1, 2 + column]), "contrast", label, real, made)
    _histogram(figure.add_subplot(grid[1, 4]), "area", "all", real, made)
    save(figure, path)


def _quantile_bands(axes: Any, real: pd.DataFrame, made: pd.DataFrame) -> None:
    points = np.arange(len(QUANTILES))
    for shift, (name, frame) in zip(
        (-0.13, 0.13), (("BUSI", real), ("phantom", made)), strict=True
    ):
        bands = np.array([np.percentile(frame[f"q{q}"], [5, 25, 50, 75, 95]) for q in QUANTILES])
        style = {"color": COLOURS[name], "capstyle": "butt"}
        for low, high, width in ((0, 4, 3), (1, 3, 9)):
            axes.vlines(points + shift, bands[:, low], bands[:, high], lw=width, **style)
        axes.plot(points + shift, bands[:, 2], "o", color="white", ms=4, mec=COLOURS[name])
        axes.plot([], [], color=COLOURS[name], lw=6, label=name)
    axes.set_xticks(points, [f"{q} %" for q in QUANTILES])
    axes.set_xlabel("quantile within an image")
    axes.set_title("gray values: median, middle 50 % and 90 % of images", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _curves(axes: Any, name: str, real: pd.DataFrame, made: pd.DataFrame) -> None:
    for label, frame in (("BUSI", real), ("phantom", made)):
        low, middle, high = np.percentile(np.stack(list(frame[f"{name}_curve"])), [5, 50, 95], 0)
        axes.fill_between(range(LAGS), low, high, color=COLOURS[label], alpha=0.25, lw=0)
        axes.plot(middle, color=COLOURS[label], label=label)
    axes.axhline(0.5, color="0.6", lw=0.8, ls=":")
    axes.set_xlabel(f"lag at long side {LONG_SIDE}, px")
    axes.set_title(f"{name} autocorrelation", fontsize=9)


def _histogram(axes: Any, key: str, label: str, real: pd.DataFrame, made: pd.DataFrame) -> None:
    samples = {}
    for name, frame in (("BUSI", real), ("phantom", made)):
        chosen = frame if label == "all" else frame[frame["label"] == label]
        samples[name] = chosen[key].dropna()
    low, high = np.percentile(np.concatenate(list(samples.values())), [0.5, 99.5])
    bins = np.linspace(low, high, 25)
    for name, values in samples.items():
        axes.hist(values, bins, density=True, color=COLOURS[name], alpha=0.5)
    axes.set_yticks([])
    axes.set_title(f"lesion {key}, {label}", fontsize=9)


def side_by_side(path: Path, data: Path) -> None:
    """Real pictures above phantom ones; not to be published, the data's terms forbid copies."""
    rows = [(_real_breast(data), ["benign"] * 4 + ["malignant"] * 4)]
    rows.append((_real_heart(data), ["4ch", "2ch"] * 4))
    rows.append((_real_lung(data), ["convex"] * 4 + ["linear"] * 4))
    figure, grid = plt.subplots(6, 8, figsize=(14, 10.6), layout="constrained", squeeze=False)
    for place, (real, categories) in enumerate(rows):
        for column, category in enumerate(categories):
            made = generate_image(category, 0, column + 1, LONG_SIDE)
            show(grid[2 * place + 1, column], made, "phantom")
            if column < len(real):
                show(grid[2 * place, column], real[column], "real")
            else:
                grid[2 * place, column].axis("off")
    save(figure, path)


def _spread(files: list[Path], count: int) -> list[Path]:
    return files[:: max(1, len(files) // count)][:count]


def _gray(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as opened:
        return np.asarray(opened.convert("L").resize((LONG_SIDE, LONG_SIDE)))


def _real_breast(data: Path) -> list[NDArray[np.uint8]]:
    root = data / "busi" / "Dataset_BUSI_with_GT"
    kinds = [sorted((root / kind).glob("*).png")) for kind in ("benign", "malignant")]
    return [_gray(file) for files in kinds for file in _spread(files, 4)]


def _real_heart(data: Path) -> list[NDArray[np.uint8]]:
    root = data / "camus" / "database_nifti"
    views = [sorted(root.glob(f"*/*_{view}_ED.nii.gz")) for view in ("4CH", "2CH")]
    pairs = zip(*(_spread(files, 4) for files in views), strict=True)
    return [_nifti(file) for pair in pairs for file in pair]


def _nifti(file: Path) -> NDArray[np.uint8]:
    """The plane of an uncompressed-integer or float NIfTI-1 file, scaled to 0 ... 255."""
    content = gzip.decompress(file.read_bytes())
    width, height = struct.unpack_from("<2h", content, 42)
    (kind,) = struct.unpack_from("<h", content, 70)
    (start,) = struct.unpack_from("<f", content, 108)
    types = {2: "u1", 4: "<i2", 16: "<f4", 512: "<u2"}
    flat = np.frombuffer(content, types[kind], width * height, int(start)).astype(np.float64)
    plane = flat.reshape(height, width)
    return np.asarray(255 * (plane - plane.min()) / np.ptp(plane), dtype=np.uint8)


def _real_lung(data: Path) -> list[NDArray[np.uint8]]:
    root = data / "covid_lus" / "pocus_images"
    probes = [_stills(root / probe) for probe in ("convex", "linear")]
    return [_gray(file) for files in probes for file in _spread(files, 4)]


def _stills(folder: Path) -> list[Path]:
    suffixes = {".png", ".jpg", ".jpeg"}
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in suffixes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and pictures")
    parser.add_argument("--figures", type=Path, help="folder for the publishable figures")
    arguments = parser.parse_args()
    figures = arguments.figures or arguments.out
    arguments.out.mkdir(parents=True, exist_ok=True)
    real, made = measure_all(busi(arguments.data)), measure_all(phantom())
    table = compare(real, made)
    table.to_csv(arguments.out / "realism.csv")
    sys.stdout.write(f"envelope SNR of homogeneous speckle: {speckle_snr():.3f}\n")
    sys.stdout.write(f"{len(real)} BUSI and {len(made)} phantom images\n")
    sys.stdout.write(table.round(2).to_string())
    sys.stdout.write("\n")
    gallery(figures / "phantom_gallery.png")
    distributions(figures / "phantom_realism.png", real, made)
    side_by_side(arguments.out / "side_by_side.png", arguments.data)


if __name__ == "__main__":
    main()
