"""Parses uploads of OPA's decision log plugin: gzipped JSON arrays of events, within bounds.

An event is kept without the input, the result and the caches: the gateway's own record has them, as far as
policy lets them be recorded, and OPA knows nothing of that. Pure.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

BODY_MAXIMUM: Final = 1_048_576
"""The most bytes of an upload as it is sent; OPA sends some 32 KiB by default."""
TEXT_MAXIMUM: Final = 32 * 1_048_576
"""The most bytes of its text."""
EVENTS_MAXIMUM: Final = 10_000
"""The most events that are kept of an upload: the last ones."""
RECORD_MAXIMUM: Final = 16_384
"""The most bytes that are kept of an event; a larger one is dropped."""
GZIP: Final = 31
"""zlib's word for: with the header of gzip."""


class DecisionLogError(Exception):
    """The error that an upload is not a decision log. The text says why, and shows nothing of it."""


class DecisionLogTooLarge(DecisionLogError):
    """The error that an upload is larger than the bounds."""


class _ErrorCode(Struct, frozen=True):
    """The error of an evaluation, in an event; its message may quote the document."""

    code: str = ""


class OpaRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a decision log event that is stored, under OPA's own names."""

    decision_id: str
    timestamp: str = ""
    path: str = ""
    labels: dict[str, str] = {}
    """Which OPA it was: its id and version, and what it is configured with."""
    bundles: dict[str, dict[str, Any]] = {}
    """The revision of each bundle."""
    revision: str = ""
    metrics: dict[str, Any] = {}
    erased: tuple[str, ...] = ()
    """What OPA's own masks have taken out of the input or result."""
    masked: tuple[str, ...] = ()
    batch_decision_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    requested_by: str = ""
    req_id: int = 0
    error: _ErrorCode | None = None


_decode = msgspec.json.Decoder(list[OpaRecord]).decode
_encode = msgspec.json.Encoder().encode


def read_events(body: bytes, *, compressed: bool) -> Sequence[tuple[str, bytes]]:
    """Reads the events of an upload as OPA's decision ids, each with the JSON that is stored of it.

    Raises `DecisionLogError`, or `DecisionLogTooLarge`.
    """
    try:
        events = _decode(_decompressed(body) if compressed else body)
    except (ValueError, RecursionError, zlib.error) as error:
        raise DecisionLogError("not a JSON array of decisions, compressed with gzip") from error
    records = [(event.decision_id, _encode(event)) for event in events[-EVENTS_MAXIMUM:]]
    return [(name, record) for name, record in records if name and len(record) <= RECORD_MAXIMUM]


def _decompressed(body: bytes) -> bytes:
    inflater = zlib.decompressobj(GZIP)
    text = inflater.decompress(body, TEXT_MAXIMUM)
    if inflater.unconsumed_tail:
        raise DecisionLogTooLarge(f"more than {TEXT_MAXIMUM} bytes")
    if not inflater.eof or inflater.unused_data:
        raise DecisionLogError("not whole, or with something behind it")
    return text
