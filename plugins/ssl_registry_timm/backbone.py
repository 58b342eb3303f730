"""A timm model as a backbone: its own weights, its feature maps as a pyramid."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any, cast

import timm
from torch import Tensor, nn

from ssl_registry import Backbone, ConfigError
from ssl_registry_timm.config import TimmConfig


class TimmBackbone(Backbone):
    """Holds a whole timm model and reads feature maps through `forward_intermediates`.

    Of several maps with the same reduction the deepest is taken, so a ViT gives one level and a
    ResNet with the CIFAR stem four. A transformer's final norm is applied, so the last map is
    timm's own `forward_features`. Parameters that no map depends on (the norm of a classifier)
    stay in the weights, so that timm can load them, but need no gradient.

    Args:
        model: A timm model made with `num_classes=0`.
        in_channels: Channels of the images it takes.
        levels: Per map of `forward_intermediates`, its channels and reduction.
        library_config: What timm reads as `config.json`; empty if it cannot build this model.
    """

    def __init__(
        self,
        model: nn.Module,
        in_channels: int,
        levels: list[tuple[int, int]],
        library_config: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        deepest = {reduction: index for index, (_, reduction) in enumerate(levels)}
        self._indices = sorted(deepest.values())
        self._library_config = dict(library_config)
        self.in_channels = in_channels
        self.channels = tuple(levels[index][0] for index in self._indices)
        self.reductions = tuple(levels[index][1] for index in self._indices)
        # Below this the coarsest map would be a part of a pixel.
        self.minimum_size = self.reductions[-1]
        used = _used_parameters(model, self._indices, final_norm=True)
        # Models that have no final norm may refuse to be asked for it.
        self._final_norm = used != _used_parameters(model, self._indices, final_norm=False)
        for name, parameter in model.named_parameters():
            # Data-parallel training waits for every parameter that requires a gradient, and
            # weight decay would shrink the unused ones towards zero.
            if name not in used:
                parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps `[N, channels[i], h, w]`, finest first, of `[N, in_channels, H, W]`.

        Raises:
            ConfigError: The model takes another image size, as many transformers do.
        """
        try:
            maps = cast("Any", self.model).forward_intermediates(
                images,
                indices=self._indices,
                norm=self._final_norm,
                output_fmt="NCHW",
                intermediates_only=True,
            )
        except (AssertionError, RuntimeError) as error:
            if not _about_size(error):
                raise
            coarsest = self.reductions[-1]
            raise ConfigError(
                f"the timm model {_architecture(self.model)!r} does not take images of "
                f"{images.shape[-2]}x{images.shape[-1]} px: {error}. Set its size or a flexible "
                "one in backbone.options, such as img_size = 64 or dynamic_img_size = true; or "
                f"choose another image_size, such as a multiple of {coarsest} or {2 * coarsest}"
            ) from error
        return list(maps)

    def exported(self) -> nn.Module:
        """The timm model itself, so that weights keep timm's keys."""
        return self.model

    def library_config(self) -> dict[str, Any]:
        """`config.json` as `timm.create_model("local-dir:FOLDER")` reads it."""
        return copy.deepcopy(self._library_config)


def timm_backbone(config: TimmConfig, in_channels: int) -> TimmBackbone:
    """Build the backbone that `config.model` names, with random weights.

    Raises:
        ConfigError: timm has no such model, refuses the options, or the model has no maps.
    """
    model = create(config.model, config.options, in_channels)
    library_config = timm_config(model, config.model, config.options, in_channels)
    return TimmBackbone(model, in_channels, feature_levels(model), library_config)


def create(name: str, options: Mapping[str, Any], in_channels: int) -> nn.Module:
    """A timm model without classifier and with random weights.

    Raises:
        ConfigError: timm has no model of that name, or refuses the options.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ConfigError(f"timm {timm.__version__} has no model {name!r}{hint}")
    try:
        return timm.create_model(
            name, pretrained=False, num_classes=0, in_chans=in_channels, **options
        )
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"timm cannot build {name!r} with in_chans = {in_channels}, options = "
            f"{dict(options)}: {error}"
        ) from error


def feature_levels(model: nn.Module) -> list[tuple[int, int]]:
    """Channels and reduction of each feature map, finest first.

    Raises:
        ConfigError: The model does not give feature maps.
    """
    info = getattr(model, "feature_info", None)
    if not info or not hasattr(model, "prune_intermediate_layers"):
        raise ConfigError(
            f"the timm model {_architecture(model)!r} gives no feature maps; choose a model that "
            "has `forward_intermediates`, such as a ResNet, ConvNeXt, Swin or ViT"
        )
    return [(int(level["num_chs"]), int(level["reduction"])) for level in info]


def timm_config(
    model: nn.Module, name: str, options: Mapping[str, Any], in_channels: int
) -> dict[str, Any]:
    """What timm needs to know to build the model again; its preprocessing is added later."""
    known = cast("Any", model)
    config: dict[str, Any] = {
        "architecture": name.partition(".")[0],
        "num_classes": 0,
        "num_features": int(known.num_features),
        "global_pool": known.pretrained_cfg.get("global_pool") or "avg",
        "pretrained_cfg": {
            "num_classes": 0,
            "first_conv": known.pretrained_cfg.get("first_conv"),
            "classifier": known.pretrained_cfg.get("classifier"),
        },
    }
    arguments = dict(options) if in_channels == 3 else {"in_chans": in_channels, **options}
    if arguments:
        config["model_args"] = arguments
    return config


def _about_size(error: AssertionError | RuntimeError) -> bool:
    """Whether the sizes of maps do not fit each other; a lack of memory is another matter."""
    if isinstance(error, AssertionError):
        return True
    words = ("size of tensor", "sizes of tensors", "shape", "kernel size", "output size")
    return type(error) is RuntimeError and any(word in str(error).lower() for word in words)


def _architecture(model: nn.Module) -> str:
    return str((getattr(model, "pretrained_cfg", None) or {}).get("architecture", "unnamed"))


def _used_parameters(model: nn.Module, indices: list[int], *, final_norm: bool) -> set[str]:
    """Names of the parameters that the feature maps `indices` depend on."""
    pruned = cast("Any", copy.deepcopy(model))
    pruned.prune_intermediate_layers(indices, prune_norm=not final_norm, prune_head=True)
    return {name for name, _ in pruned.named_parameters()}
