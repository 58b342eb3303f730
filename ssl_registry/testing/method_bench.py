"""A method on the kit's own network and images, ready to be tried out."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable

import torch
from torch import Tensor

from ssl_registry import registry
from ssl_registry.build import create
from ssl_registry.config.model import MethodConfig
from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.augmentation import Augmentation, Views
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.interfaces.method import Method, MethodContext, PretrainBatch
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.testing.check import CheckFailure, SubjectFailure, described
from ssl_registry.testing.images import blobs
from ssl_registry.testing.networks import TinyBackbone, tiny_trunk
from ssl_registry.testing.subject import Subject
from ssl_registry.testing.tensors import train_step

COUNT = 4
"""Images of a batch."""
IMAGES = 16
"""Images that are trained on."""
SIZE = 32
"""Side of the views, px."""
_MEAN, _STD = 0.5, 0.25
_ORGANS = ("breast", "heart")
_NOT_BUILT = (
    "Let __init__ take any trunk, with images of 1 or 3 channels; a method for backbones of one "
    "kind names one, with its settings, in `check_backbone` of its config"
)


class MethodBench(Subject):
    """A method under check, with batches as its own augmentation makes them."""

    def build(
        self, *, channels: int = 1, count: int = COUNT, seed: int = 0, world_size: int = 1
    ) -> Method:
        """The method around a fresh tiny trunk, with a decoder only if it asks for one.

        Args:
            channels: Channels of the views.
            count: Images of a batch, in each process.
            seed: Of the initial weights.
            world_size: Number of processes.

        Raises:
            SubjectFailure: It cannot be built.
        """
        context = MethodContext(
            num_images=IMAGES,
            total_steps=8,
            batch_size=count,
            image_size=SIZE,
            channels=channels,
            vocabulary={"organ": _ORGANS},
            world_size=world_size,
        )
        config = self.config()
        try:
            try:
                return self._built(config, context, seed, decoder=False)
            except ConfigError:
                with contextlib.suppress(ConfigError):
                    return self._built(config, context, seed, decoder=True)
                raise
        except CheckFailure:
            raise
        except (Exception, SystemExit) as error:  # whatever a foreign method raises
            raise SubjectFailure(f"building it raised {described(error)}. {_NOT_BUILT}") from error

    def _built(self, config: object, context: MethodContext, seed: int, *, decoder: bool) -> Method:
        torch.manual_seed(seed)
        trunk = tiny_trunk(self._backbone(context.channels), decoder=decoder)
        method: Method = self.factory()(trunk=trunk, config=config, context=context)
        return method.train()

    def _backbone(self, channels: int) -> Backbone:
        """The kit's own, or what the method's config asks for."""
        model = self.model
        settings = dict(model.check_backbone) if issubclass(model, MethodConfig) else {}
        if not settings:
            return TinyBackbone(channels)
        backbone: Backbone = create(
            "backbone", settings.pop("name"), in_channels=channels, **settings
        )
        return backbone

    def batch(
        self, *, channels: int = 1, count: int = COUNT, seed: int = 0, held_out: bool = False
    ) -> PretrainBatch:
        """Views of `count` images, and what else is known of them."""
        torch.manual_seed(1000 + seed)
        views = self._views(blobs(count, channels, SIZE))
        first = IMAGES if held_out else (seed * count) % (IMAGES - count + 1)
        return PretrainBatch(
            views=Views(
                images=tuple((view - _MEAN) / _STD for view in views.images),
                source=views.source,
                transforms=views.transforms,
                masks=views.masks,
            ),
            sample_id=torch.arange(first, first + count),
            meta={"organ": torch.arange(count) % len(_ORGANS)},
        )

    def forward(self, method: Method, batch: PretrainBatch) -> StepOutput:
        """One forward; what is random in it is always drawn alike."""
        torch.manual_seed(2000)
        output: StepOutput = method(batch)
        return output

    def train(self, method: Method, steps: Iterable[int]) -> list[float]:
        """Train for some steps, each on another batch; gives their losses."""
        return [
            train_step(method, functools.partial(self._at, method, step), step) for step in steps
        ]

    def _at(self, method: Method, step: int) -> StepOutput:
        return self.forward(method, self.batch(seed=step))

    def _views(self, images: Tensor) -> Views:
        """Views by the method's default augmentation; where it names none, two and the source."""
        augmentation = self._augmentation(images.shape[1])
        if augmentation is not None:
            with torch.no_grad():
                views: Views = augmentation(images)
            return views
        same = torch.eye(3).expand(len(images), 3, 3)
        noisy = tuple((images + 0.1 * torch.randn_like(images)).clamp(0, 1) for _ in range(2))
        return Views(images=noisy, source=images, transforms=(same, same))

    def _augmentation(self, channels: int) -> Augmentation | None:
        model = self.model
        name = model.default_augmentation if issubclass(model, MethodConfig) else ""
        if not name:
            return None
        settings = registry.config_model("augmentation", name).check_settings
        built: Augmentation = create(
            "augmentation", name, image_size=SIZE, channels=channels, **settings
        )
        return built
