"""The observer that writes event files."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_registry import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes what a run logs as event files that TensorBoard shows.

    Scalars are those of `log.jsonl`, by epoch: `training/loss`, `validation/dice/lesion` and so
    on, and the test scores after the last one. `config` and `summary` are texts. Pictures are
    those that observers are shown. A resumed run hides what its folder already holds of the
    epochs that it repeats; one that had only its evaluation left hides nothing.

    Args:
        folder: Where the event files lie; default: `tensorboard` in the run's folder.

    Raises:
        UserError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError("tensorboard is not installed: pip install 'ssl-registry[tensorboard]'")
        self._folder = None if folder is None else Path(folder)
        self._config: Mapping[str, Any] = {}
        self._writer: SummaryWriter | None = None

    def run_started(self, config: Mapping[str, Any]) -> None:
        """Note the config; the files are opened once it is known from which epoch on."""
        self.close()
        self._config = config

    def epoch_ended(self, run: Path, epoch: int, row: Mapping[str, Any]) -> None:
        """Write the numbers of an epoch."""
        writer = self._opened(run, epoch)
        for name, value in row.items():
            if name not in ("epoch", "step") and isinstance(value, int | float):
                tag = name if "/" in name else f"training/{name}"
                writer.add_scalar(tag, value, epoch)
        writer.flush()

    def pictures_made(
        self, run: Path, epoch: int, pictures: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        """Write pictures, RGB `[H, W, 3]`."""
        writer = self._opened(run, epoch)
        for name, pixels in pictures.items():
            writer.add_image(name, pixels, epoch, dataformats="HWC")
        writer.flush()

    def run_finished(self, run: Path, summary: Mapping[str, Any]) -> None:
        """Write the summary and the test scores, and close the files."""
        epoch = math.ceil(summary.get("epochs", 0))
        writer = self._opened(run, None)
        writer.add_text("summary", _as_code(summary), epoch)
        for name, value in summary.get("test", {}).items():
            if value is not None:
                writer.add_scalar(f"test/{name}", value, epoch)
        self.close()

    def close(self) -> None:
        """Close the event files, if they are open."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _opened(self, run: Path, epoch: int | None) -> SummaryWriter:
        """The writer; opened where the first thing is written.

        Where that is of an epoch, what an earlier part of the run wrote from it on is hidden.
        """
        if self._writer is None:
            # Late: torch's writer imports tensorboard, and that takes a second.
            from torch.utils.tensorboard import SummaryWriter

            folder = self._folder or run / "tensorboard"
            before = folder.is_dir() and any(folder.iterdir())
            self._writer = SummaryWriter(str(folder), purge_step=epoch if before else None)
            self._writer.add_text("config", _as_code(self._config))
        return self._writer


def _as_code(facts: Mapping[str, Any]) -> str:
    """A table as indented JSON, which markdown shows as it is."""
    import json  # late: this module is imported whenever plugins are listed

    text = json.dumps(facts, indent=2, default=str)
    return "\n".join("    " + line for line in text.splitlines())
