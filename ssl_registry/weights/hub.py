"""Exchange folders on the Hugging Face Hub, through `huggingface_hub`, the extra `hub`."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssl_registry.errors import WeightsError
from ssl_registry.files import new_folder
from ssl_registry.weights.card import CARD, TENSORS, Card, read_card
from ssl_registry.weights.check import check_folder
from ssl_registry.weights.importing import check_free
from ssl_registry.weights.tensors import file_digest

PAGES = (CARD, "README.md", "config.json")
"""What lies beside the weights; nothing else in a folder is uploaded or downloaded."""

FILES = (TENSORS, "model.onnx", "model.pt2", *PAGES)


def push(
    folder: Path, repository: str, *, private: bool = False, revision: str | None = None
) -> str:
    """Upload an exchange folder, after checking it.

    Args:
        folder: The folder; only the files of its layout are uploaded.
        repository: `OWNER/NAME` on the Hub; it is made if it is not there.
        private: Whether a new repository is private.
        revision: The branch; None: the main one.

    Returns:
        The address of the commit.

    Raises:
        WeightsError: The folder is damaged or states no licence, `huggingface_hub` is not
            installed, or the Hub cannot be reached or refuses.
    """
    hub = _hub()
    card = _check(folder, loads=True)
    if card.licence is None:
        raise WeightsError(
            f"{folder} states no licence, so nobody could use what is pushed; export it with one "
            "first: ssl-registry weights export --licence NAME"
        )
    with _told(f"push to {repository}"):
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        # In one commit, so that nobody finds new weights beside an old card.
        commit = api.create_commit(
            repository,
            operations=[
                hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name)
                for name in (card.file, *PAGES)
                if (folder / name).is_file()
            ],
            revision=revision,
            commit_message=f"{card.content} {card.architecture}".strip(),
        )
    return str(commit.commit_url)


def pull(repository: str, out: Path, *, revision: str | None = None) -> Card:
    """Download an exchange folder; it appears at `out` once it is found to be whole.

    Files in the Hub's local cache are not downloaded again, and offline only those are used.

    Args:
        repository: `OWNER/NAME` on the Hub.
        out: The new folder.
        revision: A branch, tag or commit; None: the main branch.

    Raises:
        WeightsError: `out` is there already, the repository cannot be had or holds no exchange
            folder, or a file differs from what the card says; nothing is written then.
    """
    check_free(out)
    hub = _hub()
    with _told(f"pull {repository}"):
        found = hub.snapshot_download(repository, revision=revision, allow_patterns=list(FILES))
    cached = Path(found)
    try:
        card = _check(cached, loads=False)
    except WeightsError as error:
        raise WeightsError(
            f"{repository} on the Hub holds no whole folder of weights, so nothing was written: "
            f"{error}"
        ) from error
    with new_folder(out) as temporary:
        for name in (card.file, *PAGES):
            if (cached / name).is_file():
                shutil.copyfile(cached / name, temporary / name)
        if file_digest(temporary / card.file) != card.sha256:
            raise WeightsError(f"{cached / card.file} was changed or damaged while it was copied")
    return card


def _check(folder: Path, *, loads: bool) -> Card:
    """Check an exchange folder; gives its card.

    Args:
        folder: The folder.
        loads: Whether its network must be one that can be built here.

    Raises:
        WeightsError: A file is missing, damaged, or not the one that the card describes.
    """
    for finding in check_folder(folder):
        if finding.state == "wrong" and (loads or finding.subject != "loads"):
            raise WeightsError(f"{folder}: {finding.subject}: {finding.detail}")
    return read_card(folder)


def _hub() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise WeightsError(
            "the Hugging Face Hub needs the package huggingface_hub; install it with the extra "
            "`hub`: pip install 'ssl-registry[hub]'"
        ) from error


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into one clear error."""
    errors = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise WeightsError(
            f"cannot {what}: the Hub cannot be reached (there is no connection, or HF_HUB_OFFLINE "
            "is set), and the local cache ($HF_HOME) holds no whole copy; try again with a "
            "connection, or copy the folder by other means"
        ) from error
    except errors.HfHubHTTPError as error:
        raise WeightsError(
            f"cannot {what}: the Hub refuses it: {_first_line(error)}. Check the name; for what "
            "is private, and to push, log in first: hf auth login"
        ) from error
    except Exception as error:
        # What the libraries beneath raise where the network fails is of many kinds.
        raise WeightsError(f"cannot {what}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
