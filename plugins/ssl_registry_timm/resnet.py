"""ResNet-18 and ResNet-50 (He et al. 2016) from timm, with a choice of stem."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from ssl_registry_timm.backbone import TimmBackbone, create, feature_levels, timm_config
from ssl_registry_timm.config import ResNet18Config, ResNet50Config, ResNetConfig

_IMAGENET_STEM_STRIDE = 4


def resnet18(config: ResNet18Config, in_channels: int) -> TimmBackbone:
    """ResNet-18: channels 64, 64, 128, 256, 512 at reductions 2, 4, 8, 16, 32."""
    return _resnet("resnet18", config, in_channels)


def resnet50(config: ResNet50Config, in_channels: int) -> TimmBackbone:
    """ResNet-50: channels 64, 256, 512, 1024, 2048 at reductions 2, 4, 8, 16, 32."""
    return _resnet("resnet50", config, in_channels)


def _resnet(name: str, config: ResNetConfig, in_channels: int) -> TimmBackbone:
    options = {"zero_init_last": config.zero_init_residual}
    model = create(name, options, in_channels)
    levels = feature_levels(model)
    if config.stem == "imagenet":
        return TimmBackbone(model, in_channels, levels, timm_config(model, name, {}, in_channels))
    _use_cifar_stem(model, in_channels)
    reductions = [max(1, reduction // _IMAGENET_STEM_STRIDE) for _, reduction in levels]
    levels = [(channels, r) for (channels, _), r in zip(levels, reductions, strict=True)]
    return TimmBackbone(model, in_channels, levels, library_config={})


def _use_cifar_stem(model: nn.Module, in_channels: int) -> None:
    """Replace the 7x7 convolution by a 3x3 one of stride 1, and drop the max-pooling.

    This is the stem of SimCLR (Chen et al. 2020, appendix B.9) for small images.
    """
    resnet = cast("Any", model)
    width = resnet.conv1.out_channels
    conv = nn.Conv2d(in_channels, width, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    resnet.conv1 = conv
    resnet.maxpool = nn.Identity()
