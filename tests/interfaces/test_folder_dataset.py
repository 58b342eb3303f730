"""Where a dataset's folder is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_registry import DatasetNotFoundError, create
from ssl_registry.config.folder import DATA_VARIABLE
from ssl_registry.data.cache import CacheSettings, cache_key


def test_a_named_root_comes_before_the_home(
    tiny_busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert create("dataset", "busi").config.root == tmp_path / "busi"
    assert create("dataset", "ssl-registry:busi/busi", root=tiny_busi).config.root == tiny_busi


def test_the_home_holds_a_folder_per_dataset(
    tiny_busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busi").symlink_to(tiny_busi)
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    at_home, named = create("dataset", "busi"), create("dataset", "busi", root=tiny_busi)
    samples = at_home.samples()
    assert len(samples) == 40
    settings = CacheSettings(16, 1, masks=False)
    assert cache_key(at_home, samples, settings) == cache_key(named, named.samples(), settings)


def test_nothing_said_is_an_error_that_says_how_to_get_the_data() -> None:
    dataset = create("dataset", "busi")
    assert dataset.config.root is None
    with pytest.raises(DatasetNotFoundError, match=r"data download busi.*SSL_REGISTRY_DATA"):
        dataset.samples()


def test_a_table_of_a_split_is_laid_over_the_dataset_s_own(tmp_path: Path) -> None:
    def split(name: str, **changes: object) -> dict[str, object]:
        dataset = create("dataset", name, root=tmp_path, split=changes)
        chosen: dict[str, object] = dataset.config.split.model_dump(exclude={"file"})
        return chosen

    own = {"kind": "stratified", "ratios": (7, 1, 2), "seed": 42, "group_by": "group"}
    assert split("bus_bra") == own
    assert split("bus_bra", seed=7) == {**own, "seed": 7}
    assert split("bus_bra", kind="random") == {**own, "kind": "random"}
    # An official split is not drawn: what is said of a draw asks for one.
    assert split("camus")["kind"] == "official"
    drawn = {"kind": "random", "ratios": (0.7, 0.1, 0.2), "seed": 7, "group_by": "group"}
    assert split("camus", seed=7) == drawn  # no patient is torn apart
    assert split("camus", seed=7, group_by="none") == {**drawn, "group_by": "none"}
    assert split("camus", kind="official")["group_by"] == "none"
    assert split("cifar10", seed=7)["group_by"] == "none"
    assert split("bus_bra", kind="official")["group_by"] == "none"
    # Ratios or a seed ask for a draw, though a folder may be divided by its release.
    assert split("image_folder")["kind"] == "auto"
    assert split("image_folder", group_by="none")["kind"] == "auto"
    assert split("image_folder", seed=42)["kind"] == "random"
    assert split("image_folder", ratios=(0.7, 0.1, 0.2))["kind"] == "random"
    resolved = create("dataset", "image_folder", root=tmp_path).config.split.model_dump()
    assert split("image_folder", **resolved)["kind"] == "auto"
