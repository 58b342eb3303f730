"""Fitting weights to a module: what is compared, what is adapted, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ssl_registry.weights.fit import fit, joined


def test_the_report_names_what_is_missing_unexpected_and_of_another_shape() -> None:
    own = {"a": torch.zeros(2), "b": torch.zeros(2, 3), "c": torch.tensor(1)}
    given = {"a": torch.ones(2), "b": torch.ones(3, 2), "d": torch.ones(1)}
    report = fit(own, given, "net").report
    assert report.loaded == ("net.a",)
    assert report.missing == ("net.c",)
    assert report.unexpected == ("net.d",)
    assert report.mismatched == ("net.b 3x2 for 2x3",)
    assert not report.fits
    for part in ("1 tensors fit", "1 missing (net.c)", "1 unexpected (net.d)", "net.b 3x2"):
        assert part in str(report)


def test_weights_that_match_nothing_never_fit() -> None:
    own = {"a": torch.zeros(2)}
    assert not fit(own, {}, "net", allow_missing=["*"]).report.fits
    assert not fit({}, {}, "net").report.fits


def test_names_on_the_list_may_be_missing() -> None:
    own = {"a": torch.zeros(2), "head.w": torch.zeros(2), "head.b": torch.zeros(1)}
    given = {"a": torch.ones(2)}
    report = fit(own, given, "net", allow_missing=["net.head.*"]).report
    assert report.fits and report.allowed == ("net.head.w", "net.head.b")
    assert "2 left as they are" in str(report)
    partly = fit(own, given, "net", allow_missing=["net.head.w"]).report
    assert not partly.fits and partly.missing == ("net.head.b",)
    assert not fit(own, given, "net", allow_missing=["head.*"]).report.fits


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_exactly(dtype: torch.dtype) -> None:
    values = torch.randn(50).to(dtype)
    found = fit({"a": torch.zeros(50)}, {"a": values}, "net")
    assert found.report.fits and "to float32" in found.report.adapted[0]
    assert found.tensors["a"].dtype == torch.float32
    assert torch.equal(found.tensors["a"].to(dtype), values)


def test_counts_are_not_taken_for_weights() -> None:
    report = fit({"a": torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.int64)}, "net").report
    assert report.mismatched == ("net.a 2 int64 for 2 float32",)


def test_complex_numbers_are_not_taken_for_counts() -> None:
    own = {"a": torch.zeros(2), "steps": torch.tensor(1)}
    report = fit(own, {"a": torch.ones(2), "steps": torch.tensor(1j)}, "net").report
    assert report.mismatched == ("net.steps scalar complex64 for scalar int64",)


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3)])
def test_an_adapted_stem_sees_gray_images_as_before(before: int, after: int) -> None:
    torch.manual_seed(0)
    kernel = torch.randn(8, before, 7, 7, dtype=torch.float64)
    own = {"conv": torch.zeros(8, after, 7, 7, dtype=torch.float64)}
    assert not fit(own, {"conv": kernel}, "net").report.fits
    found = fit(own, {"conv": kernel}, "net", adapt_stem=True)
    assert found.report.fits
    assert found.report.adapted == (f"net.conv from {before} to {after} channels",)
    gray = torch.rand(2, 1, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(
        F.conv2d(gray.expand(-1, after, -1, -1), found.tensors["conv"]),
        F.conv2d(gray.expand(-1, before, -1, -1), kernel),
    )


def test_only_kernels_that_read_the_image_are_adapted() -> None:
    for given, own in (
        ((8, 3, 7, 7), (8, 1, 3, 3)),
        ((8, 4, 3, 3), (8, 1, 3, 3)),
        ((8, 3), (8, 1)),
    ):
        report = fit(
            {"a": torch.zeros(own)}, {"a": torch.zeros(given)}, "net", adapt_stem=True
        ).report
        assert report.mismatched and not report.fits


def test_joined_reports_fit_if_each_does() -> None:
    good = fit({"a": torch.zeros(1)}, {"a": torch.ones(1)}, "one").report
    bad = fit({"a": torch.zeros(1)}, {"b": torch.ones(1)}, "two").report
    assert joined([good, good]).fits
    both = joined([good, bad])
    assert both.loaded == ("one.a",) and both.missing == ("two.a",) and not both.fits
