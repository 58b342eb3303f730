"""The rule of conftest.py: where data are required, a skipped data test is a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest

@pytest.mark.data
def test_marked_data():
    pytest.skip("no data")

@pytest.mark.parity
def test_marked_parity():
    pytest.importorskip("package_that_is_not_installed", reason="no peer")

def test_by_fixture(data_root):
    pass

@pytest.mark.skip(reason="by mark")
@pytest.mark.data
def test_by_mark():
    pass

@pytest.mark.data
@pytest.mark.xfail(reason="known")
def test_known_failure():
    raise ValueError

def test_other():
    pytest.skip("may be skipped")
"""


@pytest.mark.parametrize(
    ("required", "summary"),
    [("", "5 skipped, 1 xfailed"), ("1", "2 failed, 1 skipped, 1 xfailed, 2 errors")],
)
def test_skips_become_failures(tmp_path: Path, required: str, summary: str) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    tmp_path.joinpath("test_cases.py").write_text(CASES)
    tmp_path.joinpath("pytest.ini").write_text("[pytest]\nmarkers =\n    data: d\n    parity: p\n")
    environment = {**os.environ, "SSL_REGISTRY_REQUIRE_DATA": required}
    environment.pop("SSL_REGISTRY_DATA", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert summary in done.stdout, done.stdout
