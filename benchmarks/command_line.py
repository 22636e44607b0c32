"""CPU seconds of the verbs that load no model, beside bare Python and the imports they need.

    python benchmarks/command_line.py [RECIPE]

Each figure is the least of several fresh processes, user and system time together.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

REPEATS = 7


def cpu_seconds(command: list[str]) -> float:
    """CPU of one child process and its children."""
    # as users have it: modules are compiled once, by the first of several processes
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(recipe: str) -> None:
    tool = str(Path(sys.executable).with_name("recipe"))
    python = sys.executable
    rows = [
        ("python -c pass", [python, "-c", "pass"], None),
        ("import jsonschema, jinja2", [python, "-c", "import jsonschema, jinja2"], None),
        ("import duckdb", [python, "-c", "import duckdb"], None),
        ("recipe --help", [tool, "--help"], 0.15),
        ("recipe validate", [tool, "validate", recipe], 0.25),
        ("recipe plan", [tool, "plan", recipe], 0.5),
    ]
    least = {name: min(cpu_seconds(command) for _ in range(REPEATS)) for name, command, _ in rows}
    for name, _, aim in rows:
        print(f"{name:<28} {least[name]:.3f} s" + (f"   aim {aim} s" if aim else ""))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "recipes/legal.json")
