"""`data sample`: what is written is read by the dataset itself."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from ssl_registry.cli.runner import runner


def invoke(*words: str) -> Result:
    return CliRunner().invoke(runner, ["data", *words])


def test_the_sample_is_a_whole_dataset(tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    result = invoke("sample", "busi", "--out", str(out))
    assert result.exit_code == 0, result.output
    files = [path for path in out.rglob("*") if path.is_file()]
    assert f"wrote {len(files)} files to {out}; read them as busi={out}" in result.stdout
    assert invoke("split", f"busi={out}", "--out", str(tmp_path / "split.csv")).exit_code == 0


def test_another_seed_gives_other_pixels_in_the_same_files(tmp_path: Path) -> None:
    contents = []
    for place, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / place
        assert invoke("sample", "busi", "--out", str(out), "--seed", seed).exit_code == 0
        paths = sorted(path for path in out.rglob("*") if path.is_file())
        contents.append({p.relative_to(out).as_posix(): p.read_bytes() for p in paths})
    assert contents[0] == contents[1] != contents[2]
    assert contents[0].keys() == contents[2].keys()


def test_nothing_is_overwritten_and_nothing_left_behind(tmp_path: Path) -> None:
    result = invoke("sample", "busi", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "not overwritten" in result.stderr
    result = invoke("sample", "phantom", "--out", str(tmp_path / "new"))
    assert result.exit_code == 2
    assert "writes no sample" in result.stderr
    assert list(tmp_path.glob("[!i]*")) == []  # but for the cache
