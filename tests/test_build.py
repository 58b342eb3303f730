from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_registry import create
from ssl_registry.build import BUILD_ARGUMENTS
from ssl_registry.errors import ComponentNotFoundError, ConfigError
from ssl_registry.interfaces.augmentation import Augmentation
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.interfaces.dataset import Dataset
from ssl_registry.interfaces.decoder import Decoder
from ssl_registry.interfaces.method import Method, MethodContext
from ssl_registry.interfaces.task import Task, TaskContext
from ssl_registry.nn.segmentation import SegmentationNetwork
from ssl_registry.nn.trunk import Trunk
from ssl_registry.spec import FILE_KINDS, KINDS

METHOD_CONTEXT = MethodContext(num_images=8, total_steps=2, batch_size=4, image_size=32, channels=1)


def small_backbone() -> Backbone:
    backbone: Backbone = create("backbone", "unet_encoder", in_channels=1)
    return backbone


def decoder_over(backbone: Backbone) -> Decoder:
    decoder: Decoder = create(
        "decoder", "unet", channels=backbone.channels, reductions=backbone.reductions
    )
    return decoder


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "unet_encoder", "timm"])
def test_backbones(name: str) -> None:
    settings: dict[str, Any] = {"model": "resnet10t"} if name == "timm" else {}
    backbone = create("backbone", name, in_channels=1, **settings).eval()
    assert isinstance(backbone, Backbone)
    with torch.no_grad():
        features = backbone(torch.zeros(1, 1, 32, 32))
    assert tuple(feature.shape[1] for feature in features) == backbone.channels


def test_every_other_kind(tmp_path: Path) -> None:
    backbone = small_backbone()
    decoder = decoder_over(backbone)
    method = create(
        "method", "simclr", trunk=Trunk(backbone), context=METHOD_CONTEXT, temperature=0.2
    )
    augmentation = create("augmentation", "simclr", image_size=16, channels=1)
    network = SegmentationNetwork(backbone, decoder, 1)
    context = TaskContext(("lesion",), exclusive=True, total_steps=2)
    task = create("task", "supervised", network=network, context=context)
    dataset = create("dataset", "busi", root=tmp_path)
    assert isinstance(method, Method)
    assert isinstance(augmentation, Augmentation)
    assert augmentation(torch.rand(2, 1, 20, 20)).images[0].shape == (2, 1, 16, 16)
    assert isinstance(task, Task)
    assert task.network is network
    assert isinstance(dataset, Dataset)
    assert dataset.config.name == "busi"


def test_each_kind_but_files_can_be_created() -> None:
    assert set(BUILD_ARGUMENTS) == set(KINDS) - FILE_KINDS


@pytest.mark.parametrize(
    ("kind", "name", "missing"),
    [
        ("method", "simclr", "trunk, context"),
        ("backbone", "resnet18", "in_channels"),
        ("decoder", "unet", "channels, reductions"),
        ("augmentation", "simclr", "image_size, channels"),
        ("task", "supervised", "network, context"),
        ("executor", "local", "logs"),
    ],
)
def test_missing_build_arguments_are_named(kind: str, name: str, missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create(kind, name)
    assert str(caught.value) == f"{kind} {name!r} is built from {missing} as well; give them"


@pytest.mark.parametrize(
    ("settings", "mistakes"),
    [
        ({"temprature": 0.1}, ["temprature", "temperature"]),
        ({"temperature": -1}, ["temperature"]),
        ({"temperature": "warm"}, ["temperature: must be a number"]),
        ({"temperature": "warm", "hiden": 2}, ["2 mistakes", "temperature", "hiden"]),
    ],
)
def test_config_mistakes(settings: dict[str, Any], mistakes: list[str]) -> None:
    trunk = Trunk(small_backbone())
    with pytest.raises(ConfigError) as caught:
        create("method", "simclr", trunk=trunk, context=METHOD_CONTEXT, **settings)
    for mistake in ["method 'simclr'", *mistakes]:
        assert mistake in str(caught.value)


def test_missing_setting_of_a_component() -> None:
    with pytest.raises(ConfigError, match="backbone 'timm': model: is missing"):
        create("backbone", "timm", in_channels=1)


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(ComponentNotFoundError, match=r"did you mean 'resnet18'\?"):
        create("backbone", "resnet81", in_channels=1)
    with pytest.raises(ComponentNotFoundError, match=r"did you mean 'method'\?"):
        create("metod", "simclr")


def test_data_are_not_created() -> None:
    with pytest.raises(ConfigError, match="an experiment is data and cannot be created"):
        create("experiment", "quickstart")
    with pytest.raises(ConfigError, match="name it as `preset` in a config"):
        create("preset", "simclr-paper")
    with pytest.raises(ConfigError, match="ssl-registry study run"):
        create("study", "smoke")
    with pytest.raises(ConfigError, match="as `published` in a study"):
        create("published", "multi-organ-study")


def test_a_provider_may_be_named() -> None:
    assert isinstance(create("backbone", "unet/unet_encoder", in_channels=1), Backbone)
