"""SimCLR: a simple framework for contrastive learning of visual representations."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ssl_registry import ConfigError, Method, MethodContext, PretrainBatch, StepOutput, Trunk
from ssl_registry.nn import mlp
from ssl_registry_simclr.config import SimCLRConfig
from ssl_registry_simclr.loss import nt_xent


class SimCLR(Method):
    """SimCLR (Chen et al. 2020): h = f(x), z = g(h), NT-Xent between the z of two views.

    Chen, Kornblith, Norouzi and Hinton, A Simple Framework for Contrastive Learning of Visual
    Representations, ICML 2020, arXiv:2002.05709. f is the network that is pre-trained, g a small
    head that is thrown away afterwards; the loss is equation 1.

    Both views go through the network in one forward, so batch normalisation sees all 2N. In
    several processes negatives come from all of them.

    Raises:
        ConfigError: A batch has a single image, and so no negatives.
    """

    def __init__(self, trunk: Trunk, config: SimCLRConfig, context: MethodContext) -> None:
        super().__init__()
        if context.batch_size < 2:
            raise ConfigError(
                "simclr needs training.batch_size of at least 2 images in each forward of a "
                "process: no negatives else"
            )
        self.config = config
        self.trunk = trunk
        hidden = config.hidden_dim or trunk.embed_dim
        self.projection = mlp(
            [trunk.embed_dim, *[hidden] * (config.projection_layers - 1), config.projection_dim],
            batch_norm=config.projection_batch_norm,
            last_batch_norm=config.projection_batch_norm,
            last_shift=False,
        )

    def forward(self, batch: PretrainBatch) -> StepOutput:
        """The NT-Xent loss of N images; `alignment` is the mean cosine of an image's views.

        Raises:
            ConfigError: There are not exactly two views, or there is only one image.
        """
        views = batch.views.images
        if len(views) != 2:
            raise ConfigError(
                "simclr compares two views of each image, but the augmentation gives "
                f"{len(views)}; choose one that gives two"
            )
        n = views[0].shape[0]
        if n < 2:
            raise ConfigError(
                "simclr got a batch of one image, which has no negatives; raise batch_size or the "
                "number of images"
            )
        h = self.trunk.embed(torch.cat(views))  # [2N, embed_dim]
        z1, z2 = self.projection(h).split(n)  # [N, D] each
        loss = nt_xent(z1, z2, self.config.temperature)
        z = F.normalize(torch.cat([z1, z2]).detach().float(), dim=1)
        alignment = (z[:n] * z[n:]).sum(dim=1).mean()
        return StepOutput(loss, {"alignment": alignment}, z)
