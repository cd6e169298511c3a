"""Parses uploads of OPA's decision log plugin: gzipped JSON arrays of events, within limits.

An event is kept without its input, result and caches, which OPA has not masked: the gateway's own record of
the decision has those that policy lets it record. Performs no I/O.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

BODY_MAXIMUM: Final = 1_048_576
"""The maximum bytes of an upload as it is sent; OPA sends some 32 KiB by default."""
TEXT_MAXIMUM: Final = 32 * 1_048_576
"""The maximum bytes of an upload's decompressed text."""
EVENTS_MAXIMUM: Final = 10_000
"""The maximum number of events kept of an upload, the last ones."""
RECORD_MAXIMUM: Final = 16_384
"""The maximum bytes kept of an event; a larger event is dropped."""
GZIP: Final = 31
"""The zlib window setting that expects a gzip header."""


class DecisionLogError(Exception):
    """Raised for an upload that is not a decision log of OPA. The text says why, and quotes nothing of it."""


class DecisionLogTooLarge(DecisionLogError):
    """Raised for an upload of OPA's decision log that is larger than the limits."""


class _ErrorCode(Struct, frozen=True):
    """The evaluation error in an event of OPA's decision log, without its message.

    The message may quote the document.
    """

    code: str = ""


class OpaRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The stored part of an event of OPA's decision log, under OPA's own field names."""

    decision_id: str
    timestamp: str = ""
    path: str = ""
    labels: dict[str, str] = {}
    """The OPA that made the decision: its id, version and configured labels."""
    bundles: dict[str, dict[str, Any]] = {}
    """The revision of each bundle, by bundle name."""
    revision: str = ""
    metrics: dict[str, Any] = {}
    erased: tuple[str, ...] = ()
    """The paths in input or result that OPA's own masks have erased."""
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
    """Parses an upload of OPA's decision log; returns OPA's decision id and the JSON to store of each event.

    Only the last `EVENTS_MAXIMUM` events are kept, without those that have no id or are larger than
    `RECORD_MAXIMUM`. Raises `DecisionLogError` if the upload is not a JSON array of events, and
    `DecisionLogTooLarge` if it unpacks to more than `TEXT_MAXIMUM` bytes.
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
