"""Networks as ONNX programs, checked with onnxruntime before they are kept."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_registry.errors import WeightsError
from ssl_registry.files import write_json
from ssl_registry.weights.read import Weights
from ssl_registry.weights.targets.contract import Exported, ExportOptions, check_same
from ssl_registry.weights.targets.program import (
    Recording,
    described,
    input_comment,
    recording,
)

FILE = "model.onnx"

USAGE = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("FOLDER/model.onnx", providers=["CPUExecutionProvider"])
images = np.zeros((1, CHANNELS, SIZE, SIZE), dtype=np.float32)  # INPUT
outputs = session.run(None, {"images": images})  # OUTPUTS
"""


def export(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    """Write `model.onnx`, with any number of images and a fixed size; see `Exporter`."""
    runtime = _required("onnx", "onnxscript", "onnxruntime")[-1]
    made = recording(weights, options, "onnx")
    facts, path = described(weights, made, options), folder / FILE
    _write(made, path, facts)
    _check(made, path, runtime)
    size, channels = made.card["image_size"], weights.card.channels
    write_json(folder / "config.json", {**facts, "outputs": made.names, "image_size": size})
    usage = (
        USAGE.replace("CHANNELS", str(channels))
        .replace("SIZE", str(size))
        .replace("INPUT", input_comment(options, size, channels))
        .replace("OUTPUTS", ", ".join(made.names))
    )
    return Exported({**made.card, "library": "onnx", "file": FILE, "target": "onnx"}, usage)


def _write(made: Recording, path: Path, facts: dict[str, str]) -> None:
    try:
        with warnings.catch_warnings():
            # The exporter warns of its own workings, which nobody here can change.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                made.program,
                (made.example,),
                dynamo=True,
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                input_names=["images"],
                output_names=list(made.names),
                verbose=False,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"the network cannot be written as ONNX: {error}") from error
    if program is None:
        raise WeightsError("the network cannot be written as ONNX")
    program.model.metadata_props.update(facts)
    program.save(str(path), external_data=False)


def _check(made: Recording, path: Path, runtime: Any) -> None:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for images in made.checks:
        theirs: list[Tensor] = [
            torch.from_numpy(output) for output in session.run(None, {"images": images.numpy()})
        ]
        check_same("onnxruntime", theirs, made.outputs(images))


def _required(*names: str) -> list[Any]:
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise WeightsError(
            f"exporting to onnx needs {', '.join(names)}: pip install 'ssl-registry[onnx]'"
        ) from error
