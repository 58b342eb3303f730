"""Makes the pictures of the tutorial and the explanations from generated ultrasound.

    python docs/pictures.py views --out docs/images
    python docs/pictures.py masks --runs runs/docs --out docs/images
    python docs/pictures.py labels --runs runs/docs --out docs/images

`views` takes seconds. `masks` runs the two configs of the tutorial (three minutes on two cores),
and `labels` fine-tunes with shares of the labels and three seeds (some ten minutes). Runs that are
there are not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.patches import ConnectionPatch
from PIL import Image

import ssl_registry as sr

DOCS: Final = Path(__file__).parent
TUTORIAL: Final = DOCS / "tutorial.md"
ALIKE, APART, TRUTH = "#00897b", "#c2185b", "#2ee6a6"
ARMS: Final = {"from scratch": "#d97a06", "pre-trained": "#1f83c4"}
FRACTIONS: Final = {"from scratch": (0.1, 0.25, 0.5, 1.0), "pre-trained": (0.1,)}
"""Shares of the labels that `labels` fine-tunes with; pre-training is asked for few only."""

SEEDS: Final = (0, 1, 2)
SHOWN: Final = 4
"""Test images with a lesion that `masks` shows."""


def draw_views(out: Path) -> None:
    """Two views of three images: what a contrastive method is to find alike, and what apart."""
    torch.manual_seed(7)
    images = torch.stack([_phantom(organ) for organ in ("breast", "heart", "lung")])
    augmentation = sr.create("augmentation", "ultrasound", image_size=128, channels=1)
    first, second = (view.clamp(0, 1) for view in augmentation(images).images)
    figure, grid = plt.subplots(3, 3, figsize=(7.2, 7.4), layout="constrained")
    for row, panels in zip(grid, zip(images, first, second, strict=True), strict=True):
        for axes, panel in zip(row, panels, strict=True):
            axes.imshow(panel[0], cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        for axes in row[1:]:
            axes.spines[:].set(color=ALIKE, linewidth=3)
    for axes, title in zip(grid[0], ("image", "view 1", "view 2"), strict=True):
        axes.set_title(title, fontsize=13)
    figure.canvas.draw()
    for row in grid:
        _arrow(row[1], row[2], (0.88, 0.5), (0.12, 0.5), ALIKE)
    for column in (1, 2):
        for upper, lower in zip(grid[:, column], grid[1:, column], strict=False):
            _arrow(upper, lower, (0.5, 0.11), (0.5, 0.89), APART)
    figure.supxlabel("green: to be found alike    red: to be told apart", fontsize=12)
    _save(figure, out / "contrastive_views.png")


def _phantom(organ: str) -> torch.Tensor:
    """A generated image of the organ, `[1, H, W]` in [0, 1]."""
    dataset = sr.create("dataset", "phantom", organs=[organ], images_per_organ=4)
    return torch.from_numpy(np.asarray(dataset.read_image(dataset.samples()[1])))[None] / 255


def _arrow(one: Any, other: Any, start: Any, end: Any, color: str) -> None:
    """A double arrow that crosses the gap between two panels."""
    patch = ConnectionPatch(
        start,
        end,
        coordsA="axes fraction",
        coordsB="axes fraction",
        axesA=one,
        axesB=other,
        arrowstyle="<|-|>",
        mutation_scale=20,
        linewidth=3,
        color=color,
    )
    one.figure.add_artist(patch)


def draw_masks(out: Path, runs: Path) -> None:
    """Test images of the tutorial with the truth and what its two networks find."""
    tuned = {arm: _finetuned(arm, runs, {}) for arm in ARMS}
    dataset, samples = _test_samples(next(iter(tuned.values())))
    scans = runs / "scans"
    scans.mkdir(exist_ok=True)
    files = []
    for number, sample in enumerate(samples):
        files.append(scans / f"{number}.png")
        Image.fromarray(dataset.read_image(sample)).save(files[-1])
    found = {
        arm: sr.predict(run / "weights", files, runs / f"masks {arm}") for arm, run in tuned.items()
    }
    figure, grid = plt.subplots(
        3, len(samples), figsize=(2.2 * len(samples), 6.9), layout="constrained", squeeze=False
    )
    for column, sample in enumerate(samples):
        image, truth = dataset.read_image(sample), dataset.read_mask(sample)
        for axes in grid[:, column]:
            axes.imshow(image, cmap="gray")
            axes.contour(truth, [0.5], colors=TRUTH, linewidths=1.6)
            axes.set(xticks=[], yticks=[])
        for axes, arm in zip(grid[1:, column], ARMS, strict=True):
            mask = np.asarray(Image.open(found[arm][column])) > 0
            axes.set_xlabel(f"Dice {_dice(mask, truth > 0):.2f}", fontsize=11)
            if mask.any():
                axes.contour(mask, [0.5], colors=ARMS[arm], linewidths=2)
    for axes, title in zip(grid[:, 0], ("truth", *ARMS), strict=True):
        axes.set_ylabel(title, fontsize=13)
    _save(figure, out / "tutorial_masks.png")


def _test_samples(run: Path) -> tuple[Any, list[Any]]:
    """The dataset of a fine-tuning, and some of its test images with a lesion."""
    table = dict(_configs()["finetune.toml"]["data"])
    dataset = sr.create("dataset", table.pop("name"), **table)
    tested = {row["id"] for row in csv.DictReader(_text(run / "metrics.csv").splitlines())}
    found = [s for s in dataset.samples() if s.id in tested and s.label != "normal"]
    return dataset, found[:: max(1, len(found) // SHOWN)][:SHOWN]


def _dice(mask: Any, truth: Any) -> float:
    return 2 * float((mask & truth).sum()) / float(mask.sum() + truth.sum())


def draw_labels(out: Path, runs: Path) -> None:
    """Dice of the test images against the share of the labels, with and without pre-training."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for arm, color in ARMS.items():
        shares = FRACTIONS[arm]
        rows = [
            [_score(_finetuned(arm, runs, {"fraction": share, "seed": s})) for s in SEEDS]
            for share in shares
        ]
        axes.plot(shares, np.mean(rows, axis=1), color=color, marker="o", linewidth=2, label=arm)
        for share, values in zip(shares, rows, strict=True):
            axes.scatter([share] * len(values), values, color=color, alpha=0.45, s=18)
            row = f"{100 * share:g} % {arm}: {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
            sys.stdout.write(f"{row}\n")
    ticks = FRACTIONS["from scratch"]
    axes.set(xscale="log", xlabel="share of the training labels")
    axes.set_xticks(ticks, [f"{100 * share:g} %" for share in ticks])
    axes.minorticks_off()
    axes.set_ylabel("dice/lesion on test images")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    _save(figure, out / "dice_by_labels.png")


def _finetuned(arm: str, runs: Path, changes: dict[str, Any]) -> Path:
    """The tutorial's fine-tuning with these changes; it is run if it is not there."""
    configs = _configs()
    table = configs["finetune.toml"] | changes
    if arm == "pre-trained":
        before = sr.pretrain(configs["pretrain.toml"], runs / "pretrained", resume=True)
        table["weights"] = str(before / "weights")
    name = "-".join([arm.replace(" ", "-"), *map(str, changes.values())])
    return sr.finetune(table, runs / name, resume=True)


def _configs() -> dict[str, Any]:
    """The configs that the tutorial shows, by their file names."""
    blocks = re.findall(r"^```toml\n# (\S+)\n(.*?)^```", _text(TUTORIAL), re.M | re.S)
    return {name: tomllib.loads(code) for name, code in blocks}


def _score(run: Path) -> float:
    return float(json.loads(_text(run / "summary.json"))["test"]["dice/lesion"])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("picture", choices=("views", "masks", "labels"))
    parser.add_argument("--runs", type=Path, default=Path("runs/docs"))
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.picture == "views":
        draw_views(given.out)
    elif given.picture == "masks":
        draw_masks(given.out, given.runs)
    else:
        draw_labels(given.out, given.runs)


if __name__ == "__main__":
    main()
