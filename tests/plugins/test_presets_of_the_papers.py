"""The presets `imagenet` and `cifar` against what the papers and their authors' code say."""

from __future__ import annotations

from typing import Any

import pytest

from ssl_registry import PretrainConfig

IMAGENET = {
    "image_size": 224,
    "backbone.name": "resnet50",
    "backbone.stem": "imagenet",
    "augmentation.blur": 0.5,
}
CIFAR = {
    "image_size": 32,
    "cache_size": 32,
    "backbone.name": "resnet18",
    "backbone.stem": "cifar",
    "augmentation.blur": 0.0,
}
COMMON = {
    "channels": 3,
    "augmentation.crop_ratio": (0.75, 4 / 3),
    "augmentation.flip": 0.5,
    "augmentation.jitter": 0.8,
    "augmentation.grayscale": 0.2,
    "augmentation.blur_sigma": (0.1, 2.0),
    "training.optimizer.momentum": 0.9,
    "training.optimizer.final_learning_rate": 0.0,
    "training.optimizer.scaling": "linear",
}
LARS = {
    "normalization.mean": (0.0,),
    "normalization.std": (1.0,),
    "backbone.zero_init_residual": True,
    "method.projection_dim": 128,
    "method.projection_layers": 2,
    "method.projection_batch_norm": True,
    "augmentation.crop_scale": (0.08, 1.0),
    "augmentation.brightness": 0.8,
    "augmentation.contrast": 0.8,
    "augmentation.saturation": 0.8,
    "augmentation.hue": 0.2,
    "training.optimizer.name": "lars",
    "training.optimizer.reference_batch": 256,
    "training.optimizer.weight_decay": 1e-4,
    "training.optimizer.trust_coefficient": 0.001,
    "training.optimizer.warmup_epochs": 10,
}
SGD = {
    "augmentation.brightness": 0.4,
    "augmentation.contrast": 0.4,
    "augmentation.saturation": 0.4,
    "augmentation.hue": 0.1,
    "method.decay_biases_and_norms": True,
    "training.optimizer.name": "sgd",
    "training.optimizer.warmup_epochs": 0,
}
MOCO = {
    **SGD,
    "backbone.zero_init_residual": False,
    "method.projection_dim": 128,
    "method.symmetric": False,
    "method.mask_same_image": False,
    "method.momentum_schedule": "constant",
    "method.batch_norm": "split",
    "method.bn_splits": 8,
}
SIMSIAM = {
    **SGD,
    "backbone.zero_init_residual": True,
    "method.projection_dim": 2048,
    "method.hidden_dim": 2048,
    "method.prediction_hidden_dim": 512,
    "method.constant_predictor_rate": True,
    "augmentation.crop_scale": (0.2, 1.0),
    "training.batch_size": 512,
    "training.optimizer.reference_batch": 256,
}
IMAGENET_COLOURS = {
    "normalization.mean": (0.485, 0.456, 0.406),
    "normalization.std": (0.229, 0.224, 0.225),
}
CIFAR_COLOURS = {
    "normalization.mean": (0.4914, 0.4822, 0.4465),
    "normalization.std": (0.2023, 0.1994, 0.2010),
}
PRESETS: dict[str, dict[str, Any]] = {
    "simclr-imagenet": {
        **IMAGENET,
        **LARS,
        "method.temperature": 0.1,
        "augmentation.jitter_strength": 1.0,
        "training.epochs": 100,
        "training.batch_size": 4096,
        "training.optimizer.learning_rate": 0.3,
    },
    "simclr-cifar": {
        **CIFAR,
        **LARS,
        "method.temperature": 0.5,
        "augmentation.jitter_strength": 0.5,
        "training.epochs": 1000,
        "training.batch_size": 512,
        "training.optimizer.learning_rate": 1.0,
    },
    "moco-imagenet": {
        **IMAGENET,
        **IMAGENET_COLOURS,
        **MOCO,
        "method.temperature": 0.2,
        "method.momentum": 0.999,
        "method.queue_length": 65536,
        "method.projection_layers": 2,
        "augmentation.crop_scale": (0.2, 1.0),
        "training.epochs": 200,
        "training.batch_size": 256,
        "training.optimizer.learning_rate": 0.03,
        "training.optimizer.reference_batch": 256,
        "training.optimizer.weight_decay": 1e-4,
    },
    "moco-cifar": {
        **CIFAR,
        **CIFAR_COLOURS,
        **MOCO,
        "method.temperature": 0.1,
        "method.momentum": 0.99,
        "method.queue_length": 4096,
        "method.projection_layers": 1,
        "augmentation.crop_scale": (0.08, 1.0),
        "training.epochs": 200,
        "training.batch_size": 512,
        "training.optimizer.learning_rate": 0.06,
        "training.optimizer.reference_batch": 512,
        "training.optimizer.weight_decay": 5e-4,
    },
    "simsiam-imagenet": {
        **IMAGENET,
        **IMAGENET_COLOURS,
        **SIMSIAM,
        "method.projection_layers": 3,
        "training.epochs": 100,
        "training.optimizer.learning_rate": 0.05,
        "training.optimizer.weight_decay": 1e-4,
    },
    "simsiam-cifar": {
        **CIFAR,
        **CIFAR_COLOURS,
        **SIMSIAM,
        "method.projection_layers": 2,
        "training.epochs": 800,
        "training.optimizer.learning_rate": 0.03,
        "training.optimizer.weight_decay": 5e-4,
    },
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_papers(name: str) -> None:
    config = PretrainConfig.model_validate({"preset": name, "data": ["phantom"]})
    found = {}
    for path in (expected := {**COMMON, **PRESETS[name]}):
        value: Any = config
        for key in path.split("."):
            value = getattr(value, key)
        found[path] = pytest.approx(value) if isinstance(value, float) else value
    assert found == expected
