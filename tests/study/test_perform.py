"""What is answered for a run that raised: a mistake, a fault of the machine, or perhaps chance."""

from __future__ import annotations

import errno

import pytest

from ssl_registry.errors import ConfigError, RunError, UnreadableError, UserError
from ssl_registry.study.perform import FAILED, STOP, answer_of


def raised(error: UserError, cause: OSError | None) -> Exception:
    """An error as the library raises it over one of the system's."""
    try:
        raise error from cause
    except UserError as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "cause", "status"),
    [
        (ConfigError("batch too large"), None, FAILED),
        (ConfigError("no such weights"), FileNotFoundError(errno.ENOENT, "gone"), FAILED),
        (RunError("cannot write"), OSError(errno.ENOSPC, "no space left"), STOP),
        (UnreadableError("broken"), None, STOP),
        (RunError("cannot write"), OSError(errno.ESTALE, "stale file handle"), None),
        (RunError("cannot read"), OSError(errno.ETIMEDOUT, "timed out"), None),
        (RunError("cannot write"), OSError(errno.EMFILE, "too many open files"), None),
    ],
)
def test_only_what_another_attempt_may_not_meet_is_tried_again(
    error: UserError, cause: OSError | None, status: str | None
) -> None:
    answer = answer_of(raised(error, cause))
    assert (answer["status"] if answer else None) == status
