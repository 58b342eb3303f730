"""What a self-supervised method is held to."""

from __future__ import annotations

import torch

from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.method import Method
from ssl_registry.registry import Found
from ssl_registry.testing.check import Rule, SubjectFailure, listed, require
from ssl_registry.testing.method_bench import MethodBench
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
from ssl_registry.testing.two_processes import require_same_training


def subject(found: Found) -> MethodBench:
    """What the rules below take."""
    return MethodBench(found)


def _loss(bench: MethodBench) -> None:
    for channels in (1, 3):
        method = bench.build(channels=channels)
        require(isinstance(method, Method), f"its factory gives a {type(method).__name__}")
        require_loss(bench.forward(method, bench.batch(channels=channels)))


def _batch_of_two(bench: MethodBench) -> None:
    try:
        method = bench.build(count=2)
    except SubjectFailure as failure:
        if isinstance(failure.__cause__, ConfigError):  # refused before anything is trained
            return
        raise
    require_loss(bench.forward(method, bench.batch(count=2)))


def _gradients(bench: MethodBench) -> None:
    method = bench.build()
    require_optimised(method)
    output = bench.forward(method, bench.batch())
    require(output.loss.requires_grad, "the loss carries no gradient")
    output.loss.backward()  # type: ignore[no-untyped-call]
    require_gradients(method)
    first = next(method.get_submodule("trunk.backbone").parameters(), None)
    reached = first is not None and first.grad is not None and bool(first.grad.any())
    require(reached, "the gradient at the start of the backbone is zero")


def _seed(bench: MethodBench) -> None:
    losses = [
        [train_step(method, lambda m=method: bench.forward(m, bench.batch()), 0)]  # type: ignore[misc]
        for method in (bench.build(), bench.build())
    ]
    require(losses[0] == losses[1], f"the same seed gives {losses[0][0]} and {losses[1][0]}")


def _save_and_load(bench: MethodBench) -> None:
    trained, loaded = bench.build(), bench.build(seed=1)
    bench.train(trained, range(2))
    restore(loaded, saved(trained))
    # Two steps: what is kept outside the state may show only after an update.
    losses = [bench.train(method, range(2, 4)) for method in (trained, loaded)]
    require(
        losses[0] == losses[1],
        f"two steps after loading the losses are {losses[1]}, without saving {losses[0]}",
    )


def _evaluation(bench: MethodBench) -> None:
    plain, evaluated = bench.build(), bench.build()
    for method in (plain, evaluated):
        method.before_step(0)
        bench.forward(method, bench.batch())
    evaluated.eval()
    before = state_of(evaluated)
    with torch.no_grad():
        require_loss(bench.forward(evaluated, bench.batch(seed=9, held_out=True)))
    moved = changed(before, state_of(evaluated))
    require(not moved, f"a forward in eval mode changes {listed(moved)}")
    for method in (plain, evaluated):
        method.train()
        method.after_step(0, True)
    moved = changed(plain.state_dict(), evaluated.state_dict())
    require(not moved, f"after_step acts upon a forward in eval mode: {listed(moved)} differ")


def _skipped_step(bench: MethodBench) -> None:
    method = bench.build()
    bench.train(method, range(1))
    require_no_trace(method, lambda: bench.forward(method, bench.batch(seed=1)))


def _bf16(bench: MethodBench) -> None:
    method = bench.build()
    with torch.autocast("cpu", torch.bfloat16):
        output = bench.forward(method, bench.batch())
    require_loss(output)
    output.loss.backward()  # type: ignore[no-untyped-call]
    require_gradients(method)


RULES: tuple[Rule[MethodBench], ...] = (
    Rule(
        "loss",
        "The loss is finite, a scalar and fp32, for images of 1 and of 3 channels.",
        "Return StepOutput(loss, scalars) with the mean over the batch, in fp32.",
        _loss,
    ),
    Rule(
        "batch_of_two",
        "A batch of two images is trained on, or refused when the method is built.",
        "Raise a ConfigError in __init__ if MethodContext.batch_size is too small.",
        _batch_of_two,
    ),
    Rule(
        "gradients",
        "Every trained parameter gets a finite gradient, the backbone's first one not zero.",
        "Set requires_grad_(False) on what is not trained (a teacher, a queue), and name the "
        "rest in parameter_groups() once each; data-parallel training waits for every gradient.",
        _gradients,
    ),
    Rule(
        "same_seed",
        "The same seed gives the same loss, bit for bit.",
        "Draw from torch's global generator only, and keep no state outside the method.",
        _seed,
    ),
    Rule(
        "save_and_load",
        "A method that was saved and loaded goes on exactly as it would have.",
        "Keep what training depends on (queue, teacher, counters) in buffers or parameters.",
        _save_and_load,
    ),
    Rule(
        "evaluation",
        "A forward in eval mode changes no state, nor what after_step acts upon.",
        "Remember keys, centres and counters only `if self.training`.",
        _evaluation,
    ),
    Rule(
        "skipped_step",
        "A step that was not committed changes no teacher, queue or counter.",
        "Return early from after_step unless `committed`.",
        _skipped_step,
    ),
    Rule(
        "bf16",
        "Under bf16 autocast the loss is fp32, and gradients are finite.",
        "Compute the loss under torch.autocast(device, enabled=False), from .float() outputs.",
        _bf16,
    ),
    Rule(
        "two_processes",
        "Two processes that share a batch have the gradients and the state of one.",
        "Gather what is compared or remembered, and share what is drawn for the whole batch "
        "(gather, own_rows and shared of ssl_registry.nn).",
        require_same_training,
    ),
)
