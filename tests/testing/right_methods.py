"""Pre-training methods as people write them, which new processes can import, too."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import (
    ConfigError,
    Method,
    MethodConfig,
    MethodContext,
    PretrainBatch,
    StepOutput,
    Trunk,
)
from ssl_registry.nn import gather, mlp, own_rows


class Byol(Method):
    """Grill et al. 2020: predict what a slow teacher sees in the other view; all in fp32."""

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        self.total_steps = context.total_steps
        self.trunk = trunk
        self.projection = mlp([trunk.embed_dim, 16, 8])
        self.prediction = mlp([8, 16, 8])
        self.teacher = copy.deepcopy(nn.ModuleList([self.trunk, self.projection]))
        self.teacher.requires_grad_(False)

    def student(self, view: Tensor) -> Tensor:
        embedding = self.trunk.embed(view)
        with torch.autocast(view.device.type, enabled=False):
            predicted: Tensor = self.prediction(self.projection(embedding.float()))
        return F.normalize(predicted, dim=1)

    @torch.no_grad()
    def target(self, view: Tensor) -> Tensor:
        trunk: Any
        trunk, projection = self.teacher
        with torch.autocast(view.device.type, enabled=False):
            return F.normalize(projection(trunk.embed(view).float()), dim=1)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        first, second = batch.views.images
        pairs = ((first, second), (second, first))
        losses = [2 - 2 * (self.student(a) * self.target(b)).sum(1).mean() for a, b in pairs]
        return StepOutput(torch.stack(losses).sum())

    def after_step(self, step: int, committed: bool) -> None:
        if committed:
            keep = 1 - 0.01 * (1 - step / self.total_steps)
            student = [*self.trunk.parameters(), *self.projection.parameters()]
            with torch.no_grad():
                for slow, fast in zip(self.teacher.parameters(), student, strict=True):
                    slow.lerp_(fast, 1 - keep)


class Dropout(Method):
    """Gao et al. 2021: two passes of one image differ by dropout."""

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Sequential(nn.Linear(trunk.embed_dim, 16), nn.Dropout(0.3))

    def forward(self, batch: PretrainBatch) -> StepOutput:
        embedding = self.trunk.embed(batch.views.images[0])
        first, second = (F.normalize(self.head(embedding).float(), dim=1) for _ in range(2))
        logits = first @ gather(second).T / 0.2
        places = own_rows(torch.arange(logits.shape[1]))
        return StepOutput(F.cross_entropy(logits, places))


class Queue(Method):
    """Contrast with the last keys, of which exactly one set is taken up by each step."""

    queue: Tensor

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("queue", F.normalize(torch.randn(12, trunk.embed_dim), dim=1))
        self.keys: list[Tensor] = []

    def forward(self, batch: PretrainBatch) -> StepOutput:
        embedding = [self.trunk.embed(view).float() for view in batch.views.images[:2]]
        query, key = (F.normalize(each, dim=1) for each in embedding)
        alike = (query * key.detach()).sum(1, keepdim=True)
        logits = torch.cat([alike, query @ self.queue.T.to(query.dtype)], dim=1) / 0.1
        if self.training:
            self.keys.append(gather(key.detach()))
        return StepOutput(F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)))

    def after_step(self, step: int, committed: bool) -> None:
        keys = self.keys.pop()
        if committed:
            self.queue = torch.cat([keys.to(self.queue.dtype), self.queue])[: len(self.queue)]


class VicReg(Method):
    """Bardes et al. 2022, equation 6: invariance, variance and covariance."""

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        self.trunk = trunk
        self.expander = mlp([trunk.embed_dim, 16, 16])

    def forward(self, batch: PretrainBatch) -> StepOutput:
        first, second = (self.expander(self.trunk.embed(v)).float() for v in batch.views.images)
        every = [gather(z) for z in (first, second)]
        spread = [F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() for z in every]
        off = [z.T.cov().fill_diagonal_(0).square().sum() / z.shape[1] for z in every]
        loss = 25 * F.mse_loss(first, second) + 25 * sum(spread) + sum(off)
        return StepOutput(loss, {"spread": spread[0].detach()})


class MaskedPixels(Method):
    """Xie et al. 2022: hide squares of the image, and draw them; needs a decoder."""

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        if trunk.decoder is None:
            raise ConfigError("masked pixels are drawn by a decoder; set `decoder`")
        self.trunk = trunk
        self.head = nn.Conv2d(trunk.decoder.out_channels, context.channels, 1)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        view = batch.views.images[0]
        hidden = (torch.rand(len(view), 1, 4, 4, device=view.device) < 0.6).to(view.dtype)
        mask = F.interpolate(hidden, view.shape[2:])
        drawn = self.head(self.trunk(view * (1 - mask)))
        loss = ((drawn.float() - view).abs() * mask).sum() / mask.sum().clamp(min=1)
        return StepOutput(loss.float())


class TokensConfig(MethodConfig):
    """Settings of a method that takes a vision transformer apart."""

    check_backbone: ClassVar[Mapping[str, Any]] = {
        "name": "timm",
        "model": "vit_tiny_patch16_224",
        "options": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
    }
    name: str = "made_up"


class MaskedTokens(Method):
    """He et al. 2022: only the tokens that are seen go through the transformer."""

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        self.trunk = trunk
        vit: Any = trunk.backbone.exported()
        if not hasattr(vit, "patch_embed"):
            raise ConfigError("tokens are masked: the backbone must be a vision transformer")
        self.count, width = vit.patch_embed.num_patches, vit.embed_dim
        self.unseen = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, self.count, width))
        self.decoder = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.1, batch_first=True)
        self.pixels = nn.Linear(width, 64 * context.channels)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        view = batch.views.images[0]
        vit: Any = self.trunk.backbone.exported()
        order = torch.rand(len(view), self.count, device=view.device).argsort(1)
        seen = order[:, : self.count // 4, None]
        tokens = vit.patch_embed(view) + vit.pos_embed[:, 1:]
        kept = tokens.gather(1, seen.expand(-1, -1, tokens.shape[2]))
        start = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(view), -1, -1)
        kept = vit.norm(vit.blocks(torch.cat([start, kept], 1)))[:, 1:]
        whole = self.unseen.to(kept.dtype).repeat(len(view), self.count, 1)
        whole = whole.scatter(1, seen.expand(-1, -1, kept.shape[2]), kept)
        drawn = self.pixels(self.decoder(whole + self.positions)).float()
        patches = F.unfold(view.float(), 8, stride=8).transpose(1, 2)
        return StepOutput((drawn - patches).square().mean())
