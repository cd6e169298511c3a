"""Sends spans to a receiver over OTLP/HTTP, from a thread of OpenTelemetry's that nobody waits for."""

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from prometheus_client import Counter

from observability.spans.finished_span import FinishedSpan
from waypost.tracing.context import SAMPLED

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult

QUEUE_MAXIMUM: Final = 4_096
"""The most spans that wait to be sent; more are dropped and counted."""
BATCH: Final = 256
PAUSE_SECONDS: Final = 1.0
"""The longest time that a span waits for others to be sent with."""
SEND_SECONDS: Final = 10.0
"""The longest time that sending a batch may take, all its repetitions included."""
CLOSE_SECONDS: Final = 2.0
"""The longest time that the end of the process waits for the last spans to be sent."""


class SpansUnusable(Exception):
    """Raised if spans cannot be exported as the settings say; the text says why."""


class SpanRecorder(Protocol):
    """The interface of what takes finished spans; `record` returns at once."""

    def record(self, *spans: FinishedSpan) -> None: ...


class SpanExporter:
    """Takes finished spans and sends them in batches. Implements `SpanRecorder`.

    Only spans of sampled traces are taken. `count` counts them by what became of them; `share` is that of the
    traces begun here which are sampled.
    """

    def __init__(self, endpoint: str, *, process: Mapping[str, str], count: Counter, share: float) -> None:
        # They belong to an extra, and take half a second to load.
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk import trace as sdk  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_warn_at_most)
        self._api, self._span = trace, _plain(sdk.ReadableSpan)
        self._resource = _hashed_once(Resource)(dict(process))
        self._well, self._failed = (
            trace.Status(code) for code in (trace.StatusCode.UNSET, trace.StatusCode.ERROR)
        )
        self._sender = _CountingSender(OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS), count)
        self._dropped = count.labels("dropped")
        self._batches = BatchSpanProcessor(
            self._sender,  # type: ignore[arg-type]  # it has the methods that are called
            max_queue_size=2 * QUEUE_MAXIMUM,
            schedule_delay_millis=PAUSE_SECONDS * 1000,
            max_export_batch_size=BATCH,
        )
        self._taken, self._share = 0, share

    def __repr__(self) -> str:
        return f"SpanExporter({self._taken} taken, {self._sender.done} sent or failed)"

    def fresh_flags(self) -> int:
        """Returns the flags of a trace that begins here: sampled, for the share of them that is."""
        sampled = self._share >= 1 or random.random() < self._share  # noqa: S311 - spreads, keeps no secret
        return SAMPLED if sampled else 0

    def record(self, *spans: FinishedSpan) -> None:
        """Queues the spans of sampled traces to be sent; drops and counts them where too many wait."""
        for span in spans:
            if not span.context.sampled:
                continue
            # Counted here: the queue of the library says that it is full in the log alone.
            if self._taken - self._sender.done >= QUEUE_MAXIMUM:
                self._dropped.inc()
                continue
            self._taken += 1
            self._batches.on_end(self._readable(span))

    async def aclose(self) -> None:
        """Sends what waits, for `CLOSE_SECONDS` at most, and ends the thread."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._batches.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # the loop has ended without waiting for it
                loop.call_soon_threadsafe(closed.set)

        # It is a daemon, as is the one that sends: a receiver that does not answer holds up no exit.
        threading.Thread(target=shut_down, name="close spans", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await closed.wait()
        except TimeoutError:
            self._sender.shutdown()

    def _readable(self, span: FinishedSpan) -> "ReadableSpan":
        kind = self._api.SpanKind.SERVER if span.of_a_caller else self._api.SpanKind.INTERNAL
        context, began = span.context, round(span.began * 1e9)
        return self._span(
            span.name,
            context=self._span_context(span, context.span_id),
            parent=self._span_context(span, context.parent_id) if context.parent_id else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=kind,
            status=self._failed if span.failed else self._well,
            start_time=began,
            # A clock that was set back meanwhile.
            end_time=max(began, round(span.ended * 1e9)),
        )

    def _span_context(self, span: FinishedSpan, span_id: str) -> Any:
        context = span.context
        return self._api.SpanContext(
            int(context.trace_id, 16),
            int(span_id, 16),
            is_remote=span.of_a_caller and span_id == context.parent_id,
            trace_flags=self._api.TraceFlags(context.flags),
            trace_state=self._api.TraceState.from_header([context.state]) if context.state else None,
        )


def _plain(readable: "type[ReadableSpan]") -> "type[ReadableSpan]":
    """Returns a type of spans that have no events and no links, and say so at once.

    OpenTelemetry 1.45 counts what was dropped of these and of the attributes for each span: a third of the
    time that it takes to encode one.
    """
    none = {"events": (), "links": (), "dropped_attributes": 0, "dropped_events": 0, "dropped_links": 0}
    return type("PlainSpan", (readable,), none)


def _hashed_once(resource: "type[Resource]") -> "type[Resource]":
    """Returns a type of resources with a quick hash: OpenTelemetry 1.45 writes JSON for it, for each span."""

    def make_hash(self: "Resource") -> int:
        return id(self)

    def is_same(self: "Resource", other: object) -> bool:
        return self is other

    return type("HashedOnce", (resource,), {"__hash__": make_hash, "__eq__": is_same})


def _warn_at_most(record: logging.LogRecord) -> bool:
    """Lowers an error of the exporter to a warning, of which the log has one a minute; keeps every record."""
    if record.levelno > logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


class _CountingSender:
    """Sends batches by an exporter of OpenTelemetry's, and counts the spans that were sent or lost."""

    def __init__(self, exporter: Any, count: Counter) -> None:
        self._exporter, self._sent, self._failed = exporter, count.labels("sent"), count.labels("failed")
        self.done = 0
        """The number of spans that no longer wait."""

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        well = False
        try:
            result: SpanExportResult = self._exporter.export(spans)
            well = result.name == "SUCCESS"
            return result
        finally:
            (self._sent if well else self._failed).inc(len(spans))
            self.done += len(spans)

    def shutdown(self) -> None:
        self._exporter.shutdown()


def span_exporter(
    endpoint: str | None, *, process: Mapping[str, str], count: Counter, share: float = 1.0
) -> AbstractAsyncContextManager[SpanExporter | None]:
    """Returns a context that opens what sends spans to `endpoint`; None without one.

    `process` are the attributes of this process, `count` the counter of spans by what became of them, `share`
    that of the traces begun here which are sampled. Raises `SpansUnusable` at once if nothing can be sent.
    """
    if endpoint is None:
        return contextlib.nullcontext()
    _check(endpoint)
    return contextlib.aclosing(SpanExporter(endpoint, process=process, count=count, share=share))


def _check(endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        fits = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        fits = False
    # The URL is not shown: a password may be in it.
    if not fits:
        raise SpansUnusable("it is no http(s) URL, such as http://127.0.0.1:4318/v1/traces")
    # Errors that name the URL get into the log.
    if url.username is not None or url.password is not None or url.query:
        raise SpansUnusable("a secret does not belong into a URL: put it into OTEL_EXPORTER_OTLP_HEADERS")
    try:
        installed = find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        installed = False
    if not installed:
        raise SpansUnusable("it needs the extra `otel`: pip install 'waypost[otel]'")
