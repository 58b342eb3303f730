"""`ssl-registry data stats` and `ssl-registry data gallery`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as PillowImage

from ssl_registry.cli import main


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["ssl-registry", "data", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return f"{ended.value.code} {captured.out}{captured.err}"


def test_stats_are_told_and_written(
    tiny_busi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "stats"
    told = run(capsys, monkeypatch, "stats", f"busi={tiny_busi}", "--size", "8", "--out", str(out))
    assert told.startswith("0 40 of 40 images read")
    assert "lesion, % of the image  30" in told
    assert "at 8 px, 0 of 30 masks of lesion have no pixel left" in told
    table = pd.read_csv(out / "statistics.csv")
    assert len(table) == 40 and table["area/lesion"].notna().sum() == 30
    with PillowImage.open(out / "statistics.png") as picture:
        assert picture.width > 1000


def test_a_gallery_is_written_once(
    tiny_busi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "gallery.png"
    words = ("gallery", f"busi={tiny_busi}", "--count", "5", "--out", str(out))
    assert run(capsys, monkeypatch, *words) == f"0 5 images: {out}\n"
    before = out.read_bytes()
    again = run(capsys, monkeypatch, *words)
    assert again.startswith("2 ") and "is there already" in again
    assert out.read_bytes() == before


def test_a_missing_image_leaves_no_gallery(
    tiny_busi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "gallery.png"
    told = run(
        capsys,
        monkeypatch,
        "gallery",
        f"busi={tiny_busi}",
        "--id",
        "benign (99)",
        "--out",
        str(out),
    )
    assert told.startswith("2 ") and "there is no image 'benign (99)'" in told
    assert not out.exists()


def test_statistics_leave_a_folder_that_is_there_alone(
    tiny_busi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    told = run(capsys, monkeypatch, "stats", f"busi={tiny_busi}", "--out", str(out))
    assert told.startswith("2 ") and "is there already" in told
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
