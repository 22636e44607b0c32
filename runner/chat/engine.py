"""The client's side of a worker: starts it when it is asked, passes replies on, notices its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from dsl.errors import StepFailed
from runner.chat.protocol import LAST, Ask, Reply, line, reply_of, request_of
from runner.chat.worker import IDLE_SECONDS
from runner.children import ended_by

TAIL_BYTES = 4096
# threads that wait for each other sleep: beside a run that trains, spinning ones answer many times
# slower, and slow the run down too
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
ROOM = "close what else runs here, or train a smaller base"


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    log: IO[bytes]


class Engine:
    """One worker process. One thread at a time may ask; any may stop or close."""

    def __init__(self, *, remote: bool = False, idle_seconds: float = IDLE_SECONDS) -> None:
        self._options = [f"--idle-seconds={idle_seconds}"]
        self._options += ["--trust-remote-code"] if remote else []
        self._child: _Child | None = None
        self._number = 0
        self._answering: int | None = None
        self._writing = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the worker, while there is one."""
        child = self._child
        return child.process.pid if child and child.process.poll() is None else None

    def answer(self, ask: Ask) -> Iterator[Reply]:
        """Replies to a question, the last one Done or Failed. Raises StepFailed where the worker
        dies. Who leaves early has it stopped."""
        self._number += 1
        yield from self._replies(request_of(ask, self._number))

    def load(self, run: str, tuned: bool) -> Iterator[Reply]:
        """Loads what a first answer would have to wait for; the last reply is Loaded or Failed."""
        self._number += 1
        yield from self._replies({"op": "load", "id": self._number, "run": run, "tuned": tuned})

    def stop(self) -> None:
        """Ends the answer that is being written; asked again it changes nothing."""
        if self._answering is not None:
            with suppress(OSError):
                self._write({"op": "stop", "id": self._answering})

    def kill(self) -> None:
        """Ends the worker at once, also in the middle of a load: it holds nothing to save."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Ends the worker and gives its memory back."""
        self.kill()
        child, self._child = self._child, None
        if child is None:
            return
        child.process.wait()
        for stream in (child.process.stdin, child.process.stdout, child.log):
            with suppress(OSError):  # a request that was not taken
                if stream is not None:
                    stream.close()

    def said(self) -> str:
        """The end of what the worker wrote beside its replies."""
        child = self._child
        if child is None:
            return ""
        size = os.fstat(child.log.fileno()).st_size
        content = os.pread(child.log.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES))
        return content.decode("utf-8", "replace").strip()

    def _replies(self, request: Mapping[str, Any]) -> Iterator[Reply]:
        number = int(request["id"])
        self._answering = number
        ended = False
        try:
            for reply in self._spoken(request, number):
                ended = isinstance(reply, LAST)
                yield reply
        finally:
            if not ended and self.pid is not None:
                self.stop()
                for _ in self._rest(number):
                    pass
            self._answering = None

    def _spoken(self, request: Mapping[str, Any], number: int) -> Iterator[Reply]:
        child = self._started()
        with suppress(BrokenPipeError):
            self._write(request)
        heard = False
        for reply in self._rest(number):
            heard = True
            yield reply
            if isinstance(reply, LAST):
                return
        code = child.process.wait()  # it closed its end: it is gone, or about to be
        if code or heard:
            raise StepFailed(f"the engine ended without a word: {ended_by(code)}", ROOM, code)
        # it went idle as the question came: a new one takes it
        self.close()
        yield from self._spoken(request, number)

    def _rest(self, number: int) -> Iterator[Reply]:
        """What is still said to a request, up to the last reply or the worker's end."""
        child = self._child
        assert child is not None and child.process.stdout is not None
        for spoken in child.process.stdout:
            replied, reply = reply_of(json.loads(spoken))
            if replied != number:
                continue
            yield reply
            if isinstance(reply, LAST):
                return

    def _started(self) -> _Child:
        if self._child is not None and self._child.process.poll() is None:
            return self._child
        self.close()
        log = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the worker
        process = subprocess.Popen(
            # -P: a module of the user's folder must not stand in for one of ours
            [sys.executable, "-P", "-m", "runner.chat.worker", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=PATIENT | os.environ,
            start_new_session=True,  # Ctrl-C stops an answer, not the engine
        )
        self._child = _Child(process, log)
        return self._child

    def _write(self, values: Mapping[str, Any]) -> None:
        child = self._child
        if child is None or child.process.stdin is None:
            return
        with self._writing:
            child.process.stdin.write(line(values))
            child.process.stdin.flush()
