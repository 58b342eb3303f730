"""Fitting given tensors to a module: names, shapes and types are compared before any is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

SHOWN = 3
"""So many names of each kind are written out."""

_STEM_CHANNELS = {1, 3}


@dataclass(frozen=True)
class LoadReport:
    """What came of comparing weights with a module, by tensor name.

    Attributes:
        loaded: Tensors that find their place, adapted ones among them.
        missing: The module's tensors that are not given and may not be missing.
        unexpected: Given tensors that the module has no place for.
        mismatched: Given tensors of another shape or kind, with both.
        adapted: Those of `loaded` that are changed to fit, with what is done to them.
        allowed: The module's tensors that are not given but may be missing.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    adapted: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether every tensor found its place; never so if nothing would be loaded."""
        return bool(self.loaded) and not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors fit"]
        for name in ("missing", "unexpected", "mismatched", "adapted"):
            entries: tuple[str, ...] = getattr(self, name)
            if entries:
                more = ", ..." if len(entries) > SHOWN else ""
                parts.append(f"{len(entries)} {name} ({', '.join(entries[:SHOWN])}{more})")
        if self.allowed:
            parts.append(f"{len(self.allowed)} left as they are")
        return "; ".join(parts)


@dataclass(frozen=True)
class Fit:
    """Tensors made to fit a module, and the report of the comparison.

    Attributes:
        tensors: What the module can load; only of use if the report says that they fit.
    """

    tensors: Mapping[str, Tensor]
    report: LoadReport


def fit(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    prefix: str,
    *,
    adapt_stem: bool = False,
    allow_missing: Sequence[str] = (),
) -> Fit:
    """Compare a module's tensors with given ones, and adapt what may be adapted.

    Numbers of another precision are converted (fp16 and bf16 are widened). With `adapt_stem`,
    kernels that read 3 channels where the module reads 1 are summed over them, as timm does, and
    kernels that read 1 where it reads 3 are repeated and divided by 3: a gray image, repeated
    for three channels, gives the same output before and after.

    Args:
        own: The module's `state_dict()`.
        given: The tensors to load.
        prefix: Put before each name in the report.
        adapt_stem: Whether the module takes images of another number of channels.
        allow_missing: Patterns (`fnmatch`) of full names that may be missing.
    """
    fitted = {name: _fitted(given[name], own[name], adapt_stem) for name in own if name in given}
    absent = [f"{prefix}.{name}" for name in own if name not in given]
    allowed = [name for name in absent if any(fnmatchcase(name, p) for p in allow_missing)]
    report = LoadReport(
        loaded=tuple(f"{prefix}.{name}" for name, found in fitted.items() if found is not None),
        missing=tuple(name for name in absent if name not in allowed),
        unexpected=tuple(f"{prefix}.{name}" for name in given if name not in own),
        mismatched=tuple(
            f"{prefix}.{name} {_kind(given[name], own[name])} for {_kind(own[name], given[name])}"
            for name, found in fitted.items()
            if found is None
        ),
        adapted=tuple(
            f"{prefix}.{name} {found[1]}"
            for name, found in fitted.items()
            if found is not None and found[1]
        ),
        allowed=tuple(allowed),
    )
    tensors = {name: found[0] for name, found in fitted.items() if found is not None}
    return Fit(tensors, report)


def joined(reports: Sequence[LoadReport]) -> LoadReport:
    """Several reports as one."""

    def entries(name: str) -> tuple[str, ...]:
        return tuple(entry for report in reports for entry in getattr(report, name))

    return LoadReport(
        loaded=entries("loaded"),
        missing=entries("missing"),
        unexpected=entries("unexpected"),
        mismatched=entries("mismatched"),
        adapted=entries("adapted"),
        allowed=entries("allowed"),
    )


def put(part: nn.Module, found: Fit) -> None:
    """Load tensors that fit; what was allowed to be missing keeps its values."""
    kept = part.state_dict()
    part.load_state_dict({name: found.tensors.get(name, value) for name, value in kept.items()})


def _fitted(given: Tensor, own: Tensor, adapt_stem: bool) -> tuple[Tensor, str] | None:
    """The tensor as the module takes it and what was done to it; None if it does not fit."""
    if given.is_floating_point() != own.is_floating_point() or given.is_complex():
        return None
    notes = []
    if given.shape != own.shape:
        if not (adapt_stem and _reads_other_channels(given, own)):
            return None
        channels = given.shape[1], own.shape[1]
        notes.append(f"from {channels[0]} to {channels[1]} channels")
        given = given.to(own.dtype)
        given = given.sum(1, keepdim=True) if channels == (3, 1) else given.expand_as(own) / 3
    elif given.dtype != own.dtype:
        notes.append(f"from {_dtype(given)} to {_dtype(own)}")
        given = given.to(own.dtype)
    return given, ", ".join(notes)


def _reads_other_channels(given: Tensor, own: Tensor) -> bool:
    """Whether two kernels `[out, in, ...]` differ in that one reads gray, the other colour."""
    if given.ndim != own.ndim or given.ndim < 3:
        return False
    rest = given.shape[:1] == own.shape[:1] and given.shape[2:] == own.shape[2:]
    return rest and {given.shape[1], own.shape[1]} == _STEM_CHANNELS


def _kind(tensor: Tensor, other: Tensor) -> str:
    """The shape, and the type where that is what differs."""
    shape = "x".join(str(side) for side in tensor.shape) or "scalar"
    alike = tensor.is_floating_point() == other.is_floating_point()
    alike = alike and tensor.is_complex() == other.is_complex()
    return shape if alike else f"{shape} {_dtype(tensor)}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
