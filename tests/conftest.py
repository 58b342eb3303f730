"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets; there, a skipped data test is a failure in CI."""
    folder = os.environ.get("SSL_REGISTRY_DATA")
    if not folder:
        pytest.skip("needs real data: set SSL_REGISTRY_DATA to the folder that holds busi/")
    return Path(folder).resolve()


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep each test's image cache to itself."""
    folder = tmp_path / "image-cache"
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(folder))
    return folder
