"""What differs between two exchange folders: tensors, and the settings behind them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssl_registry.weights.read import Weights
from ssl_registry.weights.tensors import content_digest

_NOT_SETTINGS = {"sha256", "digest", "run", "summary", "exported_from", "file"}
_PART = re.compile(r"[^.]+(\.[^.]*\d[^.]*|\.[^.]+\.\d+|\.[^.]+)?")


@dataclass(frozen=True)
class Group:
    """Tensors of one part of the network, such as `backbone.layer1`, in both folders.

    Attributes:
        name: The part.
        tensors: How many floating-point tensors.
        difference: Largest absolute difference.
        cosine: Cosine of the angle between the two, all numbers taken as one vector; None if
            one of them is zero.
    """

    name: str
    tensors: int
    difference: float
    cosine: float | None


@dataclass(frozen=True)
class Comparison:
    """Two folders side by side.

    Attributes:
        same: Whether names, types, shapes and bytes of all tensors are equal.
        only_first: Names of tensors that the second lacks; and `only_second`.
        only_second: Names of tensors that the first lacks.
        shapes: Name, and shape in the first and the second, where these differ.
        groups: What tensors of equal shape have in common.
        settings: Key, and value in the first and the second, of settings that differ.
    """

    same: bool
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    groups: tuple[Group, ...]
    settings: tuple[tuple[str, str, str], ...]


def compare(first: Weights, second: Weights) -> Comparison:
    """Compare tensors by name, those of an encoder with the backbone of a whole network."""
    a, b = _by_place(first), _by_place(second)
    common = [name for name in a if name in b]
    alike = [name for name in common if a[name].shape == b[name].shape]
    return Comparison(
        same=content_digest(a) == content_digest(b),
        only_first=tuple(name for name in a if name not in b),
        only_second=tuple(name for name in b if name not in a),
        shapes=tuple(
            (name, tuple(a[name].shape), tuple(b[name].shape))
            for name in common
            if a[name].shape != b[name].shape
        ),
        groups=tuple(_groups(a, b, alike)),
        settings=tuple(_differing(_settings(first), _settings(second))),
    )


def group_of(name: str) -> str:
    """The part a tensor belongs to: `backbone.layer1.0.conv1.weight` to `backbone.layer1`.

    The number of a level without one in its name belongs to it: `backbone.stages.0`.
    """
    module = name.rpartition(".")[0]
    found = _PART.match(module)
    return found[0] if found else name


def _by_place(weights: Weights) -> dict[str, Tensor]:
    if weights.card.content != "encoder":
        return dict(weights.tensors)
    return {f"backbone.{name}": tensor for name, tensor in weights.tensors.items()}


def _groups(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], names: Sequence[str]
) -> Iterator[Group]:
    members: dict[str, list[str]] = {}
    for name in names:
        # Whole numbers count batches; how far they moved says nothing of the weights.
        if first[name].is_floating_point() and second[name].is_floating_point():
            members.setdefault(group_of(name), []).append(name)
    for group, inside in members.items():
        pairs = [(_flat(first[name]), _flat(second[name])) for name in inside]
        difference = max((_largest(x - y) for x, y in pairs), default=0.0)
        yield Group(group, len(inside), difference, _cosine(pairs))


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float64).reshape(-1)


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def _cosine(pairs: Sequence[tuple[Tensor, Tensor]]) -> float | None:
    product = sum(float(x @ y) for x, y in pairs)
    first = sum(float(x @ x) for x, _ in pairs)
    second = sum(float(y @ y) for _, y in pairs)
    return product / math.sqrt(first * second) if first and second else None


def _settings(weights: Weights) -> dict[str, str]:
    card = weights.card.model_dump(mode="json")
    table = {key: value for key, value in card.items() if key not in _NOT_SETTINGS}
    return dict(_flattened({**table, "run": weights.card.run.get("config", {})}))


def _flattened(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flattened(item, f"{place}.{key}" if place else str(key))
    else:
        yield place, str(value)


def _differing(
    first: Mapping[str, str], second: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    for key in sorted(first.keys() | second.keys()):
        a, b = first.get(key, "-"), second.get(key, "-")
        if a != b:
            yield key, a, b
