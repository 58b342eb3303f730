"""`ssl-registry probe`: what it prints, and what it compares with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ssl_registry import pretrain
from ssl_registry.cli.runner import runner


def invoke(*words: object) -> Result:
    return CliRunner().invoke(runner, ["probe", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def run(tiny_busi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training of one epoch with a probe of its own, from seed 3; not to be written to."""
    folder = tmp_path_factory.mktemp("probed")
    data = {"name": "busi", "root": str(tiny_busi)}
    table = {
        "seed": 3,
        "image_size": 32,
        "channels": 1,
        "method": {"name": "simclr", "projection_dim": 16},
        "backbone": {"name": "unet_encoder", "widths": [4, 8, 16]},
        "data": [data],
        "training": {"epochs": 1, "batch_size": 8, "device": "cpu", "threads": 1},
        "probes": [{"kind": "knn", "data": data, "k": 5, "part": "test"}],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_REGISTRY_CACHE", str(folder / "image-cache"))
        return pretrain(table, folder / "run")


def test_it_gives_what_the_run_itself_found(run: Path, tiny_busi: Path) -> None:
    settings = ("--data", f"busi={tiny_busi}", "--part", "test", "--set", "k=5", "--random", 3)
    result = invoke(run, *settings, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout)
    assert (found["title"], found["kind"], found["random_seeds"]) == ("busi-knn", "knn", [3])
    within = json.loads((run / "summary.json").read_text())["probes"]["busi-knn"]
    for name in ("accuracy", "balanced_accuracy"):
        score = found["scores"][name]
        assert score["weights"]["value"] == pytest.approx(within["scores"][name])
        # Seed 3 is that of the run: its random network is the one the run started from.
        assert score["random"]["value"] == pytest.approx(within["scores"][f"{name}/random"])
        difference = score["weights"]["value"] - score["random"]["value"]
        assert score["difference"]["value"] == pytest.approx(difference)
        assert score["difference"]["low"] <= difference <= score["difference"]["high"]
        assert score["random_sd"] is None
        assert score["chance"] == pytest.approx(within["chance"][name])


def test_the_table_has_a_line_per_score(run: Path, tiny_busi: Path, tmp_path: Path) -> None:
    file = tmp_path / "probes.toml"
    data = f'{{name = "busi", root = "{tiny_busi}"}}'
    file.write_text(
        f'[[probes]]\nkind = "knn"\nk = 5\ndata = {data}\n'
        f'[[probes]]\nkind = "segmentation"\nsteps = 2\nname = "masks"\ndata = {data}\n'
    )
    result = invoke(run / "weights", file, "--random", 0, "--random", 1, "--random", 1)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "busi-knn: 4 val images, 28 training images, 32 px"
    assert lines[1].split("  ")[1] == "SCORE" and "RANDOM (0, 1)" in lines[1]
    assert [line.split()[0] for line in lines[2:4]] == ["balanced_accuracy", "accuracy"]
    assert lines[5].startswith("masks: ") and lines[7].split()[0] == "dice/lesion"
    assert lines[7].endswith("-")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either a FILE with [[probes]] or --data"),
        (("probes.toml", "--data", "busi"), "not both"),
        (("probes.toml", "--kind", "knn"), "--kind goes with --data"),
        (("missing.toml",), "cannot read the config"),
        (("--data", "bus"), "did you mean 'busi'?"),
        (("--data", "busi=nowhere"), "there is no folder"),
        (("--data", "busi", "--set", "kk=3"), "probes.0.kk: unknown key"),
        (("--data", "busi", "--image-size", "7"), "7 is not in the range"),
    ],
)
def test_mistakes(words: tuple[str, ...], message: str, run: Path) -> None:
    result = invoke(run, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_folders_without_weights_and_sets_that_are_too_small(
    run: Path, tiny_busi: Path, tmp_path: Path
) -> None:
    nowhere = invoke(tmp_path, "--data", f"busi={tiny_busi}")
    assert nowhere.exit_code == 2 and "is no folder of weights" in nowhere.stderr
    few = invoke(run, "--data", f"busi={tiny_busi}", "--set", "k=29")
    assert few.exit_code == 2 and "k = 29 is more than its 28 training images" in few.stderr
