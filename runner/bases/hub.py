"""Takes a model from the Hugging Face hub: safetensors and texts only, through the hub's cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from dsl.errors import ModelError
from runner.bases.cache import Progress, explained, sha256

_WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
# Pickles can run code; the other folders hold the same weights in other forms.
_UNWANTED = ("*.bin", "*.pt", "*.pth", "*/*", "consolidated*")


def take(source: Mapping[str, str], folder: Path, offline: bool, progress: Progress) -> str:
    """Puts the repository's files into `folder`; returns the commit. Raises ModelError.

    The hub's own cache comes first: an interrupted download goes on there, and other programs
    share it. The files are linked where both caches lie on one disk, else copied.
    """
    if not offline:
        progress(f"getting {source['repository']} at {source['revision']}")
    from huggingface_hub import constants

    with explained(Path(constants.HF_HUB_CACHE), "HF_HOME"):
        snapshot = _snapshot(source, offline)
    for path in sorted(path for path in snapshot.iterdir() if path.is_file()):
        blob = path.resolve()
        _place(blob, folder / path.name)
        # the hub names a large file by its sha256
        if re.fullmatch(r"[0-9a-f]{64}", blob.name) and sha256(blob) != blob.name:
            raise ModelError(f"{blob} is damaged: its sha256 differs", "delete it and try again")
    return snapshot.name


def _place(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError:
        shutil.copyfile(blob, target)


def _snapshot(source: Mapping[str, str], offline: bool) -> Path:
    import httpx2
    from huggingface_hub import constants, errors, snapshot_download

    repository, revision = source["repository"], source["revision"]
    page = f"{constants.ENDPOINT}/{repository}"
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(_WANTED),
                ignore_patterns=list(_UNWANTED),
                local_files_only=offline,
            )
        )
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repository} asks everyone to accept its licence first",
            f"accept it at {page} and set HF_TOKEN to a token of that account",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repository} has no revision {revision}", f"see {page}") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model {repository}, or it is private",
            "check the spelling; for a private one set HF_TOKEN",
        ) from error
    except errors.HFValidationError as error:
        raise ModelError(f"{repository} is no name of a hub model: {error}") from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, httpx2.TransportError) as error:
        answer = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
        if isinstance(answer, errors.HfHubHTTPError):
            why = str(answer).partition("\n")[0]
            raise ModelError(f"the hub refused {repository}: {why}", "try again later") from error
        raise ModelError(
            f"{repository} at {revision} is not on this machine and the hub cannot be reached",
            "check the network; with --offline the model must have been fetched before",
        ) from error
