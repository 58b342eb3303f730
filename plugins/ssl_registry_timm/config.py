"""Settings of the timm backbones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ssl_registry import ComponentConfig


class ResNetConfig(ComponentConfig):
    """What ResNets of every depth share."""

    stem: Literal["imagenet", "cifar"] = Field(
        default="imagenet",
        description=(
            "imagenet: 7x7 convolution of stride 2 and max-pooling; cifar: 3x3 of stride 1 and no "
            "pooling, for images of about 32 px (plain timm cannot load weights of this form)."
        ),
    )
    zero_init_residual: bool = Field(
        default=True, description="Start each residual block as the identity."
    )


class ResNet18Config(ResNetConfig):
    """Settings of `resnet18`.

    He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, CVPR 2016,
    arXiv:1512.03385.
    """

    name: str = "resnet18"


class ResNet50Config(ResNetConfig):
    """Settings of `resnet50`.

    He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, CVPR 2016,
    arXiv:1512.03385.
    """

    name: str = "resnet50"


class TimmConfig(ComponentConfig):
    """Settings of `timm`.

    Wightman, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models; each model
    has a paper of its own.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"model": "test_resnet"}

    name: str = "timm"
    model: str = Field(description="Name of a timm model, such as convnext_atto.", min_length=1)
    options: dict[str, bool | int | float | str] = Field(
        default_factory=dict,
        description=(
            "Further arguments of that model, such as dynamic_img_size = true for a ViT or "
            "img_size = 64 for a Swin transformer."
        ),
    )
