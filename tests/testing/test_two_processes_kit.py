"""The check that two processes train as one, on methods that lie in a file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ssl_registry import Component, PluginRecord
from ssl_registry.registry import Found
from ssl_registry.testing import Check, CheckFailure
from ssl_registry.testing.collect import checks_of_component

METHODS = '''
import torch

from ssl_registry import ConfigError, Method, StepOutput
from ssl_registry.nn import gather, world_size


class Spread(Method):
    """Makes the embeddings of a batch orthogonal, and remembers their mean."""

    def __init__(self, trunk, config, context):
        super().__init__()
        self.trunk = trunk
        self.register_buffer("centre", torch.zeros(trunk.embed_dim))

    def whole(self, rows):
        return gather(rows)

    def remembered(self, rows):
        return gather(rows.detach())

    def forward(self, batch):
        own = self.trunk.embed(batch.views.images[0])
        self.pending = self.remembered(own).mean(dim=0).float()
        return StepOutput((own @ self.whole(own).T).square().mean())

    def after_step(self, step, committed):
        self.centre.copy_(self.pending)


class ComparesItsOwn(Spread):
    def whole(self, rows):
        return rows


class GathersWithoutGradient(Spread):
    def whole(self, rows):
        return gather(rows.detach()) if world_size() > 1 else rows


class RemembersItsOwn(Spread):
    def remembered(self, rows):
        return rows.detach()


class Masked(Spread):
    """Draws for each image: what two processes draw is not what one does."""

    def forward(self, batch):
        noise = torch.rand(len(batch.sample_id), 1)
        own = self.trunk.embed(batch.views.images[0]) * noise
        self.pending = self.remembered(own).mean(dim=0).float()
        return StepOutput(own.square().mean())


class MaskedRemembersItsOwn(Masked):
    def remembered(self, rows):
        return rows.detach()


class Noisy(Spread):
    """Draws a little noise for each image, beside a loss that compares all of them."""

    def forward(self, batch):
        own = self.trunk.embed(batch.views.images[0])
        own = own + 1e-3 * torch.randn_like(own)
        self.pending = self.remembered(own).mean(dim=0).float()
        return StepOutput((own @ self.whole(own).T).square().mean())


class NoisyComparesItsOwn(Noisy):
    def whole(self, rows):
        return rows


class Contrast(Spread):
    """SimCLR with noise of 1e-3 that contrasts each process's images alone."""

    def forward(self, batch):
        views = [self.trunk.embed(view) for view in batch.views.images[:2]]
        one, two = (torch.nn.functional.normalize(view, dim=1) for view in views)
        one = one + 1e-3 * torch.randn_like(one)
        self.pending = torch.zeros(())
        places = torch.arange(len(one))
        return StepOutput(torch.nn.functional.cross_entropy((one @ two.T).float() / 0.2, places))


class Single(Spread):
    """Has a head that is told to take fp32, which a method in float64 could not do."""

    def __init__(self, trunk, config, context):
        super().__init__(trunk, config, context)
        self.head = torch.nn.Linear(trunk.embed_dim, 8)

    def forward(self, batch):
        own = self.head(self.trunk.embed(batch.views.images[0]).float())
        self.pending = torch.zeros(())
        return StepOutput((own @ self.whole(own).T).square().mean())


class SingleComparesItsOwn(Single):
    def whole(self, rows):
        return rows


class Refuses(Spread):
    def __init__(self, trunk, config, context):
        super().__init__(trunk, config, context)
        if context.world_size > 1:
            raise ConfigError("one process only")
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that new processes can import, too."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"made_up_methods_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(METHODS)
    return name


def two_processes(module: str, method: str) -> Check:
    component = Component("method", "made_up", f"{module}:{method}")
    plugin = PluginRecord("made_up", module, "made-up", "1.0", "ok", components=(component,))
    (check,) = (
        check
        for check in checks_of_component(Found(component, plugin))
        if check.name == "two_processes"
    )
    return check


@pytest.mark.parametrize("method", ["Spread", "Masked", "Noisy", "Single"])
def test_a_method_that_gathers_passes(module: str, method: str) -> None:
    two_processes(module, method)()
    assert module in sys.modules


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("ComparesItsOwn", "the gradient of trunk.backbone"),
        ("GathersWithoutGradient", "the gradient of trunk.backbone"),
        ("RemembersItsOwn", "the state of centre"),
        ("MaskedRemembersItsOwn", "the state of centre is not the same in both"),
        ("NoisyComparesItsOwn", "the gradient of trunk.backbone"),
        ("Contrast", "the gradient of trunk.backbone"),
        ("SingleComparesItsOwn", "the gradient of head.bias, head.weight, trunk.backbone"),
        ("Refuses", "building it raised ConfigError: one process only"),
    ],
)
def test_a_method_that_does_not_is_caught(module: str, method: str, told: str) -> None:
    with pytest.raises(CheckFailure) as failure:
        two_processes(module, method)()
    assert "in two processes " in str(failure.value)
    assert told in str(failure.value)
