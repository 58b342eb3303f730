"""MoCo: momentum contrast for unsupervised visual representation learning."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
from ssl_registry.nn import gather, mlp, own_rows, sent, shared
from ssl_registry_moco.config import MoCoConfig
from ssl_registry_moco.loss import queue_contrast
from ssl_registry_moco.queue import KeyQueue, fitting_length
from ssl_registry_moco.split_norm import split_batch_norms


class MoCo(Method):
    r"""MoCo (He et al. 2020) and MoCo v2 (Chen et al. 2020, arXiv:2003.04297).

    He, Fan, Wu, Xie and Girshick, Momentum Contrast for Unsupervised Visual Representation
    Learning, CVPR 2020, arXiv:1911.05722. A query is the projected embedding of one view; its key
    is that of the other view, by an encoder that follows the query encoder slowly, without
    gradient. The loss (equation 1) tells the key from the keys of earlier batches. The parameters
    of the key encoder follow those of the query encoder by equation 2,

    .. math:: \theta_k \leftarrow m\,\theta_k + (1 - m)\,\theta_q .

    The key encoder moves, and the batch's keys enter the queue, in `after_step` and only if the
    step was committed. The official code moves the key encoder just before the keys' forward of
    the next step, with the same weights: the sequence of both is the same.

    With `symmetric` the loss is the mean over both directions, so that it starts at ln(K + 1) and
    takes the same learning rate (the authors' CIFAR demo takes the sum).

    In several processes the keys of all enter the queue of each, in the order of one process, so
    that the queues stay alike. Of the parts in which a batch is normalised each process has its
    share; the images are shuffled over all of them for the keys (section 3.3).

    Raises:
        ConfigError: The batch cannot be normalised: a single image, or parts of a single image,
            or parts that cannot be shared among the processes.

    Warns:
        UserWarning: The queue is longer than the set.
    """

    def __init__(self, trunk: Trunk, config: MoCoConfig, context: MethodContext) -> None:
        super().__init__()
        _check_context(config, context)
        self.config = config
        self._total_steps = context.total_steps
        self._shuffles = config.batch_norm == "split" and config.bn_splits > 1
        # Parts that this process normalises.
        self._splits = config.bn_splits // context.world_size if self._shuffles else 1
        hidden = config.hidden_dim or trunk.embed_dim
        self.trunk = trunk
        self.projection = mlp(
            [trunk.embed_dim, *[hidden] * (config.projection_layers - 1), config.projection_dim]
        )
        if self._shuffles:
            split_batch_norms(self.trunk, self._splits)
        self.key_trunk = copy.deepcopy(self.trunk).requires_grad_(False)
        self.key_projection = copy.deepcopy(self.projection).requires_grad_(False)
        length = config.queue_length or fitting_length(context.num_images, config.queue_share)
        self.queue = KeyQueue(length, config.projection_dim)
        self._pending: list[tuple[Tensor, Tensor]] = []

    def parameter_groups(self) -> Iterable[ParameterGroup]:
        """All parameters alike and decayed, unless the config spares biases and norms."""
        everything = self.config.decay_biases_and_norms
        return decay_groups(self.parameters(), biases_and_norms=everything)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        """The loss of N images; `alignment` is the mean cosine of query and key.

        Raises:
            ConfigError: There are not exactly two views, or the images cannot be split evenly.
        """
        first, second = self._views(batch)
        pairs = ((first, second), (second, first)) if self.config.symmetric else ((first, second),)
        queries = [self.projection(self.trunk.embed(query)) for query, _ in pairs]
        whole_keys = [self._keys(key) for _, key in pairs]  # [W N, D] each
        keys = [own_rows(k) for k in whole_keys]  # [N, D] each
        excluded = self._same_image(batch.sample_id) if self.config.mask_same_image else None
        losses = [
            queue_contrast(q, k, self.queue.keys, self.config.temperature, excluded)
            for q, k in zip(queries, keys, strict=True)
        ]
        if self.training:
            ids = gather(batch.sample_id)
            self._pending.append((torch.cat(whole_keys), ids.repeat(len(pairs))))
        embeddings = F.normalize(torch.cat(queries).detach().float(), dim=1)
        alignment = (embeddings * torch.cat(keys)).sum(dim=1).mean()
        return StepOutput(torch.stack(losses).mean(), {"alignment": alignment}, embeddings)

    def after_step(self, step: int, committed: bool) -> None:
        """Move the key encoder and enqueue the keys, or forget them if the step was skipped."""
        if committed:
            momentum = self.momentum(step)
            move_towards(self.key_trunk, self.trunk, momentum)
            move_towards(self.key_projection, self.projection, momentum)
            for keys, ids in self._pending:
                self.queue.enqueue(keys, ids)
        self._pending = []

    def momentum(self, step: int) -> float:
        """Share of the key encoder that is kept after `step` (Grill et al. 2020, section 3.2)."""
        config = self.config
        if config.momentum_schedule == "constant":
            return config.momentum
        share = (1 + math.cos(math.pi * min(step / self._total_steps, 1))) / 2
        return config.final_momentum - (config.final_momentum - config.momentum) * share

    def _views(self, batch: PretrainBatch) -> tuple[Tensor, Tensor]:
        views = batch.views.images
        if len(views) != 2:
            raise ConfigError(
                "moco compares two views of each image, but the augmentation gives "
                f"{len(views)}; choose one that gives two"
            )
        if self.training:
            _check_split(len(views[0]), self._splits)
        return views[0], views[1]

    @torch.no_grad()
    def _keys(self, images: Tensor) -> Tensor:
        """Keys of the whole batch, `[W N, D]`, of length 1, fp32 also under autocast.

        The images of all W processes are shuffled on the way, so that those normalised together
        are others than those of the queries.
        """
        if not self._shuffles or not self.training:
            keys = gather(self.key_projection(self.key_trunk.embed(images)))
        else:
            everything = gather(images)  # [W N, C, H, W]
            # Drawn on the CPU, so that a seed means the same on every device.
            order = sent(shared(torch.randperm(len(everything))), images.device)
            own = self.key_projection(self.key_trunk.embed(everything[own_rows(order)]))
            shuffled = gather(own)
            keys = torch.empty_like(shuffled)
            keys[order] = shuffled
        return F.normalize(keys.to(torch.promote_types(keys.dtype, torch.float32)), dim=1)

    def _same_image(self, sample_id: Tensor) -> Tensor:
        """Which keys of the queue come from a query's own image, bool `[N, K]`."""
        return sample_id[:, None] == self.queue.ids


@torch.no_grad()
def move_towards(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """Move the parameters of `key` to `momentum` of themselves and the rest of `query`'s.

    He et al. 2020, equation 2. Buffers stay: the key encoder has batch statistics of its own.
    Parameters are fp32 also under bf16 autocast; in bf16 a small step would be rounded away.
    """
    for old, new in zip(key.parameters(), query.parameters(), strict=True):
        old.lerp_(new, 1 - momentum)


def _check_context(config: MoCoConfig, context: MethodContext) -> None:
    if context.batch_size < 2:
        raise ConfigError(
            "moco needs at least 2 images of training.batch_size in each forward of a process: "
            "batch norm has no values"
        )
    if config.batch_norm == "split" and config.bn_splits > 1:
        world = context.world_size
        if config.bn_splits % world:
            raise ConfigError(
                f"moco cannot share method.bn_splits = {config.bn_splits} parts among {world} "
                f"processes; set it to a multiple of {world}"
            )
        _check_split(context.batch_size, config.bn_splits // world, world)
    fitting = fitting_length(context.num_images, config.queue_share)
    if config.queue_length is not None and config.queue_length > context.num_images:
        warnings.warn(
            f"method.queue_length = {config.queue_length} is more than the {context.num_images} "
            "images: the queue will hold several keys of each image, which repel the image's own "
            f"query. {fitting} is recommended, or method.mask_same_image = true.",
            UserWarning,
            stacklevel=3,
        )


def _check_split(count: int, splits: int, world_size: int = 1) -> None:
    """Raise unless each process's `count` images make `splits` equal parts of two or more."""
    if splits > 1 and (count % splits or count // splits < 2):
        fitting = max((s for s in range(1, splits) if count % s == 0 and count // s > 1), default=1)
        raise ConfigError(
            f"moco cannot split a batch of {count * world_size} images into method.bn_splits = "
            f"{splits * world_size} equal parts of two images or more; set method.bn_splits = "
            f"{fitting * world_size} or change training.batch_size"
        )
