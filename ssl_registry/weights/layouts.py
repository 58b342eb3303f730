r"""How other libraries name the tensors of an encoder, as data.

A layout says by which names it is recognised, which parts lie beside the encoder, and how the
encoder's names become those of timm (and of torchvision, whose ResNets have the same ones). Where
the layouts come from:

- MoCo (He et al. 2020; Chen et al. 2020, arXiv:2003.04297): `encoder_q` is trained, `encoder_k`
  its moving average, and the projection takes the classifier's place, `fc`.
- SimSiam (Chen and He 2021, arXiv:2011.10566): `encoder`, whose `fc` is the projector, beside
  `predictor`.
- solo-learn (da Costa et al. 2022): `backbone`, earlier `encoder`, beside `projector` and others.
- lightly: a torchvision ResNet, or the one of its `ResNetGenerator` with a stem for small images,
  taken apart into `nn.Sequential`, so that modules have numbers for names.
- segmentation-models-pytorch: `encoder`, or `encoder.model` for encoders of timm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ssl_registry.errors import WeightsError
from ssl_registry.weights.rename import SHOWN, Rename

Source = Literal["timm", "torchvision", "smp", "lightly", "solo-learn", "moco", "simsiam"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True)
class Layout:
    """The names that one library gives the tensors of an encoder.

    Attributes:
        source: The library or code that writes it.
        form: Which of its forms this is, in a few words.
        marks: Regular expressions; the layout is recognised if each is found in some name.
        beside: What is found in the names of parts beside the encoder, which are left out.
        rules: How the encoder's names become timm's; each must match.
        partial: Whether tensors that no feature map depends on, such as a classifier's norm, may
            be missing.
        split_statistics: Whether batch statistics may be there once for each part of a split
            batch (`SplitBatchNorm`); they are averaged.
        small_stem: What to know if the first kernel is 3 px wide.
    """

    source: Source
    form: str
    marks: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    rules: tuple[Rename, ...] = ()
    partial: bool = False
    split_statistics: bool = False
    small_stem: str = ""

    def __str__(self) -> str:
        return f"{self.source} ({self.form})"


WRAPPERS = tuple(Rename(rf"^{name}\.", "") for name in ("module", "_orig_mod", "model"))
"""What data-parallel training, `torch.compile` and Lightning modules put before every name."""

HEADS = (r"^(fc|linear|last_linear|classifier|head|head_dist|head\.fc|aux_logits)\.",)
"""Classifiers and projectors, after renaming; left out where the encoder has no place for them."""

COUNTERS = ("*.num_batches_tracked",)
"""May be missing, as in files of PyTorch before 0.4.1: how many batches batch norm has seen."""

_SOLO_HEADS = (
    r"^(momentum_backbone|momentum_encoder)\.",
    r"^(momentum_)?(projector|predictor)\.",
    r"^(momentum_)?classifier\.(weight|bias)$",
    r"^(queue|prototypes|centroids)",
)
_LIGHTLY_HEADS = (
    r"^backbone_momentum\.",
    r"^(projection|prediction|classification)_head(_momentum)?\.",
    r"^(online_classifier|prototypes|criterion|memory_bank)\.",
)
_SMP_HEADS = (r"^(decoder|segmentation_head|classification_head)\.",)
_SOLO_STEM = (
    "solo-learn pads the images by 2 px before its 3x3 stem, this library by 1 px, so features "
    "near the border differ a little"
)
_SHORTCUTS = Rename(r"\.shortcut\.", ".downsample.")


def _numbered(*modules: str) -> tuple[Rename, ...]:
    """Rules for an `nn.Sequential`; modules without tensors are written as ''."""
    named = enumerate(modules)
    return tuple(Rename(rf"^{number}\.", f"{name}.") for number, name in named if name)


_STAGES = ("layer1", "layer2", "layer3", "layer4")
_TORCHVISION_CHILDREN = _numbered("conv1", "bn1", "", "", *_STAGES)
_GENERATOR_CHILDREN = (*_numbered("conv1", "bn1", *_STAGES), _SHORTCUTS)


def _lightly(form: str, rules: tuple[Rename, ...], *marks: str) -> tuple[Layout, Layout]:
    """The layout of a lightly backbone within a Lightning module, and saved alone."""
    heads, splits = _LIGHTLY_HEADS, True
    within = (Rename(r"^backbone\.", ""), *rules)
    inner = tuple(rf"^backbone\.{mark}" for mark in marks)
    outer = tuple(rf"^{mark}" for mark in marks)
    return (
        Layout("lightly", f"{form}, `backbone`", inner, heads, within, split_statistics=splits),
        Layout("lightly", form, outer, heads, rules, split_statistics=splits),
    )


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "moco",
        "query encoder `encoder_q`",
        marks=(r"^encoder_q\.",),
        beside=(r"^encoder_k\.", r"^queue"),
        rules=(Rename(r"^encoder_q\.", ""),),
    ),
    Layout(
        "solo-learn",
        "`encoder`, as in early versions",
        marks=(r"^encoder\.", r"^projector\."),
        beside=_SOLO_HEADS,
        rules=(Rename(r"^encoder\.", ""),),
        small_stem=_SOLO_STEM,
    ),
    Layout(
        "simsiam",
        "`encoder`, whose fc is the projector",
        marks=(r"^encoder\.", r"^predictor\.|^encoder\.fc\."),
        beside=(r"^predictor\.",),
        rules=(Rename(r"^encoder\.", ""),),
    ),
    Layout(
        "smp",
        "flattened timm encoder `encoder.model`",
        marks=(r"^encoder\.model\.(stem|stages|layers|blocks)_\d+\.",),
        beside=_SMP_HEADS,
        rules=(
            Rename(r"^encoder\.model\.", ""),
            Rename(r"^(stem|stages|layers|blocks)_(\d+)\.", r"\1.\2."),
        ),
        partial=True,
    ),
    Layout(
        "smp",
        "flattened timm encoder alone",
        marks=(r"^(stem|stages|layers|blocks)_\d+\.",),
        rules=(Rename(r"^(stem|stages|layers|blocks)_(\d+)\.", r"\1.\2."),),
        partial=True,
    ),
    Layout(
        "smp",
        "timm encoder `encoder.model`",
        marks=(r"^encoder\.model\.",),
        beside=_SMP_HEADS,
        rules=(Rename(r"^encoder\.model\.", ""),),
        partial=True,
    ),
    Layout(
        "smp",
        "native encoder `encoder`",
        marks=(r"^encoder\.",),
        beside=_SMP_HEADS,
        rules=(Rename(r"^encoder\.", ""),),
    ),
    *_lightly("numbered torchvision ResNet", _TORCHVISION_CHILDREN, r"7\.0\.conv1\."),
    *_lightly("numbered ResNetGenerator", _GENERATOR_CHILDREN, r"2\.0\.conv1\.", r"5\.0\."),
    *_lightly("ResNetGenerator", (_SHORTCUTS,), r"conv1\.", r"layer\d\.0\.shortcut\."),
    Layout(
        "lightly",
        "`backbone` beside its heads",
        marks=(r"^backbone\.", r"^(projection|prediction)_head\.|^backbone_momentum\."),
        beside=_LIGHTLY_HEADS,
        rules=(Rename(r"^backbone\.", ""),),
    ),
    Layout(
        "solo-learn",
        "`backbone`",
        marks=(r"^backbone\.",),
        beside=_SOLO_HEADS,
        rules=(Rename(r"^backbone\.", ""),),
        small_stem=_SOLO_STEM,
    ),
    Layout(
        "lightly",
        "`backbone`",
        marks=(r"^backbone\.",),
        beside=_LIGHTLY_HEADS,
        rules=(Rename(r"^backbone\.", ""),),
    ),
    Layout("timm", "plain names, which torchvision's ResNets share"),
    Layout("torchvision", "plain names, which timm's ResNets share"),
)
"""In this order: the first layout all of whose marks are found is taken."""


def recognised(names: Iterable[str], source: Source | None = None) -> Layout:
    """The layout that tensors of these names have.

    Args:
        names: Without the wrappers' prefixes.
        source: Where they are said to come from; None: any.

    Raises:
        WeightsError: They are not laid out as `source` does; says what they look like.
    """
    found = list(names)
    fitting = [layout for layout in LAYOUTS if all(_found(mark, found) for mark in layout.marks)]
    wanted = [layout for layout in fitting if source in (None, layout.source)]
    # What has marks of its own is no plain encoder, whatever it is said to be.
    if not wanted or (fitting[0].marks and not wanted[0].marks):
        raise WeightsError(
            f"the names of the tensors are not laid out as those of {source} are, but as those of "
            f"{fitting[0]}: {', '.join(found[:SHOWN])}, ...; give the source `auto` or "
            f"`{fitting[0].source}`"
        )
    return wanted[0]


def unwrapped(names: Iterable[str]) -> tuple[Rename, ...]:
    """The rules that take off what is before every name, such as `module.`."""
    rest, rules = list(names), []
    while rest:
        rule = next((r for r in WRAPPERS if all(re.search(r.pattern, name) for name in rest)), None)
        if rule is None:
            break
        rest = [re.sub(rule.pattern, "", name) for name in rest]
        rules.append(rule)
    return tuple(rules)


def matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names in which one of the regular expressions is found."""
    return [name for name in names if any(re.search(pattern, name) for pattern in patterns)]


def by_part(names: Sequence[str]) -> Mapping[str, int]:
    """How many names begin with each word: `{"fc": 4, "predictor": 7}`."""
    counts: dict[str, int] = {}
    for name in names:
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + 1
    return counts


def _found(mark: str, names: Iterable[str]) -> bool:
    return any(re.search(mark, name) for name in names)
