"""Plugin-based self-supervised pre-training: compose methods, backbones, decoders and datasets.

The names below are the public interface. They are imported when first used, so that
`import ssl_registry` costs next to nothing and never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_registry.api import create as create
    from ssl_registry.api import evaluate as evaluate
    from ssl_registry.api import finetune as finetune
    from ssl_registry.api import predict as predict
    from ssl_registry.api import pretrain as pretrain
    from ssl_registry.config.augmentation import (
        ContrastiveAugmentationConfig as ContrastiveAugmentationConfig,
    )
    from ssl_registry.config.finetune import FinetuneConfig as FinetuneConfig
    from ssl_registry.config.folder import FolderDatasetConfig as FolderDatasetConfig
    from ssl_registry.config.model import ComponentConfig as ComponentConfig
    from ssl_registry.config.model import DatasetConfig as DatasetConfig
    from ssl_registry.config.model import MethodConfig as MethodConfig
    from ssl_registry.config.model import component as component
    from ssl_registry.config.pretrain import PretrainConfig as PretrainConfig
    from ssl_registry.config.split import SplitConfig as SplitConfig
    from ssl_registry.config.strict import StrictModel as StrictModel
    from ssl_registry.data.picture_dataset import PictureDataset as PictureDataset
    from ssl_registry.data.pictures import UNREADABLE as UNREADABLE
    from ssl_registry.data.pictures import picture_size as picture_size
    from ssl_registry.data.pictures import read_binary_mask as read_binary_mask
    from ssl_registry.data.pictures import read_gray_values as read_gray_values
    from ssl_registry.data.pictures import read_luma as read_luma
    from ssl_registry.data.pictures import read_mask_union as read_mask_union
    from ssl_registry.data.pictures import read_rgb as read_rgb
    from ssl_registry.discovery import PluginRecord as PluginRecord
    from ssl_registry.discovery import plugins as plugins
    from ssl_registry.errors import ComponentClashError as ComponentClashError
    from ssl_registry.errors import ComponentNotFoundError as ComponentNotFoundError
    from ssl_registry.errors import ConfigError as ConfigError
    from ssl_registry.errors import DataError as DataError
    from ssl_registry.errors import DatasetNotFoundError as DatasetNotFoundError
    from ssl_registry.errors import DeviceError as DeviceError
    from ssl_registry.errors import PluginError as PluginError
    from ssl_registry.errors import RunError as RunError
    from ssl_registry.errors import TrainingError as TrainingError
    from ssl_registry.errors import UserError as UserError
    from ssl_registry.errors import WeightsError as WeightsError
    from ssl_registry.interfaces.augmentation import Augmentation as Augmentation
    from ssl_registry.interfaces.augmentation import Views as Views
    from ssl_registry.interfaces.backbone import Backbone as Backbone
    from ssl_registry.interfaces.dataset import Dataset as Dataset
    from ssl_registry.interfaces.dataset import DatasetInfo as DatasetInfo
    from ssl_registry.interfaces.dataset import Download as Download
    from ssl_registry.interfaces.dataset import FolderDataset as FolderDataset
    from ssl_registry.interfaces.dataset import Image as Image
    from ssl_registry.interfaces.dataset import Mask as Mask
    from ssl_registry.interfaces.dataset import Release as Release
    from ssl_registry.interfaces.dataset import Sample as Sample
    from ssl_registry.interfaces.decoder import Decoder as Decoder
    from ssl_registry.interfaces.executor import Executor as Executor
    from ssl_registry.interfaces.executor import Outcome as Outcome
    from ssl_registry.interfaces.executor import Work as Work
    from ssl_registry.interfaces.method import Method as Method
    from ssl_registry.interfaces.method import MethodContext as MethodContext
    from ssl_registry.interfaces.method import PretrainBatch as PretrainBatch
    from ssl_registry.interfaces.task import SegmentationBatch as SegmentationBatch
    from ssl_registry.interfaces.task import Task as Task
    from ssl_registry.interfaces.task import TaskContext as TaskContext
    from ssl_registry.interfaces.training import ParameterGroup as ParameterGroup
    from ssl_registry.interfaces.training import StepOutput as StepOutput
    from ssl_registry.interfaces.training import decay_groups as decay_groups
    from ssl_registry.nn.segmentation import SegmentationNetwork as SegmentationNetwork
    from ssl_registry.nn.trunk import Trunk as Trunk
    from ssl_registry.registry import components as components
    from ssl_registry.spec import API_VERSION as API_VERSION
    from ssl_registry.spec import Component as Component
    from ssl_registry.spec import hookimpl as hookimpl
    from ssl_registry.weights.networks import load_backbone as load_backbone
    from ssl_registry.weights.networks import load_network as load_network
    from ssl_registry.weights.read import load_weights as load_weights

_HOME = {
    "api": ("create", "evaluate", "finetune", "predict", "pretrain"),
    "config.augmentation": ("ContrastiveAugmentationConfig",),
    "config.finetune": ("FinetuneConfig",),
    "config.folder": ("FolderDatasetConfig",),
    "config.model": ("ComponentConfig", "DatasetConfig", "MethodConfig", "component"),
    "config.pretrain": ("PretrainConfig",),
    "config.split": ("SplitConfig",),
    "config.strict": ("StrictModel",),
    "data.picture_dataset": ("PictureDataset",),
    "data.pictures": (
        "UNREADABLE",
        "picture_size",
        "read_binary_mask",
        "read_gray_values",
        "read_luma",
        "read_mask_union",
        "read_rgb",
    ),
    "discovery": ("PluginRecord", "plugins"),
    "errors": (
        "ComponentClashError",
        "ComponentNotFoundError",
        "ConfigError",
        "DataError",
        "DatasetNotFoundError",
        "DeviceError",
        "PluginError",
        "RunError",
        "TrainingError",
        "UserError",
        "WeightsError",
    ),
    "interfaces.augmentation": ("Augmentation", "Views"),
    "interfaces.backbone": ("Backbone",),
    "interfaces.dataset": (
        "Dataset",
        "DatasetInfo",
        "Download",
        "FolderDataset",
        "Image",
        "Mask",
        "Release",
        "Sample",
    ),
    "interfaces.decoder": ("Decoder",),
    "interfaces.executor": ("Executor", "Outcome", "Work"),
    "interfaces.method": ("Method", "MethodContext", "PretrainBatch"),
    "interfaces.task": ("SegmentationBatch", "Task", "TaskContext"),
    "interfaces.training": ("ParameterGroup", "StepOutput", "decay_groups"),
    "nn.segmentation": ("SegmentationNetwork",),
    "nn.trunk": ("Trunk",),
    "registry": ("components",),
    "spec": ("API_VERSION", "Component", "hookimpl"),
    "weights.networks": ("load_backbone", "load_network"),
    "weights.read": ("load_weights",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__version__ = "0.1.0"
__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'ssl_registry' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ssl_registry.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
