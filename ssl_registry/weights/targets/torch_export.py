"""Networks as programs of `torch.export`, which plain torch runs without their code."""

from __future__ import annotations

from pathlib import Path

import torch

from ssl_registry.errors import WeightsError
from ssl_registry.files import write_json
from ssl_registry.weights.read import Weights
from ssl_registry.weights.targets.contract import Exported, ExportOptions, check_same
from ssl_registry.weights.targets.program import described, input_comment, recording

FILE = "model.pt2"

USAGE = """\
import torch

network = torch.export.load("FOLDER/model.pt2").module()
images = torch.zeros(1, CHANNELS, SIZE, SIZE)  # INPUT
with torch.inference_mode():
    outputs = network(images)  # OUTPUTS
"""


def export(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    """Write `model.pt2`, with any number of images and a fixed size; see `Exporter`."""
    made = recording(weights, options, "torch-export")
    facts, path = described(weights, made, options), folder / FILE
    shapes = {"images": {0: torch.export.Dim("batch")}}
    try:
        exported = torch.export.export(made.program, (made.example,), dynamic_shapes=shapes)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"torch.export cannot record the network: {error}") from error
    # The random images would travel with the file, and are of no use to anybody.
    exported.example_inputs = None
    torch.export.save(exported, path)
    back = torch.export.load(path).module()
    for images in made.checks:
        with torch.inference_mode():
            check_same("torch.export", back(images), made.outputs(images))
    size, channels = made.card["image_size"], weights.card.channels
    write_json(folder / "config.json", {**facts, "outputs": made.names, "image_size": size})
    usage = (
        USAGE.replace("CHANNELS", str(channels))
        .replace("SIZE", str(size))
        .replace("INPUT", input_comment(options, size, channels))
        .replace("OUTPUTS", ", ".join(made.names))
    )
    return Exported(
        {**made.card, "library": "torch", "file": FILE, "target": "torch-export"}, usage
    )
