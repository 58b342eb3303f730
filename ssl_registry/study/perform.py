"""What a worker does: one run, and an answer that says how it ended."""

from __future__ import annotations

import errno
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.presets import KEY
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.errors import (
    DatasetNotFoundError,
    DeviceError,
    RunBusyError,
    UnreadableError,
    UserError,
)
from ssl_registry.kept import keep_loaded
from ssl_registry.progress import say

CALL = "ssl_registry.study.perform:perform"
"""What executors are given to call."""

DONE, FAILED, STOP, BUSY = "done", "failed", "stop", "busy"

_OF_THE_MACHINE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}
_FULL = "(os error 28)"
"""How libraries that are not written in Python report a full disk."""


def perform(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out a run, or finish one that was begun; see `payload_of` for what is passed.

    Returns:
        `status`: done; failed, by a mistake that would make every attempt fail alike; busy
        (another process works on it); or stop, for what would befall
        every other run as well, such as a full disk. Then `error`; `seconds` is what it took.

    Raises:
        Exception: Anything else went wrong. It may have been chance, and the worker may not be
            fit for other runs any more, as after a fault on a GPU.
    """
    started = time.monotonic()
    say(f"--- {payload['title']} ({payload['id']})", sys.stderr)
    try:
        _carry_out(payload)
    except RunBusyError as error:
        return {"status": BUSY, "error": str(error)}
    except Exception as error:  # a method or dataset is foreign, and may raise anything
        answer = answer_of(error)
        if answer is None:
            raise
        return answer
    return {"status": DONE, "seconds": time.monotonic() - started}


def _carry_out(payload: Mapping[str, Any]) -> None:
    from ssl_registry.training.finetune import run_finetuning
    from ssl_registry.training.pretrain import run_pretraining

    keep_loaded()
    config, folder = config_of(payload), Path(payload["folder"])
    if isinstance(config, PretrainConfig):
        run_pretraining(config, folder, resume=True)
    else:
        if payload["weights"]:
            config = config.model_copy(update={"weights": Path(payload["weights"])})
        run_finetuning(config, folder, resume=True)
    tidy(payload)


def config_of(payload: Mapping[str, Any]) -> PretrainConfig | FinetuneConfig:
    """The config of a run, with the names of the presets it was laid over."""
    presets = {KEY: tuple(payload["presets"])}
    table, title = payload["config"], payload["title"]
    if payload["kind"] == "pretrain":
        return validate(PretrainConfig, table, title).model_copy(update=presets)
    return validate(FinetuneConfig, table, title).model_copy(update=presets)


def tidy(payload: Mapping[str, Any]) -> None:
    """Remove what a finished run need not keep; done again it does nothing."""
    folder = Path(payload["folder"])
    unwanted = [] if payload["keep_checkpoints"] else [folder / "checkpoint"]
    if not payload["keep_weights"]:
        unwanted.append(folder / "weights")
    for path in unwanted:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def answer_of(error: Exception) -> dict[str, Any] | None:
    """What is answered for a run that raised `error`; None if that was not to be expected."""
    if _befalls_all(error):
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return {"status": STOP, "error": text}
    # The same config and data give the same mistake; anything else may have been chance.
    mistake = isinstance(error, UserError) and not any(map(_may_pass, _causes(error)))
    return {"status": FAILED, "error": str(error)} if mistake else None


def _befalls_all(error: BaseException) -> bool:
    """Whether other runs would fail alike: no room, no rights, no or broken data, no device."""
    return any(
        isinstance(cause, (DatasetNotFoundError, DeviceError, UnreadableError))
        or (isinstance(cause, OSError) and cause.errno in _OF_THE_MACHINE)
        or _FULL in str(cause)
        for cause in _causes(error)
    )


def _may_pass(error: BaseException) -> bool:
    """Whether it is a fault of a file system that another attempt may not meet, as on a network."""
    of_the_config = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
    return isinstance(error, OSError) and not isinstance(error, of_the_config)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
