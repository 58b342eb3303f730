"""Logistic regression against conditions of its optimum, another optimiser, and known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ssl_registry.evaluation.linear_probe import LogisticRegression, _stratified_folds

Array = NDArray[np.float64]


def data(classes: int = 3, seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), [40, 25, 15][:classes])
    centres = generator.normal(size=(classes, 4))
    return centres[labels] * 2 + generator.normal(size=(len(labels), 4)), labels


def test_the_optimum_is_that_of_newtons_method_in_torch() -> None:
    features, labels = data()
    model = LogisticRegression.fitted(features, labels, 3, 0.1, None)
    x = torch.from_numpy((features - features.mean(0)) / features.std(0))
    y = torch.from_numpy(labels)
    shares = torch.from_numpy(1 / (3 * np.bincount(labels)[labels]))

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        weights = parameters[:12].reshape(4, 3)
        entropy = torch.nn.functional.cross_entropy(
            x @ weights + parameters[12:], y, reduction="none"
        )
        return (shares * entropy).sum() + 0.1 / 2 * weights.square().sum()

    point = torch.zeros(15, dtype=torch.float64)
    for _ in range(30):
        slope = torch.autograd.functional.jacobian(loss, point)
        curvature = torch.autograd.functional.hessian(loss, point)
        # The pseudo-inverse, because a shift of all biases changes nothing.
        point = point - torch.linalg.pinv(curvature, hermitian=True) @ slope
    np.testing.assert_allclose(model.weights, point[:12].reshape(4, 3).numpy(), atol=2e-4)
    bias = point[12:].numpy()
    np.testing.assert_allclose(model.bias - model.bias.mean(), bias - bias.mean(), atol=2e-4)


def test_two_classes_and_one_feature_by_a_search_along_a_line() -> None:
    x = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    labels = np.array([0, 1, 1, 1])

    def loss(w: float, b: float) -> float:
        logits = np.array([[-w * v - b, w * v + b] for (v,) in x])
        entropy = np.logaddexp(logits[:, 0], logits[:, 1]) - logits[np.arange(4), labels]
        return float(entropy[0] / 2 + entropy[1:].sum() / 6 + 0.5 / 2 * 2 * w * w)

    model = LogisticRegression.fitted(x, labels, 2, 0.5, None)
    w, b = model.weights[0, 1], (model.bias[1] - model.bias[0]) / 2
    assert model.weights[0, 0] == pytest.approx(-w, abs=1e-5)
    assert w == pytest.approx(minimize_scalar(lambda v: loss(v, b)).x, abs=1e-4)
    assert b == pytest.approx(minimize_scalar(lambda v: loss(w, v)).x, abs=1e-4)


def test_separable_classes_are_learnt_and_scale_does_not_matter() -> None:
    features, labels = data()
    far = features + 30 * np.eye(4)[labels]
    scale = np.array([1.0, 1e4, 1e-4, 3.0])
    model = LogisticRegression.fitted(far, labels, 3, 1e-3, None)
    scaled = LogisticRegression.fitted(far * scale + 5, labels, 3, 1e-3, None)
    assert (model.predict(far) == labels).all()
    assert (scaled.predict(far * scale + 5) == labels).all()


def test_a_constant_feature_does_no_harm() -> None:
    features, labels = data()
    constant = np.hstack([features, np.full((len(labels), 1), 0.1)])
    model = LogisticRegression.fitted(constant, labels, 3, 0.1, None)
    assert np.isfinite(model.weights).all()
    shifted = constant + np.array([0, 0, 0, 0, 1e-12])
    assert (model.predict(shifted) == model.predict(constant)).all()


def test_cross_validation_takes_the_penalty_that_generalises() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    # One telling feature among sixty of noise: a strong penalty generalises, a weak one overfits.
    features = generator.normal(size=(80, 60))
    features[:, 0] += 1.5 * labels
    settings = (2, (1e-6, 1.0), 4, 0)
    chosen = LogisticRegression.chosen(features, labels, *settings)
    strong = LogisticRegression.fitted(features, labels, 2, 1.0, None)
    np.testing.assert_array_equal(chosen.weights, strong.weights)
    again = LogisticRegression.chosen(features, labels, *settings)
    np.testing.assert_array_equal(chosen.weights, again.weights)


def test_folds_have_their_share_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [30, 10, 4])
    fold = _stratified_folds(labels, 4, 0)
    for label, each in ((0, (7, 8)), (1, (2, 3)), (2, (1, 1))):
        counts = np.bincount(fold[labels == label], minlength=4)
        assert counts.sum() == (labels == label).sum()
        assert each[0] <= counts.min() <= counts.max() <= each[1]
