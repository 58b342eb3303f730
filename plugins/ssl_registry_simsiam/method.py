"""SimSiam: exploring simple siamese representation learning."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ssl_registry import (
    ConfigError,
    Method,
    MethodContext,
    ParameterGroup,
    PretrainBatch,
    StepOutput,
    Trunk,
    decay_groups,
)
from ssl_registry.nn import mlp
from ssl_registry_simsiam.config import SimSiamConfig
from ssl_registry_simsiam.heads import projector
from ssl_registry_simsiam.loss import negative_cosine


class SimSiam(Method):
    r"""SimSiam (Chen and He 2021): z = g(f(x)), p = h(z), and p of a view predicts the other's z.

    Chen and He, Exploring Simple Siamese Representation Learning, CVPR 2021, arXiv:2011.10566.
    With D the negative cosine and sg the stop-gradient, the loss of an image is equation 4,

    .. math:: L = \tfrac{1}{2} D(p_1, \mathrm{sg}(z_2)) + \tfrac{1}{2} D(p_2, \mathrm{sg}(z_1)) .

    The views go through the network one after the other, so that each is normalised by its own
    statistics; in several processes, by those of all, as in the authors' code.

    Raises:
        ConfigError: A batch has a single image, which batch normalisation cannot take.
    """

    def __init__(self, trunk: Trunk, config: SimSiamConfig, context: MethodContext) -> None:
        super().__init__()
        if context.batch_size < 2:
            raise ConfigError(
                "simsiam needs at least 2 images of training.batch_size in each forward of a "
                "process: batch norm has no values"
            )
        self.config = config
        self.trunk = trunk
        self.projection = projector(
            trunk.embed_dim, config.hidden_dim, config.projection_dim, config.projection_layers
        )
        self.prediction = mlp(
            [config.projection_dim, config.prediction_hidden_dim, config.projection_dim],
            batch_norm=True,
        )

    def parameter_groups(self) -> Iterable[ParameterGroup]:
        """Encoder and predictor; the predictor's rate is constant (section 4.2)."""
        scheduled = not self.config.constant_predictor_rate
        encoder = [*self.trunk.parameters(), *self.projection.parameters()]
        everything = self.config.decay_biases_and_norms
        for parameters, follows in ((encoder, True), (self.prediction.parameters(), scheduled)):
            yield from decay_groups(parameters, biases_and_norms=everything, scheduled=follows)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        """The symmetric loss of N images (equation 4), in [-1, 1].

        `alignment` is the mean cosine of the two z of an image. The outputs to watch for collapse
        are the predictions: batch normalisation without a shift keeps the mean of z at 0, so that
        z of a collapsed network still spreads (an outlier against all others, say), but p does not.

        Raises:
            ConfigError: There are not exactly two views, or there is only one image.
        """
        views = batch.views.images
        if len(views) != 2:
            raise ConfigError(
                "simsiam compares two views of each image, but the augmentation gives "
                f"{len(views)}; choose one that gives two"
            )
        if self.training and len(views[0]) < 2:
            raise ConfigError(
                "simsiam got a batch of one image, which batch norm cannot take; raise batch_size "
                "or the number of images"
            )
        z1, z2 = (self.projection(self.trunk.embed(view)) for view in views)  # [N, D] each
        p1, p2 = self.prediction(z1), self.prediction(z2)
        loss = negative_cosine(p1, self.target(z2)) / 2 + negative_cosine(p2, self.target(z1)) / 2
        alignment = -negative_cosine(z1.detach(), z2.detach())
        return StepOutput(loss, {"alignment": alignment}, torch.cat([p1, p2]).detach())

    def target(self, z: Tensor) -> Tensor:
        """What a prediction aims at: z without gradient (equation 3), or the network collapses."""
        return z.detach()
