"""The training loop: steps, schedule, checkpoints, progress, and what happens when it goes wrong.

Everything a step draws or reads is a function of (seed, step), and the state between steps is
in the checkpoint; so a run that was killed and resumed ends with the bits of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import ConfigError, TrainingError
from ssl_registry.nn.distributed import alone, rank, world_size
from ssl_registry.nn.recomputation import recompute_blocks
from ssl_registry.nn.whole_batch_norm import normalize_over_processes
from ssl_registry.progress import Track
from ssl_registry.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ssl_registry.training.device import Execution
from ssl_registry.training.distributed import checkpoint_of_leader, dealt, images_per_forward
from ssl_registry.training.interruption import Interrupted, StopRequest
from ssl_registry.training.job import Job
from ssl_registry.training.length import steps_per_epoch as steps_per_epoch
from ssl_registry.training.length import total_steps as total_steps
from ssl_registry.training.loop_state import LoopState
from ssl_registry.training.monitoring import peak_memory
from ssl_registry.training.observers import Observers
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.processes import (
    agreed,
    any_process,
    leader_track,
    leads,
    raise_together,
)
from ssl_registry.training.randomness import seed_torch
from ssl_registry.training.resumption import ResumeWarning as ResumeWarning
from ssl_registry.training.resumption import deciding_facts, warn_of_changes
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.schedule import Schedule
from ssl_registry.training.stepper import Stepper
from ssl_registry.training.window import Windows

MAX_SKIPPED = 5
"""So many steps in a row with a non-finite loss or gradient end the run."""


class Loop:
    """Trains a job in a run folder.

    Of several processes each has one, and they take each step together. The leading one alone
    writes, measures and tells observers.
    """

    def __init__(
        self,
        job: Job,
        config: TrainingConfig,
        seed: int,
        run: RunFolder,
        execution: Execution,
        observers: Sequence[object] = (),
    ) -> None:
        self._job, self._config, self._seed = job, config, seed
        self._run, self._execution = run, execution
        self._observers = Observers(run.path, observers)
        self._leads = leads()
        images_per_forward(config.batch_size, config.accumulation)  # refuses an uneven deal
        self.steps_per_epoch = steps_per_epoch(job.images, config.batch_size)
        self.total_steps = total_steps(job.images, config)
        if world_size() > 1 and config.sync_batch_norm:
            normalize_over_processes(job.module)
        if config.checkpointing and not recompute_blocks(job.module):
            raise ConfigError(
                "training.checkpointing = true, but this network has no blocks (members of a "
                "Sequential or ModuleList with layers of their own) to compute again; set it to "
                "false"
            )
        execution.place(job.module)
        warmup = config.optimizer.warmup(self.steps_per_epoch)
        factor = config.optimizer.rate_factor(config.batch_size)
        schedule = Schedule(
            peak=factor * config.optimizer.learning_rate,
            final=factor * config.optimizer.final_learning_rate,
            warmup_steps=min(warmup, self.total_steps // 2),
            total_steps=self.total_steps,
        )
        self._optimizer = ScheduledOptimizer(job.module, config.optimizer, schedule)
        self._stepper = Stepper(job, self._optimizer, config.accumulation)
        self._stop = StopRequest()
        self._windows = Windows(
            job,
            self._optimizer,
            self._stepper,
            execution.device.type,
            self._begin,
            lambda: self._stop.requested,
        )
        self._state = LoopState()
        self._saved_at = self._counted_to = time.monotonic()

    def train(self, record: dict[str, Any], *, resume: bool) -> LoopState:
        """Train to the last step, from the newest checkpoint if `resume`.

        Args:
            record: The run's record; observers are told its `config`.
            resume: Whether to go on from a checkpoint.

        Raises:
            TrainingError: The loss or its gradient was non-finite several times in a row, or the
                job gave a reason to stop.
            Interrupted: Asked to stop; a checkpoint was written.
        """
        if resume:
            self._restore()
        self._stepper.join_processes(self._batch(min(self._state.step, self.total_steps - 1)))
        if self._leads:
            self._observers.started(record["config"])
            if self._state.step == 0:
                self._observers.pictures_made(0, self._job.pictures)
        done = self._state.step
        with self._stop, leader_track(self._job.title, self.total_steps, done) as bar:
            while self._state.step < self.total_steps:
                # Asked once: a signal that comes while this is saved waits for the next step.
                stopping = self._next_steps(bar)
                error = self._error()
                self._maybe_save(force=stopping or error is not None)
                if error is not None:
                    self._log_unfinished()
                    raise_together(error)
                if stopping:
                    raise_together(self._interrupted())
            if any_process(self._stop.requested):
                raise_together(self._interrupted())
        return self._state

    def finished(self, summary: dict[str, Any]) -> None:
        """Tell observers that the whole run, with its evaluation, ended well."""
        self._observers.finished(summary)

    def _error(self) -> TrainingError | None:
        """Why the run cannot go on, if so."""
        if self._job.stop_reason:
            return TrainingError(
                f"stopped after step {self._state.step} of {self.total_steps}: "
                f"{self._job.stop_reason} The log and a checkpoint are in {self._run.path}."
            )
        if self._state.skipped_in_a_row < MAX_SKIPPED:
            return None
        return TrainingError(
            f"{MAX_SKIPPED} steps in a row, up to step {self._state.step}, had a "
            "non-finite loss or gradient; those updates were left out and a checkpoint "
            f"is in {self._run.path}. Lower training.optimizer.learning_rate, or use "
            "training.precision = 'fp32'."
        )

    def _interrupted(self) -> Interrupted:
        return Interrupted(
            f"stopped after step {self._state.step} of {self.total_steps}; the "
            f"checkpoint is in {self._run.path}. Go on with --resume."
        )

    def _batch(self, step: int) -> NDArray[np.int64]:
        """The images of a step, over all processes."""
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._config.batch_size
        return self._job.order(self._seed, epoch)[place * size : (place + 1) * size]

    def _begin(self, step: int) -> NDArray[np.int64]:
        """Seed what a step draws, and say which images come after it; gives its own."""
        if step + 1 < self.total_steps:
            coming = self._batch(step + 1)
            self._job.prepare(dealt(coming, self._config.accumulation))
        seed_torch(self._seed, "step", step, rank())
        return self._batch(step)

    def _next_steps(self, bar: Track) -> bool:
        """Take a step or more, at most to the epoch's end; gives whether to stop then."""
        state, started = self._state, time.perf_counter()
        to_end = self.steps_per_epoch - state.step % self.steps_per_epoch
        most = min(to_end, self.total_steps - state.step) if self._config.checkpoint_seconds else 1
        steps = self._windows.take(state.step, most)
        seconds = (time.perf_counter() - started) / len(steps)
        speed = f"{self._config.batch_size / seconds:.0f} images/s"
        for step in steps:
            if step.committed:
                state.committed(step.loss, step.scalars)
            else:
                state.left_out()
            state.took(seconds)
            epoch = math.ceil(state.step / self.steps_per_epoch)
            bar.advance(note=f"epoch {epoch}, loss {step.loss:.4f}, {speed}")
        done = state.step == self.total_steps
        if done or state.step % self.steps_per_epoch == 0:
            self._end_epoch(done)
        if world_size() > 1:
            return any(step.stopping for step in steps)
        return self._stop.requested

    def _end_epoch(self, last: bool) -> None:
        with agreed(), alone():
            if self._leads:
                row = self._row()
                row.update(self._job.epoch_ended(row["epoch"], last))
                self._run.log(row)
                self._observers.epoch_ended(row["epoch"], row)
                self._observers.pictures_made(row["epoch"], self._job.pictures)
        self._state.start_epoch()

    def _log_unfinished(self) -> None:
        """Log the steps of the running epoch when the job ends the run."""
        if self._leads and self._job.stop_reason and self._state.epoch_losses:
            self._run.log(self._row())

    def _row(self) -> dict[str, Any]:
        """What a log says of the running epoch, so far."""
        state = self._state
        taken = max(len(state.epoch_losses), 1)
        return {
            "epoch": math.ceil(state.step / self.steps_per_epoch),
            "step": state.step,
            "loss": state.mean_loss(),
            "learning_rate": self._optimizer.set_step(state.step - 1),
            **state.means(),
            "skipped": state.skipped,
            "images_per_second": taken * self._config.batch_size / state.epoch_seconds,
        }

    def _maybe_save(self, *, force: bool) -> None:
        due = time.monotonic() - self._saved_at >= self._config.checkpoint_seconds
        if self._leads and (force or due or self._state.step == self.total_steps):
            self._save()

    def _save(self) -> None:
        now = time.monotonic()
        self._state.wall_seconds += now - self._counted_to
        self._state.peak_memory = max(self._state.peak_memory, peak_memory())
        self._counted_to = now
        state = {
            **asdict(self._state),
            **deciding_facts(self._execution),
            "job": dict(self._job.numbers()),
        }
        tensors = {
            "module": self._job.module.state_dict(),
            "optimizer": self._optimizer.tensors(),
            "job": self._job.tensors(),
        }
        save_checkpoint(self._run.checkpoints, self._state.step, Checkpoint(tensors, state))
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        with agreed():
            checkpoint = load_checkpoint(self._run.checkpoints) if self._leads else None
            if self._leads:
                self._run.cut_log(checkpoint.state["step"] if checkpoint else 0)
        checkpoint = checkpoint_of_leader(checkpoint)
        if checkpoint is None:
            return
        kept = dict(checkpoint.state)
        self._execution.go_on_with(kept["precision"], self._job.module)
        warn_of_changes(kept, deciding_facts(self._execution))
        self._job.module.load_state_dict(checkpoint.tensors["module"])
        self._optimizer.load_tensors(dict(checkpoint.tensors["optimizer"]))
        self._job.restore(checkpoint.tensors["job"], kept["job"])
        self._state = LoopState(**{name: kept[name] for name in asdict(self._state)})
