"""Embed images with an encoder that was exported to timm.

Needs timm, safetensors, Pillow and NumPy; ssl_registry is not needed. The folder says how images
are prepared.

    ssl-registry weights export runs/pretrain-ID/weights --to timm --out encoder
    python use_weights.py encoder features.safetensors scans/*.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file


def main() -> None:
    """Read the command line, and write one vector an image."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path, help="folder of the encoder")
    parser.add_argument("out", type=Path, help="safetensors file to write, a row an image")
    parser.add_argument("images", type=Path, nargs="+")
    given = parser.parse_args()

    encoder = timm.create_model(f"local-dir:{given.weights}", pretrained=True).eval()
    settings = timm.data.resolve_model_data_config(encoder)
    card = json.loads((given.weights / "ssl_registry.json").read_text(encoding="utf-8"))
    batch = torch.stack([prepared(path, settings, card["gray"]) for path in given.images])
    with torch.inference_mode():
        features = encoder(batch)
    save_file({"features": features}, given.out)
    sys.stdout.write(f"{len(features)} images, {features.shape[1]} numbers each\n")


def prepared(path: Path, settings: dict, gray: bool) -> torch.Tensor:
    """An image as the encoder takes it: `[C, H, W]`, resized, in [0, 1], normalised."""
    channels, height, width = settings["input_size"]
    picture = Image.open(path).convert("L" if gray or channels == 1 else "RGB")
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.atleast_3d(np.array(picture))).permute(2, 0, 1).float() / 255
    # Where the encoder has three channels, a gray image is repeated.
    pixels = pixels.expand(channels, -1, -1)
    mean, std = (torch.tensor(settings[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (pixels - mean) / std


if __name__ == "__main__":
    main()
