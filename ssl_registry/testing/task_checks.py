"""What a fine-tuning task is held to."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ssl_registry.interfaces.task import SegmentationBatch, Task, TaskContext
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.segmentation import SegmentationNetwork, output_count
from ssl_registry.registry import Found
from ssl_registry.testing.check import Rule, listed, require
from ssl_registry.testing.images import blobs, discs
from ssl_registry.testing.networks import tiny_network
from ssl_registry.testing.subject import Subject
from ssl_registry.testing.tensors import (
    changed,
    require_gradients,
    require_loss,
    require_no_trace,
    require_optimised,
    restore,
    saved,
    state_of,
    train_step,
)

SIZE, COUNT = 32, 4
_ONE, _FOUR = ("lesion",), ("ventricle", "wall", "atrium", "valve")
_LEAST_OVERLAP = 0.7


class TaskBench(Subject):
    """A task under check, around the kit's own network."""

    def build(self, classes: tuple[str, ...] = _ONE, exclusive: bool = True) -> Task:
        """The task for masks of such classes."""
        torch.manual_seed(0)
        network = tiny_network(1, output_count(len(classes), exclusive))
        context = TaskContext(classes, exclusive, total_steps=8)
        task: Task = self.factory()(network=network, config=self.config(), context=context)
        return task.train()

    def batch(self, classes: int = 1, exclusive: bool = True, seed: int = 0) -> SegmentationBatch:
        """Images with masks of discs; where there are several classes, each in some image."""
        torch.manual_seed(1000 + seed)
        images, masks = blobs(COUNT, 1, SIZE), discs(COUNT, SIZE)
        if not exclusive:
            planes = [discs(COUNT, SIZE) for _ in range(classes)]
            return SegmentationBatch(images, torch.stack(planes, dim=1))
        numbers = 1 + torch.arange(COUNT) % classes
        return SegmentationBatch(images, masks * numbers[:, None, None].to(torch.uint8))

    def forward(self, task: Task, batch: SegmentationBatch) -> StepOutput:
        """One forward on labelled and unlabelled images; what it draws is always the same."""
        torch.manual_seed(2000)
        output: StepOutput = task(batch, blobs(COUNT, 1, SIZE))
        return output

    def train(self, task: Task, *steps: int) -> list[float]:
        """Train for some steps, each on another batch; gives their losses."""
        return [train_step(task, functools.partial(self._at, task, step), step) for step in steps]

    def _at(self, task: Task, step: int) -> StepOutput:
        return self.forward(task, self.batch(seed=step))


def subject(found: Found) -> TaskBench:
    """What the rules below take."""
    return TaskBench(found)


def _loss(bench: TaskBench) -> None:
    for classes in (_ONE, _FOUR):
        for exclusive in (True, False):
            task = bench.build(classes, exclusive)
            require(isinstance(task, Task), f"its factory gives a {type(task).__name__}")
            require_loss(bench.forward(task, bench.batch(len(classes), exclusive)))


def _gradients(bench: TaskBench) -> None:
    task = bench.build()
    task.before_step(0)
    require_optimised(task)
    output = bench.forward(task, bench.batch())
    require(output.loss.requires_grad, "the loss carries no gradient")
    output.loss.backward()  # type: ignore[no-untyped-call]
    require_gradients(task)


def _predictor(bench: TaskBench) -> None:
    task = bench.build(_FOUR)
    network = task.predictor
    fits = isinstance(network, SegmentationNetwork)
    require(fits, f"its predictor is a {type(network).__name__}, not a SegmentationNetwork")
    with torch.no_grad():
        logits = network(bench.batch().images)
    wanted = [COUNT, output_count(len(_FOUR), True), SIZE, SIZE]
    require(list(logits.shape) == wanted, f"its logits are {list(logits.shape)}, not {wanted}")


def _augment(bench: TaskBench) -> None:
    torch.manual_seed(3)
    masks, planes = discs(COUNT, SIZE), [discs(COUNT, SIZE) for _ in _FOUR]
    _require_moved_alike(bench.build(), masks)
    # Between 0 and 4 lie the numbers of other classes, which interpolation would make.
    _require_moved_alike(bench.build(_FOUR), masks * len(_FOUR))
    _require_moved_alike(bench.build(_FOUR, exclusive=False), torch.stack(planes, dim=1))


def _require_moved_alike(task: Task, masks: Tensor) -> None:
    """Fail unless images are moved as their masks are, and masks keep to their values."""
    before = sorted(set(masks.flatten().tolist()))
    # The image shows its own mask, so that both must move alike.
    shown = _any(masks)[:, None].float()
    moved = task.augment(SegmentationBatch(0.2 + 0.6 * shown, masks))
    low, high = float(moved.images.min()), float(moved.images.max())
    require(low >= 0 and high <= 1, f"augmented images lie in {low:.2f} to {high:.2f}, not [0, 1]")
    same = moved.masks.dtype == masks.dtype and moved.masks.shape == masks.shape
    require(same, f"augmented masks are {moved.masks.dtype} {list(moved.masks.shape)}")
    values = sorted(set(moved.masks.flatten().tolist()))
    require(set(values) <= set(before), f"augmented masks hold {values}, before it was {before}")
    bright = moved.images[:, 0] > moved.images.amax(dim=(1, 2, 3))[:, None, None] * 0.6
    inside = _any(moved.masks)
    overlap = int((bright & inside).sum()) / max(1, int((bright | inside).sum()))
    require(overlap >= _LEAST_OVERLAP, f"images and masks overlap by {overlap:.0%} afterwards")


def _any(masks: Tensor) -> Tensor:
    """Where any class is, bool `[N, H, W]`."""
    return masks.bool() if masks.ndim == 3 else masks.bool().any(dim=1)


def _save_and_load(bench: TaskBench) -> None:
    trained, loaded = bench.build(), bench.build()
    bench.train(trained, 0, 1)
    restore(loaded, saved(trained))
    losses = [bench.train(task, 2, 3) for task in (trained, loaded)]
    require(
        losses[0] == losses[1],
        f"two steps after loading the losses are {losses[1]}, without saving {losses[0]}",
    )


def _evaluation(bench: TaskBench) -> None:
    task = bench.build()
    bench.train(task, 0)
    task.eval()
    before = state_of(task)
    with torch.no_grad():
        require_loss(bench.forward(task, bench.batch(seed=5)))
    moved = changed(before, state_of(task))
    require(not moved, f"a forward in eval mode changes {listed(moved)}")


def _skipped_step(bench: TaskBench) -> None:
    task = bench.build()
    bench.train(task, 0)
    require_no_trace(task, lambda: bench.forward(task, bench.batch(seed=1)))


def _bf16(bench: TaskBench) -> None:
    task = bench.build()
    with torch.autocast("cpu", torch.bfloat16):
        output = bench.forward(task, bench.batch())
    require_loss(output)


RULES: tuple[Rule[TaskBench], ...] = (
    Rule(
        "loss",
        "The loss is finite, a scalar and fp32, for 1 and 4 classes, exclusive or overlapping.",
        "Handle masks [N, H, W] of class numbers and [N, K, H, W] of planes.",
        _loss,
    ),
    Rule(
        "gradients",
        "Every trained parameter gets a finite gradient.",
        "Set requires_grad_(False) on a teacher, and name the rest in parameter_groups() once.",
        _gradients,
    ),
    Rule(
        "predictor",
        "Its predictor is a segmentation network with an output for each class.",
        "Return the network that was given, or a copy of it (a teacher), from `predictor`.",
        _predictor,
    ),
    Rule(
        "augment",
        "Its augmentation moves images and masks alike, and makes no new mask values.",
        "Move masks with the draws of their images, by nearest neighbour.",
        _augment,
    ),
    Rule(
        "save_and_load",
        "A task that was saved and loaded goes on exactly as it would have.",
        "Keep what training depends on (a teacher, counters) in buffers or parameters.",
        _save_and_load,
    ),
    Rule(
        "evaluation",
        "A forward in eval mode changes no state.",
        "Move a teacher in after_step, not in forward.",
        _evaluation,
    ),
    Rule(
        "skipped_step",
        "A step that was not committed changes no teacher and no counter.",
        "Return early from after_step unless `committed`.",
        _skipped_step,
    ),
    Rule(
        "bf16",
        "Under bf16 autocast the loss is finite and fp32.",
        "Compute the loss under torch.autocast(device, enabled=False), from .float() logits.",
        _bf16,
    ),
)
