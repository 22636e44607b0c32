"""A dataset of the Hugging Face hub as one Parquet file of the cache, kept by its commit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from dsl.errors import DataError
from runner.bases import cache

COMMIT = re.compile(r"[0-9a-f]{40}")
LATEST = "commit"
TOKENS = ("hf_", "api_org_")  # what the hub writes in front of every one


def fetch(
    dataset: str,
    config: str | None,
    split: str,
    revision: str | None,
    token_env: str | None = None,
) -> tuple[Path, str]:
    """The rows of a split, and the commit they are of. Raises DataError.

    A folder laid out as a dataset stands for one of the hub; its commit is the hash of its files.
    `token_env` names the environment variable of the token. What was fetched serves offline: the
    commit that a branch had when it was last seen. No code of a dataset is run.
    """
    token = _token(token_env)
    folder = _folder(dataset, config, split, revision)
    local = Path(dataset).is_dir()
    commit = _hash(Path(dataset)) if local else _commit(dataset, revision, token, folder)
    path = folder / f"{commit}.parquet"
    if path.is_file():
        return path, commit
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "rows.parquet"
            _load(dataset, config, split, None if local else commit, token, made)
            made.replace(path)
            latest = Path(scratch) / LATEST
            latest.write_text(commit, "utf-8")
            latest.replace(folder / LATEST)
    except OSError as error:
        raise DataError(
            f"{dataset}: cannot be kept in {folder}: {error.strerror or error}",
            "make room, or set RECIPE_CACHE to a folder of another disk",
        ) from error
    return path, commit


def kept(dataset: str, config: str | None, split: str, revision: str | None) -> Path | None:
    """The rows as they were last fetched, None where they never were. Asks nobody."""
    folder = _folder(dataset, config, split, revision)
    latest = folder / LATEST
    path = folder / f"{latest.read_text('utf-8') if latest.is_file() else ''}.parquet"
    return path if path.is_file() else None


def _folder(dataset: str, config: str | None, split: str, revision: str | None) -> Path:
    wanted = json.dumps([dataset, config, split, revision])
    return cache.root() / "datasets" / hashlib.sha256(wanted.encode()).hexdigest()[:32]


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable)
    if not token:
        raise DataError(f"the environment variable {variable} holds no token", "set it first")
    if not token.startswith(TOKENS):
        # a recipe of a stranger may name any variable: other secrets stay on the machine
        raise DataError(
            f"what the environment variable {variable} holds is no token of the hub",
            f"those begin with {' or '.join(TOKENS)}",
        )
    return token


def _hash(folder: Path) -> str:
    """Of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{cache.sha256(path)}\0".encode())
    return digest.hexdigest()[:40]


def _commit(dataset: str, revision: str | None, token: str | None, folder: Path) -> str:
    """The commit that `revision` is now; where the hub cannot be reached, was when last seen."""
    if revision and COMMIT.fullmatch(revision):
        return revision
    import httpx2
    from huggingface_hub import HfApi, errors

    page = f"https://huggingface.co/datasets/{dataset}"
    try:
        commit = HfApi(token=token).dataset_info(dataset, revision=revision).sha
    except errors.GatedRepoError as error:
        raise DataError(
            f"{dataset} asks everyone to accept its terms first",
            f"accept them at {page} and name the token of that account",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DataError(f"{dataset} has no revision {revision}", f"see {page}") from error
    except errors.RepositoryNotFoundError as error:
        raise DataError(
            f"the hub has no dataset {dataset}, or it is private",
            "check the spelling; a private one needs a token",
        ) from error
    except errors.HFValidationError as error:
        raise DataError(f"{dataset} is no name of a hub dataset: {error}") from error
    except errors.HfHubHTTPError as error:
        why = str(error).partition("\n")[0]
        raise DataError(f"the hub refused {dataset}: {why}", "try again later") from error
    except (errors.OfflineModeIsEnabled, httpx2.TransportError) as error:
        seen = folder / LATEST
        if seen.is_file():
            return seen.read_text("utf-8")
        raise _unreachable(dataset) from error
    if commit is None:
        raise DataError(f"the hub names no commit of {dataset}", "name a revision")
    return str(commit)


def _load(
    dataset: str, config: str | None, split: str, commit: str | None, token: str | None, made: Path
) -> None:
    """Writes the split as Parquet."""
    import datasets

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    # its own copy of the rows is not kept: ours is; downloads stay in the hub's cache
    prepared = made.parent / "prepared"
    try:
        datasets.load_dataset(
            dataset, config, split=split, revision=commit, token=token, cache_dir=str(prepared)
        ).to_parquet(str(made))
    except ConnectionError as error:
        raise _unreachable(dataset) from error
    except (
        ValueError,
        RuntimeError,
        FileNotFoundError,
        datasets.exceptions.DatasetsError,
    ) as error:
        # "Unknown split ...", "BuilderConfig ... not found ..." list what there is; a RuntimeError
        # says that the dataset is a program
        why = str(error.__cause__ or error).strip().partition("\n")[0]
        raise DataError(f"{dataset}: {why}", "see the page of the dataset") from error
    shutil.rmtree(prepared, ignore_errors=True)


def _unreachable(dataset: str) -> DataError:
    return DataError(
        f"{dataset} is not on this machine and the hub cannot be reached",
        "check the network; what was fetched once serves offline",
    )
