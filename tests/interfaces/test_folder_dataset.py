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
