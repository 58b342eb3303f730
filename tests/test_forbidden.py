"""What no file of the library may do: unpickle, or load weights loosely."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    file for folder in ("ssl_registry", "plugins") for file in (ROOT / folder).rglob("*.py")
)
READER = ROOT / "ssl_registry/weights/foreign_file.py"
"""The one file that may open a PyTorch checkpoint, for `weights import`."""

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
LOADERS = {"load", "save", "hub", "jit"}

pytestmark = pytest.mark.skipif(not FILES, reason="needs the source tree")


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def offences(source: str, *, may_load: bool = False) -> list[str]:
    """What in `source` is forbidden; text in strings and comments is not looked at."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if _unpickles(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] if _unpickles(node.module) else []
            if node.module == "torch":
                found += [alias.name for alias in node.names if alias.name in LOADERS]
        elif isinstance(node, ast.Attribute):
            found += _attribute(ast.unparse(node), may_load)
        elif isinstance(node, ast.Call):
            found += _call(node)
    return found


def _unpickles(module: str) -> bool:
    return module.partition(".")[0] in UNPICKLERS


def _attribute(text: str, may_load: bool) -> list[str]:
    forbidden = re.fullmatch(r"torch\.(load|save|jit\.load|hub\..+)|.*\.read_pickle", text)
    return [text] if forbidden and not (may_load and text == "torch.load") else []


def _call(call: ast.Call) -> list[str]:
    called = ast.unparse(call.func)
    values = {word.arg: ast.unparse(word.value) for word in call.keywords}
    found = []
    # `zip(..., strict=False)` is something else.
    if values.get("strict", "True") != "True" and called != "zip":
        found.append(f"{called}(strict={values['strict']})")
    if values.get("allow_pickle", "False") != "False":
        found.append(f"{called}(allow_pickle={values['allow_pickle']})")
    if called.endswith("load_state_dict") and len(call.args) > 1:
        found.append(f"{ast.unparse(call)}: say strict by name or not at all")
    if called == "torch.load" and values.get("weights_only") != "True":
        found.append("torch.load without weights_only=True")
    return found


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nothing_is_unpickled_and_weights_are_loaded_strictly(file: Path) -> None:
    assert offences(file.read_text(encoding="utf-8"), may_load=file == READER) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib.numpy_pickle",
        "from pickle import loads",
        "from torch import load",
        "import torch\ntorch.load('a', weights_only=True)",
        "import torch\ntorch.hub.load_state_dict_from_url('a')",
        "torch.jit.load('a')",
        "pd.read_pickle('a')",
        "np.load('a', allow_pickle=True)",
        "model.load_state_dict(state, strict=False)",
        "model.load_state_dict(state, strict=lenient)",
        "model.load_state_dict(state, False)",
    ],
)
def test_offences_are_seen(source: str) -> None:
    assert offences(source)


@pytest.mark.parametrize(
    "source",
    [
        '"torch.load, pickle and strict=False in words"',
        "zip(a, b, strict=False)",
        "model.load_state_dict(state)",
        "model.load_state_dict(state, strict=True)",
        "np.load('a', allow_pickle=False)",
        "torch.export.load('a')",
    ],
)
def test_what_is_allowed_is_not_seen(source: str) -> None:
    assert offences(source) == []


def test_the_reader_of_checkpoints_takes_weights_only() -> None:
    assert offences("torch.load('a', weights_only=True)", may_load=True) == []
    assert offences("torch.load('a')", may_load=True)
    assert offences("torch.load('a', weights_only=False)", may_load=True)
