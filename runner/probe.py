"""What the world says about a recipe: files, counts, base model, hardware → Facts. No torch."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.facts import Facts, Hardware, Momentary, SourceFacts
from dsl.problems import Problem
from dsl.recipe import Recipe
from runner.bases import Located, locate, root

if TYPE_CHECKING:
    from runner.data.checks import Depth
    from runner.data.checks.tokens import Encoder
    from runner.data.prepare import Prepared
    from runner.data.scan import Tell

PACKAGES = (
    "torch", "transformers", "tokenizers", "trl", "peft", "bitsandbytes", "datasets", "duckdb",
    "accelerate", "safetensors", "numpy", "sacrebleu", "rouge-score",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a recipe stands: its folder, and what the command line allows."""

    folder: Path
    allowed: tuple[str, ...] = ()
    trust_remote_code: bool = False


def glance(recipe: Recipe, around: Surroundings) -> tuple[Facts, list[Problem]]:
    """Facts for `validate`: whether files exist and which columns their first rows have.

    Loads neither DuckDB nor any model.
    """
    from glob import has_magic

    from dsl.rules.data import stays_inside
    from dsl.sources import HubSource
    from runner.data.peek import peek

    sources, problems = [], []
    for path, part, source in recipe.data.sources():
        if not isinstance(source, HubSource) and not stays_inside(source.path, around.allowed):
            continue  # the rules refuse it: nothing there is looked at
        pattern = isinstance(source, HubSource) or has_magic(source.path)
        if not pattern and not (around.folder / source.name).exists():
            problems.append(_missing_file((*path, "path"), source.name, around.folder))
            continue
        sources += [
            SourceFacts(path, seen.name, part, seen.format, seen.columns, seen.complete)
            for seen in peek(source, around.folder)
        ]
    located = locate(recipe.model.base, recipe.model.revision, around.folder)
    if located.problem and located.kind in ("folder", "gguf"):
        problems.append(located.problem)
    return (
        Facts(
            model=located.model,
            sources=tuple(sources),
            hardware=hardware(recipe.compute.device),
            trust_remote_code=around.trust_remote_code,
            allowed=around.allowed,
        ),
        problems,
    )


def survey(
    recipe: Recipe,
    around: Surroundings,
    known: Facts,
    depth: Depth = "quick",
    tell: Tell | None = None,
) -> tuple[Facts, Prepared, Located, list[Problem]]:
    """Facts for `plan` and `run`: all rows are read, split and checked; the base is located.

    Raises DataError where a source cannot be read at all. The caller closes what it gets.
    """
    from runner.data.prepare import prepare
    from runner.data.scan import silent

    located = locate(recipe.model.base, recipe.model.revision, around.folder)
    encoder = _encoder(recipe, located) if depth == "full" else None
    prepared = prepare(recipe, around.folder, depth, encoder, tell or silent)
    facts = replace(
        known,
        model=located.model,
        identity=located.identity,
        sources=_source_facts(prepared),
        parts=prepared.parts,
        versions=versions(),
        code=code(),
        momentary=Momentary(free_memory(), _free_disk(root())),
    )
    return facts, prepared, located, [located.problem] if located.problem else []


def _source_facts(prepared: Prepared) -> tuple[SourceFacts, ...]:
    """One for each file; a folder or a pattern names several."""
    return tuple(
        SourceFacts(
            path=report.path,
            name=report.name,
            part=report.part,
            format=report.format,
            columns=tuple(report.columns),
            complete=True,
            sha256=report.sha256,
            rows=report.rows,
            refused=report.refused,
        )
        for report in prepared.reports
    )


def _encoder(recipe: Recipe, located: Located) -> Encoder | None:
    """What counts tokens, where the base lies in the cache."""
    if located.folder is None:
        return None
    from runner.bases import chat_format, tokenizer
    from runner.data.checks.tokens import Encoder
    from runner.lock import today

    return Encoder(recipe, chat_format(located.folder, today()), tokenizer(located.folder))


@cache
def hardware(wanted: str = "auto") -> Hardware:
    """The device that training would use. A CPU build of torch sees no GPU, whatever is there."""
    gpu = None if wanted == "cpu" or "+cpu" in versions().get("torch", "") else _gpu()
    if gpu:
        return gpu
    name = flags = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            name = value.strip() if key.strip() == "model name" else name
            flags = value if key.strip() == "flags" else flags
    if not name:
        import platform

        name = platform.processor() or platform.machine()
    return Hardware(
        device="cpu",
        name=f"{name}, {threads()} cores",
        total_memory_bytes=total_memory(),
        threads=threads(),
        # AVX512-BF16 alone was measured slower than float32; AMX three times faster
        bf16="amx_bf16" in flags,
    )


def _gpu() -> Hardware | None:
    if not shutil.which("nvidia-smi"):
        return None
    import subprocess

    query = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,compute_cap",
        "--format=csv,noheader,nounits",
    ]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        name, mebibytes, capability = answer.stdout.splitlines()[0].rsplit(",", 2)
        memory, bf16 = int(float(mebibytes)) * 2**20, float(capability) >= 8.0
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return Hardware("cuda", name.strip(), memory, threads(), bf16)


@cache
def threads() -> int:
    """Cores that this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def total_memory() -> int:
    """Bytes of memory, a container's limit included."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        return min(physical, int(limit.read_text()))
    except (OSError, ValueError):
        return physical


def free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kibibytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable")), None)
    return int(kibibytes) * 1024 if kibibytes else None


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that results depend on, read off the folders: metadata is slow."""
    wanted = {name.replace("-", "_"): name for name in PACKAGES}
    found: dict[str, str] = {}
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        for name in names:
            package, _, version = name.removesuffix(".dist-info").partition("-")
            if name.endswith(".dist-info") and package.lower() in wanted:
                found.setdefault(wanted[package.lower()], version)
    return found


@cache
def code() -> str:
    """Hash of our own sources: cached results of other code are not used."""
    import dsl
    import runner

    digest = hashlib.sha256()
    for package in (dsl, runner):
        top = Path(str(package.__file__)).parent
        for file in sorted(top.rglob("*.py"), key=str):  # comparing paths is slow
            digest.update(str(file.relative_to(top)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _free_disk(folder: Path) -> int | None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _missing_file(path: tuple[str | int, ...], name: str, folder: Path) -> Problem:
    from dsl.problems import did_you_mean, set_value

    target = folder / name
    near: Sequence[str] = []
    if target.parent.is_dir():
        near = [p.name for p in target.parent.iterdir() if p.is_file()]
    close = did_you_mean(target.name, near)
    if close:
        right = str(Path(name).with_name(close.removeprefix("did you mean ").removesuffix("?")))
        return Problem(path, f"no file '{name}'", close, (set_value(path, right),))
    return Problem(path, f"no file '{name}'", f"looked in {target.parent}")
