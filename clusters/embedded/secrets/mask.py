"""Masks the values of secrets in bytes that come in pieces. Pure: no I/O.

Masked are a value as it is, each of its lines, and what tools make of it: base64 (also in the middle of
something longer, and in lines of 76 or 64 characters), hexadecimal digits, URL escapes, JSON escapes. Each is
looked for in parts of at most `PART_BYTES`, so that half of a value is masked, too.
"""

import base64
import json
import urllib.parse
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Final

MASKED: Final = b"***"
VALUE_MINIMUM_BYTES: Final = 8
"""The fewest bytes of a value: shorter ones stand by chance in much that is no secret."""
PART_BYTES: Final = 32
LINE_BYTES: Final = (57, 48)
"""The bytes that one line of base64 holds, of the two usual lengths: 76 characters (MIME) and 64 (PEM)."""
FEW_PARTS: Final = 800
"""The number of parts up to which it is quicker to look for one after the other in all of a text."""
BETWEEN: Final = b"\xff"
"""What stands between texts that are looked through together: no text in UTF-8 has it."""


class Mask:
    """Finds the values of secrets. The pieces of one text are masked by one `MaskedStream`."""

    def __init__(self, values: Iterable[bytes]) -> None:
        self._parts = sorted({part for value in values for form in _forms(value) for part in _parts(form)})
        self._beginnings: dict[bytes, list[bytes]] = {}
        """The parts by their first `VALUE_MINIMUM_BYTES` bytes, the longest first; none if they are few."""
        for part in sorted(self._parts if len(self._parts) > FEW_PARTS else (), key=len, reverse=True):
            self._beginnings.setdefault(part[:VALUE_MINIMUM_BYTES], []).append(part)

    def __repr__(self) -> str:
        return "Mask(***)"

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Returns where values stand in `text`, as [begin, end), in order; those that touch are one."""
        merged: list[tuple[int, int]] = []
        for begin, end in self._found(text):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((begin, end))
        return merged

    def _found(self, text: bytes) -> Iterable[tuple[int, int]]:
        """Returns where parts of values stand in `text`, by where they begin.

        A large value has thousands of parts: to look for each of them would take longer than one look at each
        position of the text, where only those that begin as the text does there are compared.
        """
        if not self._beginnings:
            return sorted(span for part in self._parts for span in _occurrences(part, text))
        return (
            (at, at + len(part))
            for at in range(len(text) - VALUE_MINIMUM_BYTES + 1)
            if (parts := self._beginnings.get(text[at : at + VALUE_MINIMUM_BYTES])) is not None
            and (part := next((one for one in parts if text.startswith(one, at)), None)) is not None
        )

    def begun(self, text: bytes) -> int:
        """Returns the length of the longest end of `text` that is the beginning of a value, not all of it."""
        for length in range(min(PART_BYTES - 1, len(text)), 0, -1):
            end = text[-length:]
            at = bisect_left(self._parts, end)
            # What begins with it follows it; of these the first may be the end itself.
            at += at < len(self._parts) and self._parts[at] == end
            if at < len(self._parts) and self._parts[at].startswith(end):
                return length
        return 0

    def text(self, text: str) -> str:
        """Returns `text` with every value in it masked."""
        stream = MaskedStream(self)
        encoded = text.encode(errors="surrogateescape")
        return (stream.feed(encoded) + stream.end()).decode(errors="replace") if self._parts else text

    def is_in(self, value: Any) -> bool:
        """Returns whether a text or a name in the JSON `value` holds a secret."""
        # In one pass over all of them: a value has thousands of parts, and an output as many short texts.
        together = BETWEEN.join(text.encode(errors="surrogateescape") for text in _texts(value))
        return any(True for _ in self._found(together))


class MaskedStream:
    """Masks the values of secrets in a text that comes in pieces, also where a value is split between them.

    It holds back no more than the beginning of a value: what follows shows whether it is one.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask, self._held = mask, b""
        self._covered = -1
        """The bytes at the beginning of `_held` that belong to a value for which a mask was written.

        0: only what touches such a value; -1: what was written last was no mask.
        """

    def feed(self, piece: bytes) -> bytes:
        """Returns what can be shown once `piece` has come."""
        text = self._held + piece
        return self._show(text, len(text) - self._mask.begun(text))

    def end(self) -> bytes:
        """Returns what is left to be shown: nothing follows that would make a value of it."""
        return self._show(self._held, len(self._held))

    def _show(self, text: bytes, until: int) -> bytes:
        """Returns `text` before the position `until`, masked, and holds back the rest."""
        shown, at, touching = list[bytes](), max(0, self._covered), self._covered >= 0
        for begin, end in self._mask.spans(text):
            if begin >= until:
                break
            # One that touches a value whose mask was written is masked by that.
            if not touching or begin > at:
                shown += [text[at:begin], MASKED]
            at, touching = max(at, end), True
        shown.append(text[at:until])
        self._held = text[until:]
        self._covered = at - until if touching and at >= until else -1
        return b"".join(shown)


def _texts(value: Any) -> Iterator[str]:
    """Yields all texts in the JSON `value`, and all names."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left += one.keys()
            left += one.values()
        elif isinstance(one, list):
            left += one


def _occurrences(part: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    at = text.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = text.find(part, at + 1)


def _parts(form: bytes) -> Iterator[bytes]:
    """Yields the parts, of about the same length, in which a form is looked for; none if it is too short."""
    count = -(-len(form) // PART_BYTES)
    for number in range(count) if len(form) >= VALUE_MINIMUM_BYTES else ():
        yield form[len(form) * number // count : len(form) * (number + 1) // count]


def _forms(value: bytes) -> Iterator[bytes]:
    """Yields a value as it is and as tools write it."""
    yield from (value, value.strip())
    for line in value.split(b"\n"):
        yield line.strip()
    yield from _base64(value)
    for size in LINE_BYTES:
        for at in range(0, len(value) if len(value) > size else 0, size):
            line = value[at : at + size]
            # Not the end of the last one, which depends on what follows.
            yield base64.b64encode(line)[: len(line) * 8 // 6]
    yield value.hex().encode()
    yield value.hex().upper().encode()
    yield urllib.parse.quote_from_bytes(value, safe="").encode()
    yield urllib.parse.quote_plus(value).encode()
    text = value.decode(errors="replace")
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="replace")


def _base64(value: bytes) -> Iterator[bytes]:
    """Yields the characters of base64 that `value` alone decides, wherever it begins in what is encoded."""
    for offset in range(3):
        first, last = (offset * 8 + 5) // 6, (offset + len(value)) * 8 // 6
        padded = bytes(offset) + value
        yield base64.b64encode(padded)[first:last]
        yield base64.urlsafe_b64encode(padded)[first:last]
