"""Masks the values of secrets in what a task prints, on its way from the task to its log file."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final

from clusters.embedded.secrets.mask import Mask, MaskedStream
from clusters.embedded.storage.regular_files import open_regular

PIECE_BYTES: Final = 65_536
LAST_PIECES: Final = 16
REST: Final = 3.0
"""The pause after each piece, as a multiple of the time that it took.

A large secret is looked for for milliseconds; meanwhile the cluster's other work waits for the interpreter.
"""


class MaskedLog:
    """A pipe whose reader, this process, appends what comes to a log file, with the secrets masked.

    Reading and writing are done in threads, a piece at a time, with pauses: a task that prints without end
    gets no more of the cluster than others. Raises `OSError` where there is no descriptor left, or the log
    cannot be opened.
    """

    def __init__(self, log: Path, mask: Mask) -> None:
        self._stream = MaskedStream(mask)
        self._log = open_regular(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            self._reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            os.close(self._log)
            raise
        # Of the reader's end alone: a program does not expect that its standard output would block.
        os.set_blocking(writer, True)
        self._writer: int | None = writer
        self._loop = asyncio.get_running_loop()
        self._reading: asyncio.Future[bool] | None = None
        self._closing = False
        self._took_seconds = 0.0
        """How long the last piece took."""
        self._listen()

    def __repr__(self) -> str:
        return f"MaskedLog({self._stream._mask!r})"

    def take_writer(self) -> int:
        """Returns the pipe's end for the task, which the caller closes once the task has it."""
        assert self._writer is not None, "a pipe is for one task"
        writer, self._writer = self._writer, None
        return writer

    async def close(self) -> None:
        """Writes what has come, then closes pipe and log. To be called when no process of the try is left."""
        if self._closing:
            return
        self._closing = True
        if self._writer is not None:
            os.close(self._writer)
        self._loop.remove_reader(self._reader)
        if self._reading is not None:
            await self._reading
        await self._loop.run_in_executor(None, self._finish)

    def _listen(self) -> None:
        if not self._closing:
            self._loop.add_reader(self._reader, self._read_later)

    def _read_later(self) -> None:
        self._loop.remove_reader(self._reader)
        self._reading = self._loop.run_in_executor(None, self._copy_piece)
        self._reading.add_done_callback(self._go_on)

    def _go_on(self, done: "asyncio.Future[bool]") -> None:
        self._reading = None
        if not self._closing and done.result():
            self._loop.call_later(REST * self._took_seconds, self._listen)

    def _copy_piece(self) -> bool:
        """Copies what has come, a piece at most; returns whether more may come."""
        try:
            piece = os.read(self._reader, PIECE_BYTES)
        except BlockingIOError:
            return True
        if piece:
            began = time.thread_time()
            self._write(self._stream.feed(piece))
            self._took_seconds = time.thread_time() - began
        return bool(piece)

    def _finish(self) -> None:
        # No more than a pipe holds: a process that has escaped may print without end.
        for _ in range(LAST_PIECES):
            if not self._copy_piece():
                break
        self._write(self._stream.end())
        for descriptor in (self._reader, self._log):
            os.close(descriptor)

    def _write(self, text: bytes) -> None:
        # A full disk does not end what prints: then that is lost, as it is of programs that write themselves.
        with contextlib.suppress(OSError):
            while text:
                text = text[os.write(self._log, text) :]
