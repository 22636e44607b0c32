"""The steps of a run as its supervisor does them: here where that is light, else by a child."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from dsl.errors import DataError, RecipeError, RunError
from dsl.methods import info
from runner.bases import chat_format, hashes, locate, tokenizer, verify
from runner.checklist import noted
from runner.children import run_child
from runner.data import checks
from runner.data.checks import Finding
from runner.data.prepare import count_examples
from runner.data.tokens import SUMMARY, TokenSummary, read_summary, stored, tokenise
from runner.job import Job
from runner.lock import make_lock, refuse_differences, today
from runner.release.exporters import copy_adapter, copy_model
from runner.runs.store import read_json, write_json

# a step returns what its end says; this beginning marks work that was not done again
CACHED = "from the cache"


def data(job: Job) -> str:
    """Writes the parts; an error of a check stops here, before anything is downloaded."""
    import duckdb

    assert job.prepared is not None
    try:
        job.prepared.write(job.run.data)
    except duckdb.Error as error:  # a full disk, most often
        reason = str(error).splitlines()[0]
        raise RunError(f"the data cannot be written to {job.run.data}: {reason}") from None
    for line in noted(job.prepared.findings):
        job.tell(line)
    _stop_at_errors(job.prepared.findings)
    return ", ".join(f"{part.rows} {name}" for name, part in job.prepared.parts.items())


def model(job: Job) -> str:
    """The base in the cache, verified; a folder of the user's as it is."""
    said = CACHED
    if job.located.folder is None or _damaged(job, job.located.folder):
        run_child(job, "model")
        said = "fetched and verified"
    job.located = locate(job.recipe.model.base, job.recipe.model.revision, job.folder)
    if job.located.folder is None and (problem := job.located.problem):
        raise RunError(problem.message, problem.hint)
    return said if job.located.entry else f"as it lies in {job.base}"


def _damaged(job: Job, folder: Path) -> bool:
    if job.located.entry is None:
        return False
    try:
        verify(folder)
    except RecipeError as damage:
        job.tell(f"! {damage.message}; it is fetched again")
        return True
    return False


def tokens(job: Job) -> str:
    """The lock, then the token ids of train and validation; the truncation check closes."""
    date = job.lock.get("date", today()) if job.lock else today()
    lock = make_lock(job.recipe, read_json(job.run.plan), job.located, hashes(job.base), date)
    if job.lock is not None:
        refuse_differences(job.lock, lock)
    write_json(job.run.lock, lock)
    store, said = stored(job.fingerprint("tokens"), date), f"{CACHED}: "
    if not (store / SUMMARY).exists():
        _fill(job, store, date)
        said = ""
    shutil.copytree(store, job.run.tokens, dirs_exist_ok=True)
    summaries = read_summary(job.run.tokens)
    _close_truncation(job, summaries)
    train = summaries["train"]
    counted = f"{train.total:,} tokens, {train.trained:,} of them trained, longest {train.longest}"
    return said + counted


def _fill(job: Job, store: Path, date: str) -> None:
    """Tokenises beside the store and renames: it appears whole."""
    parts = {part: job.run.part(part) for part in ("train", "validation")}
    beside = store.with_name(f".{store.name}.{job.run.id}")
    try:
        total = sum(map(count_examples, parts.values()))
        tokenise(
            job.recipe, chat_format(job.base, date), tokenizer(job.base), parts, beside,
            lambda done: job.progress("tokens", "rows", done, total),
        )  # fmt: skip
        with suppress(OSError):  # another run may have been faster
            beside.rename(store)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _close_truncation(job: Job, summaries: Mapping[str, TokenSummary]) -> None:
    lost = [row for summary in summaries.values() for row in (*summary.cut, *summary.dropped)]
    total = sum(summary.rows + len(summary.dropped) for summary in summaries.values())
    unique = list(dict.fromkeys(lost))
    finding = checks.truncation(unique, total, job.recipe.data.checks.truncation)
    path = job.run.data / "checks.json"
    plain = checks.to_json([finding])["findings"][0]
    known = read_json(path)["findings"]
    closed = [plain if found["check"] == finding.check else found for found in known]
    write_json(path, {"findings": closed})
    if finding.state in ("warn", "error"):
        for line in checks.describe([finding]):
            job.tell(line)
    _stop_at_errors([finding])


def _stop_at_errors(findings: Sequence[Finding]) -> None:
    """Raises DataError."""
    if failed := checks.failed(findings):
        names = ", ".join(finding.check for finding in failed)
        message = f"{len(failed)} data check{'s' * (len(failed) > 1)} failed: {names}"
        hint = "raise the threshold in data.checks, or mend the rows"
        raise DataError(message, failed[0].hint or hint)


def child(job: Job, name: str) -> str:
    run_child(job, name)
    return ""


def export_adapter(job: Job) -> str:
    copy_adapter(job.run.adapter, job.run.exports / "adapter")
    return "exports/adapter"


def export_merged(job: Job) -> str:
    """A fully trained model is whole already; an adapter is merged by a child."""
    if info(job.recipe.method).adapter:
        run_child(job, "export-merged")
    else:
        copy_model(job.run.model, job.run.exports / "merged")
    return "exports/merged"


# each returns what is said at its end. The report is no work of a step: it is written at every end
STEPS: dict[str, Callable[[Job], str]] = {
    "data": data,
    "model": model,
    "tokens": tokens,
    "train": partial(child, name="train"),
    "evaluate": partial(child, name="evaluate"),
    "export-adapter": export_adapter,
    "export-merged": export_merged,
}
