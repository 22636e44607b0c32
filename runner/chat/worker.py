"""What the child executes: python -m runner.chat.worker. See protocol.py for what it says.

It ends when its stdin closes, which also a killed client does, and when nobody asked for a while.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from dsl.errors import ModelError, RecipeError
from runner.chat.protocol import (
    Failed,
    Loaded,
    Loading,
    Piece,
    Reply,
    ask_of,
    reply_line,
)
from runner.engines.worker import quiet
from runner.runs.store import RunFolder

IDLE_SECONDS = 600.0
NO_MEMORY = (
    "shorten the conversation or the answer, close what else runs here, or train a smaller base"
)
OTHER_SHAPE = "the adapter was made for another base model: put back the one it was trained on"


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    out = _own_stdout()
    quiet()
    os.environ["HF_HUB_OFFLINE"] = "1"
    requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
    stops: set[int] = set()
    threading.Thread(target=_listen, args=(requests, stops), daemon=True).start()
    worker = _Worker(out, stops, options.trust_remote_code)
    while True:
        try:
            request = requests.get(timeout=options.idle_seconds)
        except Empty:
            return 0
        worker.serve(request)


class _Worker:
    """Serves one request after the other, each to its last reply."""

    def __init__(self, out: IO[bytes], stops: set[int], remote: bool) -> None:
        from runner.chat.model import Models

        self._out, self._stops, self._remote = out, stops, remote
        self._models = Models()

    def serve(self, request: Mapping[str, Any]) -> None:
        number = int(request["id"])

        def tell(reply: Reply) -> None:
            self._out.write(reply_line(reply, number))
            self._out.flush()

        try:
            tell(self._reply(request, number, tell))
        except RecipeError as error:
            tell(Failed(error.message, error.hint))
        except Exception as error:  # the last resort: told in one line, kept whole in the log
            traceback.print_exc()
            tell(_told(error))
            self._models.clear()  # half a load must not answer

    def _reply(self, request: Mapping[str, Any], number: int, tell: Any) -> Reply:
        from runner.chat.subject import subject

        of = subject(RunFolder(Path(request["run"])))
        if of.recipe.model.trust_remote_code and not self._remote:
            raise ModelError(
                f"{of.recipe.model.base} brings code of its own, which is not run unasked",
                f"if you trust it: recipe chat {of.run.id} --trust-remote-code",
            )
        tuned = bool(request["tuned"])
        self._models.load(of, tuned, lambda what: tell(Loading(what)))
        if request["op"] == "load":
            return Loaded()
        return self._models.answer(
            of, ask_of(request), lambda text: tell(Piece(text)), lambda: number in self._stops
        )


def _told(error: Exception) -> Failed:
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "memory" in said.lower():
        return Failed("the model does not fit into the memory that is free", NO_MEMORY)
    if "size mismatch" in said:
        return Failed("adapter and base do not fit together", OTHER_SHAPE)
    return Failed(f"{type(error).__name__}: {said[:300]}", "see what the engine said")


def _listen(requests: SimpleQueue[dict[str, Any]], stops: set[int]) -> None:
    """Reads requests until stdin closes; then nobody is left to answer."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["op"] == "stop":
            stops.add(int(request["id"]))
        else:
            requests.put(request)
    os._exit(0)  # at once, also in the middle of a load: there is nothing to save


def _own_stdout() -> IO[bytes]:
    """The way to the client for replies alone: what libraries print goes to the log."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trust-remote-code", action="store_true")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
