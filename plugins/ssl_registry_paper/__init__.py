"""The multi-organ study as data: its partitions, its fine-tuning, its tables and its figures.

Figueiras, Aidos and Garcia, "Multi-organ Self-supervised Contrastive Learning for Breast Lesion
Segmentation". The pre-trainings of its three methods are presets of theirs (`simclr-paper`,
`moco-paper`, `simsiam-paper`).
"""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1

_PRESETS = {
    "paper-busi": "The study's breast images: 546 for training, 78 and 156",
    "paper-multi-organ": "Pre-training on breast, heart and lung: 2,553 images, 299 for validation",
    "paper-cifar10": "Pre-training on natural images: CIFAR-10, 50,000 and 10,000",
    "paper-mini-imagenet": "Pre-training on natural images: mini-ImageNet, 48,000 and 12,000",
    "paper-busi-cifar10": "Pre-training on breast and CIFAR-10: 50,546 images and 10,078",
    "paper-busi-mini-imagenet": "Pre-training on breast and mini-ImageNet: 48,546 and 12,078",
    "paper-finetune": "The study's fine-tuning, its gaps filled",
    "recommended-finetune": "Fine-tuning with the same steps for every share of the labels",
}

_STUDIES = {
    "paper-table-1": ("table_1", "The study's Table 1: ResNet-50 with U-Net decoder at 32 px"),
    "paper-table-2": ("table_2", "The study's Table 2: ResNet-50 with U-Net decoder at 64 px"),
    "paper-table-3": ("table_3", "The study's Table 3: U-Net at 32 px"),
    "paper-table-4": ("table_4", "The study's Table 4: U-Net at 50 px"),
    "paper-all": ("all", "The study's four tables"),
    "paper-recommended": ("recommended", "The four tables with recommended settings"),
    "smoke": ("smoke", "A study's whole way in less than a minute, on generated images"),
}


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The presets, the studies, and the figures that the study printed."""
    for name, summary in _PRESETS.items():
        file = name.removeprefix("paper-").replace("-", "_")
        yield Component(
            kind="preset",
            name=name,
            factory=f"ssl_registry_paper:presets/{file}.toml",
            summary=summary,
        )
    for name, (file, summary) in _STUDIES.items():
        yield Component(
            kind="study",
            name=name,
            factory=f"ssl_registry_paper:studies/{file}.toml",
            summary=summary,
        )
    yield Component(
        kind="published",
        name="multi-organ-study",
        factory="ssl_registry_paper:published.csv",
        summary="The cells of the study's Tables 1 to 4 and A.5 to A.8",
    )
