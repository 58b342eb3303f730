"""Unsupervised representation learning by predicting image rotations (arXiv:1803.07728)."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ssl_registry import Method, MethodConfig, MethodContext, PretrainBatch, StepOutput, Trunk


class RotNet(Method):
    """Gidaris, Singh and Komodakis, ICLR 2018: tells by how many quarter turns a view is turned."""

    def __init__(self, trunk: Trunk, config: MethodConfig, context: MethodContext) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.embed_dim, 4)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        """Cross-entropy of the four-way classification, with all four turns of each first view."""
        view = batch.views.images[0]
        turned = torch.cat([view.rot90(turns, (2, 3)) for turns in range(4)])  # [4N, C, H, W]
        turns = torch.arange(4, device=view.device).repeat_interleave(len(view))
        embedding = self.trunk.embed(turned)
        logits = self.head(embedding).float()
        return StepOutput(cross_entropy(logits, turns), embeddings=embedding.detach())
