"""The training loop: steps, schedule, checkpoints, progress, and what happens when it goes wrong.

Everything a step draws or reads is a function of (seed, step), and the state between steps is
in the checkpoint; so a run that was killed and resumed ends with the bits of one that was not.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import asdict
from typing import Any

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DataError, TrainingError
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.progress import Track, track
from ssl_registry.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ssl_registry.training.device import Execution
from ssl_registry.training.interruption import Interrupted, StopRequest
from ssl_registry.training.job import Job
from ssl_registry.training.loop_state import LoopState
from ssl_registry.training.monitoring import peak_memory, scalars_of
from ssl_registry.training.observers import Observers
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.randomness import seed_torch
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.running import RunningStatistics
from ssl_registry.training.schedule import Schedule

MAX_SKIPPED = 5
"""So many steps in a row with a non-finite loss or gradient end the run."""


class ResumeWarning(UserWarning):
    """A resumed run computes otherwise than before, so its bits will differ."""


class Loop:
    """Trains a job in a run folder."""

    def __init__(
        self, job: Job, config: TrainingConfig, seed: int, run: RunFolder, execution: Execution
    ) -> None:
        self._job, self._config, self._seed = job, config, seed
        self._run, self._execution = run, execution
        self._observers = Observers(run.path)
        self.steps_per_epoch = steps_per_epoch(job.images, config.batch_size)
        self.total_steps = total_steps(job.images, config)
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
        self._statistics = RunningStatistics(job.module)
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
        self._observers.started(record["config"])
        title, unit = self._job.title, "step"
        with (
            StopRequest() as stop,
            track(title, self.total_steps, done=self._state.step, unit=unit) as bar,
        ):
            while self._state.step < self.total_steps:
                self._one_step(bar)
                done = self._state.step == self.total_steps
                if done or self._state.step % self.steps_per_epoch == 0:
                    self._end_epoch(done)
                error = self._error()
                # Asked once: a signal that comes while this is saved waits for the next step.
                stopping = stop.requested
                self._maybe_save(force=stopping or error is not None)
                if error is not None:
                    self._log_unfinished()
                    raise error
                if stopping:
                    raise self._interrupted()
            if stop.requested:
                raise self._interrupted()
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

    def _one_step(self, bar: Track) -> None:
        state, started = self._state, time.perf_counter()
        epoch, place = divmod(state.step, self.steps_per_epoch)
        order = self._job.order(self._seed, epoch)
        size = self._config.batch_size
        seed_torch(self._seed, "step", state.step)
        self._optimizer.set_step(state.step)
        self._job.module.train()
        self._job.module.before_step(state.step)
        self._statistics.keep()
        output = self._job.step(order[place * size : (place + 1) * size])
        loss = output.loss.item()
        norm = self._update(output) if math.isfinite(loss) else math.nan
        committed = math.isfinite(norm)
        if committed:
            scalars = {**scalars_of(output), "gradient_norm": norm}
            state.committed(loss, scalars)
            self._job.stepped(scalars)
        else:
            self._statistics.put_back()
            state.left_out()
        self._job.module.after_step(state.step, committed)
        seconds = time.perf_counter() - started
        state.took(seconds)
        bar.advance(note=f"epoch {epoch + 1}, loss {loss:.4f}, {size / seconds:.0f} images/s")

    def _update(self, output: StepOutput) -> float:
        """Move the weights, unless a gradient is non-finite; gives the norm of all gradients."""
        optimizer = self._optimizer.optimizer
        optimizer.zero_grad(set_to_none=True)
        output.loss.backward()  # type: ignore[no-untyped-call]
        norm = self._optimizer.gradient_norm()
        if math.isfinite(norm):
            optimizer.step()
        return norm

    def _end_epoch(self, last: bool) -> None:
        row = self._row()
        row.update(self._job.epoch_ended(row["epoch"], last))
        self._run.log(row)
        self._observers.epoch_ended(row["epoch"], row)
        self._state.start_epoch()

    def _log_unfinished(self) -> None:
        """Log the steps of the running epoch when the job ends the run."""
        if self._job.stop_reason and self._state.epoch_losses:
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
        if force or due or self._state.step == self.total_steps:
            self._save()

    def _save(self) -> None:
        execution, now = self._execution, time.monotonic()
        self._state.wall_seconds += now - self._counted_to
        self._state.peak_memory = max(self._state.peak_memory, peak_memory())
        self._counted_to = now
        state = {
            **asdict(self._state),
            "threads": execution.threads,
            "precision": execution.precision,
            "device": execution.device.type,
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
        checkpoint = load_checkpoint(self._run.checkpoints)
        if checkpoint is None:
            self._run.cut_log(0)
            return
        kept = dict(checkpoint.state)
        self._say_what_changed(kept)
        self._job.module.load_state_dict(checkpoint.tensors["module"])
        self._optimizer.load_tensors(dict(checkpoint.tensors["optimizer"]))
        self._job.restore(checkpoint.tensors["job"], kept["job"])
        self._state = LoopState(**{name: kept[name] for name in asdict(self._state)})
        self._run.cut_log(self._state.step)

    def _say_what_changed(self, kept: dict[str, Any]) -> None:
        execution = self._execution
        now = {
            "threads": execution.threads,
            "precision": execution.precision,
            "device": execution.device.type,
        }
        changed = [f"{key} {kept[key]} -> {now[key]}" for key in now if kept[key] != now[key]]
        if changed:
            warnings.warn(
                f"resumed with {', '.join(changed)}: the result will not equal bit for bit that "
                "of the uninterrupted run; set training.threads, training.precision and "
                "training.device as before if it must",
                ResumeWarning,
                stacklevel=2,
            )


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch; the rest is left out, so that BatchNorm never sees one image.

    Raises:
        DataError: There are fewer images than one batch.
    """
    if images < batch_size:
        raise DataError(
            f"the batch of {batch_size} is larger than the set of {images} images; "
            f"set training.batch_size to {images} or less"
        )
    return images // batch_size


def total_steps(images: int, config: TrainingConfig) -> int:
    """Steps of the whole run."""
    return config.total_steps(steps_per_epoch(images, config.batch_size))
