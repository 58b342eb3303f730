"""Building components from their configs, each kind as its contract says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_registry import registry
from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.errors import ConfigError

if TYPE_CHECKING:
    from ssl_registry.interfaces.augmentation import Augmentation
    from ssl_registry.interfaces.backbone import Backbone
    from ssl_registry.interfaces.dataset import Dataset
    from ssl_registry.interfaces.decoder import Decoder
    from ssl_registry.interfaces.executor import Executor
    from ssl_registry.interfaces.method import Method, MethodContext
    from ssl_registry.interfaces.task import Task, TaskContext
    from ssl_registry.nn.segmentation import SegmentationNetwork
    from ssl_registry.nn.trunk import Trunk

BUILD_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "method": ("trunk", "context"),
    "backbone": ("in_channels",),
    "decoder": ("channels", "reductions"),
    "augmentation": ("image_size", "channels"),
    "dataset": (),
    "task": ("network", "context"),
    "executor": ("logs",),
}
"""What a component is built from besides its config; no config field may bear such a name."""


def create(kind: str, name: str, /, **settings: Any) -> Any:
    """Build the component `name` of `kind` from keyword settings.

    Settings are the fields of its config and the arguments of its kind: `trunk` and `context`
    for a method, `in_channels` for a backbone, `channels` and `reductions` for a decoder,
    `image_size` and `channels` for an augmentation, `network` and `context` for a task, `logs` for
    an executor.

    Examples:
        >>> backbone = create("backbone", "resnet18", in_channels=1)

    Raises:
        ConfigError: A setting is unknown, of a wrong type, out of range or missing.
        ComponentNotFoundError: There is no such component; lists what there is.
    """
    if kind == "experiment":
        raise ConfigError("an experiment is data and cannot be created; run it with the runner")
    if kind == "preset":
        raise ConfigError("a preset is data and cannot be created; name it as `preset` in a config")
    if kind == "study":
        raise ConfigError(
            "a study is data and cannot be created; run it with `ssl-registry study run`"
        )
    if kind == "published":
        raise ConfigError(
            "published figures are data and cannot be created; name them as `published` in a study"
        )
    model = registry.config_model(kind, name)
    needed = BUILD_ARGUMENTS[kind]
    missing = [argument for argument in needed if argument not in settings]
    if missing:
        raise ConfigError(f"{kind} {name!r} is built from {', '.join(missing)} as well; give them")
    arguments = {argument: settings.pop(argument) for argument in needed}
    config = validate(model, {"name": name, **settings}, f"{kind} {name!r}")
    return registry.factory(kind, name)(config=config, **arguments)


def build_dataset(config: ComponentConfig) -> Dataset:
    """Build a dataset; its folder is looked at when `samples()` is called."""
    dataset: Dataset = registry.factory("dataset", config.name)(config=config)
    return dataset


def build_backbone(config: ComponentConfig, in_channels: int) -> Backbone:
    """Build a backbone with fresh weights for images of `in_channels` channels."""
    backbone: Backbone = registry.factory("backbone", config.name)(
        config=config, in_channels=in_channels
    )
    return backbone


def build_decoder(config: ComponentConfig, backbone: Backbone) -> Decoder:
    """Build a decoder with fresh weights over the pyramid of `backbone`."""
    decoder: Decoder = registry.factory("decoder", config.name)(
        config=config, channels=backbone.channels, reductions=backbone.reductions
    )
    return decoder


def build_augmentation(config: ComponentConfig, image_size: int, channels: int) -> Augmentation:
    """Build an augmentation whose views are `image_size` px wide with `channels` channels."""
    augmentation: Augmentation = registry.factory("augmentation", config.name)(
        config=config, image_size=image_size, channels=channels
    )
    return augmentation


def build_method(config: ComponentConfig, trunk: Trunk, context: MethodContext) -> Method:
    """Build a method around the trunk it trains."""
    method: Method = registry.factory("method", config.name)(
        trunk=trunk, config=config, context=context
    )
    return method


def build_executor(config: ComponentConfig, logs: Path) -> Executor:
    """Build an executor whose workers write what they print into the folder `logs`."""
    executor: Executor = registry.factory("executor", config.name)(config=config, logs=logs)
    return executor


def build_task(config: ComponentConfig, network: SegmentationNetwork, context: TaskContext) -> Task:
    """Build a task around the network it fine-tunes."""
    task: Task = registry.factory("task", config.name)(
        network=network, config=config, context=context
    )
    return task
