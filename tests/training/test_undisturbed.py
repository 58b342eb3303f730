"""Measuring leaves no trace, whatever the measured module does meanwhile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_registry.training.undisturbed import undisturbed


class Restless(nn.Module):
    """Changes its buffers in place, by assignment, and from nothing, in eval mode too."""

    place: Tensor
    queue: Tensor
    late: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("place", torch.zeros(1))
        self.register_buffer("queue", torch.arange(4.0))
        self.register_buffer("late", None)

    def forward(self, batch: Tensor) -> Tensor:
        self.place += 1
        self.queue = torch.cat([self.queue, batch[:, 0]])
        self.late = torch.ones(2)
        found: Tensor = self.norm(batch) + torch.rand(1)
        return found


def test_buffers_modes_and_draws_are_as_before() -> None:
    module = Restless()
    module.norm.eval()
    queue, before = module.queue, {k: v.clone() for k, v in module.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with undisturbed(module):
        assert not module.training
        assert not module(torch.randn(5, 3)).requires_grad
    assert torch.equal(torch.rand(3), expected)
    assert (module.training, module.norm.training) == (True, False)
    assert module.late is None
    assert module.queue is queue
    after = module.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
