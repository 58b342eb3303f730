"""Multinomial logistic regression on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

_CONSTANT = 1e-8
"""A feature whose deviation is below this share of the largest one tells nothing."""


@dataclass(frozen=True)
class LogisticRegression:
    """A fitted model: class scores are `standardised features @ weights + bias`.

    Attributes:
        mean: Mean of each training feature `[D]`.
        scale: What features are divided by after that, `[D]`.
        weights: `[D, C]`.
        bias: `[C]`.
    """

    mean: Array
    scale: Array
    weights: Array
    bias: Array

    @classmethod
    def fitted(
        cls, features: Array, labels: Labels, classes: int, penalty: float, start: Self | None
    ) -> Self:
        """Fit by L-BFGS; the optimum is unique but for a shift common to all classes.

        Minimised is the mean over the classes that occur of the mean cross-entropy of their
        images (each class counts alike, as in balanced accuracy), plus penalty / 2 times the
        squared norm of the weights. Features are standardised first.

        Args:
            features: `[N, D]`.
            labels: `[N]`, in 0 ... classes - 1.
            classes: C.
            penalty: Strength of the penalty; the bias is free.
            start: A model to start from, of the same features.
        """
        from scipy.optimize import minimize  # takes a while, and few runs need it

        mean, scale = _standard(features)
        x = (features - mean) / scale
        counts = np.bincount(labels, minlength=classes)
        shares = 1 / (np.count_nonzero(counts) * counts[labels])  # [N]
        first = np.zeros((x.shape[1] + 1, classes))
        if start is not None:
            first = np.vstack([start.weights, start.bias])
        result = minimize(
            _objective,
            first.ravel(),
            args=(x, labels, shares, classes, penalty),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-6},
        )
        found = np.asarray(result.x, dtype=np.float64).reshape(-1, classes)
        return cls(mean, scale, found[:-1], found[-1])

    @classmethod
    def chosen(
        cls,
        features: Array,
        labels: Labels,
        classes: int,
        penalties: Sequence[float],
        folds: int,
        seed: int,
    ) -> Self:
        """Fit with the penalty of the best balanced accuracy in cross-validation.

        Of equal ones the strongest is taken. Each fold has its share of every class.
        """
        ordered = sorted(penalties, reverse=True)
        best = ordered[0]
        if len(ordered) > 1:
            scores = _cross_validated(cls, features, labels, classes, ordered, folds, seed)
            best = ordered[int(np.argmax(scores))]
        return cls.fitted(features, labels, classes, best, None)

    def predict(self, features: Array) -> Labels:
        """The most probable class of each row of `[N, D]`."""
        scores = (features - self.mean) / self.scale @ self.weights + self.bias
        winners: Labels = scores.argmax(axis=1)
        return winners


def _standard(features: Array) -> tuple[Array, Array]:
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    constant = deviation <= _CONSTANT * max(deviation.max(), np.abs(features).max())
    return mean, np.where(constant, 1.0, deviation)


def _objective(
    flat: Array, x: Array, labels: Labels, shares: Array, classes: int, penalty: float
) -> tuple[float, Array]:
    """Value and gradient."""
    parameters = flat.reshape(-1, classes)
    weights, bias = parameters[:-1], parameters[-1]
    logits = x @ weights + bias
    logits -= logits.max(axis=1, keepdims=True)
    log_likelihood = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    value = -(shares * log_likelihood[rows, labels]).sum() + penalty / 2 * (weights**2).sum()
    slope = np.exp(log_likelihood)  # [N, C]
    slope[rows, labels] -= 1
    slope *= shares[:, None]
    gradient = np.vstack([x.T @ slope + penalty * weights, slope.sum(axis=0)])
    return float(value), gradient.ravel()


def _cross_validated(
    model: type[LogisticRegression],
    features: Array,
    labels: Labels,
    classes: int,
    penalties: Sequence[float],
    folds: int,
    seed: int,
) -> Array:
    """Mean balanced accuracy of each penalty over the folds; each starts from the last one."""
    fold = _stratified_folds(labels, folds, seed)
    scores = np.zeros((folds, len(penalties)))
    for number in range(folds):
        inside, outside = fold != number, fold == number
        fitted: LogisticRegression | None = None
        for place, penalty in enumerate(penalties):
            fitted = model.fitted(features[inside], labels[inside], classes, penalty, fitted)
            right = fitted.predict(features[outside]) == labels[outside]
            truth = labels[outside]
            scores[number, place] = np.mean([right[truth == c].mean() for c in np.unique(truth)])
    mean: Array = scores.mean(axis=0)
    return mean


def _stratified_folds(labels: Labels, folds: int, seed: int) -> Labels:
    """The fold of each image; images of a class are dealt out in turn, in drawn order."""
    generator = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        places = generator.permutation(np.flatnonzero(labels == label))
        fold[places] = np.arange(len(places)) % folds
    return fold
