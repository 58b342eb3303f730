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
from ssl_registry.weights.importing import check_free
from ssl_registry.weights.read import read_weights
from ssl_registry.weights.tensors import content_digest, file_digest

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
    card = check_whole(folder)
    if card.licence is None:
        raise WeightsError(
            f"{folder} states no licence, so nobody could use what is pushed; export it with one "
            "first: ssl-registry weights export --licence NAME"
        )
    with _told(f"push to {repository}"):
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[card.file, *PAGES],
            revision=revision,
            commit_message=f"{card.content} {card.architecture}".strip(),
        )
    return str(getattr(commit, "commit_url", commit))


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
        card = check_whole(cached)
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


def check_whole(folder: Path) -> Card:
    """Check both digests of an exchange folder; gives its card.

    Raises:
        WeightsError: A file is missing, damaged, or not the one that the card describes.
    """
    card = read_card(folder)
    if card.target is not None:
        # Laid out for another library: it can be compared as a file only.
        if file_digest(folder / card.file) != card.sha256:
            raise WeightsError(f"{folder / card.file} is not the file its card describes")
        return card
    weights = read_weights(folder)
    if card.digest and content_digest(weights.tensors) != card.digest:
        raise WeightsError(f"the tensors in {folder / TENSORS} are not those its card describes")
    return card


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
    hub = _hub()
    try:
        yield
    except (hub.errors.LocalEntryNotFoundError, hub.errors.OfflineModeIsEnabled) as error:
        raise WeightsError(
            f"cannot {what}: the Hub cannot be reached (there is no connection, or HF_HUB_OFFLINE "
            "is set), and the local cache ($HF_HOME) holds no whole copy; try again with a "
            "connection, or copy the folder by other means"
        ) from error
    except hub.errors.HfHubHTTPError as error:
        raise WeightsError(
            f"cannot {what}: the Hub refuses it: {_first_line(error)}. Check the name; for what "
            "is private, and to push, log in first: hf auth login"
        ) from error
    except Exception as error:
        # What the libraries beneath raise where the network fails is of many kinds.
        raise WeightsError(f"cannot {what}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
