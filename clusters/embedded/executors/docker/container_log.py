"""Copies what a container prints into the log of its task, within bounds."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from clusters.embedded.executors.log_limits import is_too_long, shorten_log
from clusters.embedded.secrets.mask import Mask, MaskedStream
from clusters.embedded.secrets.masked_log import REST
from clusters.embedded.storage.regular_files import open_regular

HEADER_BYTES: Final = 8
"""The bytes before each piece: the stream's number, three zeros, and the length of the piece."""
PIECES_PER_SECOND: Final = 8 * 1_048_576
"""The bytes that are copied in a second: a container that prints more waits, and no other task does."""
CHECK_BYTES: Final = 1_048_576


async def copy_log(frames: AsyncIterator[bytes], log: Path, mask: Mask) -> None:
    """Copies the output of a container, framed as engines frame it, to the end of `log`, secrets masked.

    Ends when the output does. What cannot be written is dropped: a container whose output nobody reads would
    wait for ever.
    """
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = open_regular(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        split, masked, unchecked = FrameSplitter(), MaskedStream(mask), 0
        async for received in frames:
            text = b"".join(split(received))
            # In a thread: large values take longer to look for than it takes to print more.
            shown, took_seconds = await asyncio.to_thread(_masked, masked, text)
            _write(descriptor, shown)
            unchecked += len(received)
            if unchecked > CHECK_BYTES:
                unchecked = 0
                if is_too_long(log):
                    await shorten_log(log)
            await asyncio.sleep(max(len(received) / PIECES_PER_SECOND, REST * took_seconds))
        _write(descriptor, masked.end())
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _masked(masked: MaskedStream, text: bytes) -> tuple[bytes, float]:
    """Returns what can be shown once `text` has come, and the seconds of a processor that this took."""
    began = time.thread_time()
    return masked.feed(text), time.thread_time() - began


def _write(descriptor: int | None, text: bytes) -> None:
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.write(descriptor, text)


class FrameSplitter:
    """Takes the headers out of an engine's stream of standard output and standard error."""

    def __init__(self) -> None:
        self._header, self._left = b"", 0

    def __call__(self, received: bytes) -> list[bytes]:
        """Returns the texts in the next bytes of the stream."""
        texts = []
        while received:
            if self._left:
                texts.append(received[: self._left])
                self._left -= len(texts[-1])
                received = received[len(texts[-1]) :]
                continue
            missing = HEADER_BYTES - len(self._header)
            self._header, received = self._header + received[:missing], received[missing:]
            if len(self._header) == HEADER_BYTES:
                self._left, self._header = int.from_bytes(self._header[4:], "big"), b""
        return texts
