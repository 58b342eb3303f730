"""One generated image: a pure function of category, seed, number and size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_registry_phantom.acquisition import acquire
from ssl_registry_phantom.breast import benign, malignant, normal
from ssl_registry_phantom.heart import four_chamber, two_chamber
from ssl_registry_phantom.lung import convex, linear
from ssl_registry_phantom.scene import Scene

GENERATOR_VERSION = 1
"""Raised with every change of the pixels: it keys caches and run ids."""

_SMALLEST_GRID = 128  # smaller images are made on a finer grid and averaged down


@dataclass(frozen=True)
class Category:
    """A kind of image.

    Attributes:
        code: Its part of the random seed; never changes.
        organ: The organ it shows.
        view: How it is seen.
        label: The sample's label.
        build: Draws a scene on a grid of a given size.
    """

    code: int
    organ: str
    view: str
    label: str
    build: Callable[[np.random.Generator, int], Scene]


CATEGORIES = {
    "benign": Category(0, "breast", "linear", "benign", benign),
    "malignant": Category(1, "breast", "linear", "malignant", malignant),
    "normal": Category(2, "breast", "linear", "normal", normal),
    "4ch": Category(3, "heart", "4CH", "heart", four_chamber),
    "2ch": Category(4, "heart", "2CH", "heart", two_chamber),
    "convex": Category(5, "lung", "convex", "lung", convex),
    "linear": Category(6, "lung", "linear", "lung", linear),
}


def generate_image(category: str, seed: int, number: int, size: int) -> NDArray[np.uint8]:
    """The image `[size, size]` of a `CATEGORIES` key."""
    scene_rng, echo_rng = _generators(category, seed, number)
    factor = _oversampling(size)
    image = acquire(CATEGORIES[category].build(scene_rng, size * factor), echo_rng)
    return np.asarray(np.rint(_block_mean(image, factor)), dtype=np.uint8)


def generate_mask(category: str, seed: int, number: int, size: int) -> NDArray[np.uint8]:
    """Its lesion mask `[size, size]` of 0 and 1; all 0 where the scene has no lesion."""
    scene_rng, _ = _generators(category, seed, number)
    factor = _oversampling(size)
    mask = CATEGORIES[category].build(scene_rng, size * factor).mask
    if mask is None:
        return np.zeros((size, size), dtype=np.uint8)
    return np.asarray(_block_mean(mask, factor) >= 0.5, dtype=np.uint8)


def _generators(category: str, seed: int, number: int) -> list[np.random.Generator]:
    """Independent generators for the scene and for the echoes."""
    key = (GENERATOR_VERSION, CATEGORIES[category].code, number)
    root = np.random.SeedSequence(seed, spawn_key=key)
    return [np.random.Generator(np.random.PCG64(child)) for child in root.spawn(2)]


def _oversampling(size: int) -> int:
    return -(-_SMALLEST_GRID // size)


def _block_mean(array: NDArray[np.uint8], factor: int) -> NDArray[np.float64]:
    size = array.shape[0] // factor
    return np.asarray(array.reshape(size, factor, size, factor).mean(axis=(1, 3)))
