"""This machine as a plan sees it."""

from __future__ import annotations

import shutil
import sys

from runner.bases import root
from runner.probe import free_memory, hardware, versions
from runner.report.words import size


def findings() -> list[tuple[str, str]]:
    """(what, how it stands), nothing heavy loaded."""
    device = hardware()
    top = root()
    while not top.exists():
        top = top.parent
    disk = shutil.disk_usage(top)
    rows = [
        ("device", f"{device.name} ({device.device})"),
        ("memory", f"{size(free_memory())} free of {size(device.total_memory_bytes)}"),
        ("bfloat16", "faster than float32" if device.bf16 else "not faster than float32: not used"),
        ("disk", f"{size(disk.free)} free for the cache in {root()}"),
        ("python", sys.version.split()[0]),
    ]
    return rows + [(name, version) for name, version in sorted(versions().items())]
