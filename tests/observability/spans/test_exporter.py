"""Tests the export of spans against a receiver of OTLP/HTTP, also one that is down, slow or broken."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client import CollectorRegistry, Counter

from observability.spans import exporter as exporting
from observability.spans.exporter import SpansUnusable, span_exporter
from observability.spans.finished_span import FinishedSpan
from tests.observability.spans.receiver import Receiver, attributes
from waypost.tracing.context import TraceContext

CALLER = TraceContext(trace_id="ab" * 16, span_id="cd" * 8, parent_id="ef" * 8, flags=1, state="vendor=1")
ATTEMPT = CALLER.of_attempt("run", 0, 1)


def finished(
    context: TraceContext = ATTEMPT, *, failed: bool = False, of_a_caller: bool = False
) -> FinishedSpan:
    return FinishedSpan(
        name="attempt",
        context=context,
        began=1_800_000_000.0,
        ended=1_800_000_002.5,
        attributes={"run": "run", "shard": 0},
        failed=failed,
        of_a_caller=of_a_caller,
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def count() -> Counter:
    return Counter("spans", "by what became of them", ["outcome"], registry=CollectorRegistry())


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(exporting, "BATCH", 10)


def counts(count: Counter) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for metric in count.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.value
    }


async def test_a_share_of_new_traces_is_sampled(
    receiver: Receiver, count: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([0.0, 0.24, 0.25, 0.9])
    monkeypatch.setattr("observability.spans.exporter.random.random", lambda: next(drawn))
    async with span_exporter(receiver.url, process={}, count=count, share=0.25) as spans:
        assert spans is not None
        assert [spans.fresh_flags() for _ in range(4)] == [1, 1, 0, 0]


async def test_a_receiver_gets_spans_as_they_were_made(receiver: Receiver, count: Counter) -> None:
    """Ids, parent, times, attributes, `tracestate`, and whose they are."""
    async with span_exporter(receiver.url, process={"service.name": "waypost-test"}, count=count) as spans:
        assert spans is not None
        spans.record(finished(failed=True), finished(CALLER, of_a_caller=True))

    attempt, call = receiver.spans()
    assert (attempt.trace_id.hex(), attempt.span_id.hex()) == ("ab" * 16, ATTEMPT.span_id)
    assert (attempt.parent_span_id.hex(), attempt.trace_state) == ("cd" * 8, "vendor=1")
    assert attempt.end_time_unix_nano - attempt.start_time_unix_nano == 2_500_000_000
    assert attempt.start_time_unix_nano == 1_800_000_000 * 10**9
    assert attributes(attempt) == {"run": "run", "shard": 0}
    assert (attempt.kind, attempt.status.code) == (Span.SPAN_KIND_INTERNAL, Status.STATUS_CODE_ERROR)
    assert (call.kind, call.status.code) == (Span.SPAN_KIND_SERVER, Status.STATUS_CODE_UNSET)
    assert (call.parent_span_id.hex(), call.flags) == ("ef" * 8, 0x300)
    (of_process,) = receiver.requests()[0].resource_spans
    assert [(a.key, a.value.string_value) for a in of_process.resource.attributes] == [
        ("service.name", "waypost-test")
    ]
    assert counts(count) == {"sent": 2}


async def test_a_trace_that_is_not_sampled_is_not_sent(
    receiver: Receiver, count: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller has decided so. Any number of them takes no place from others."""
    monkeypatch.setattr(exporting, "QUEUE_MAXIMUM", 10)
    silent = TraceContext(trace_id="ab" * 16, span_id="cd" * 8, flags=2)
    async with span_exporter(receiver.url, process={}, count=count) as spans:
        assert spans is not None
        spans.record(*[finished(silent)] * 25, finished())

    assert (len(receiver.spans()), counts(count)) == (1, {"sent": 1})


async def test_a_clock_that_was_set_back_makes_no_span_that_ends_before_it_begins(
    receiver: Receiver, count: Counter
) -> None:
    """Receivers refuse those, and all that were sent with them."""
    async with span_exporter(receiver.url, process={}, count=count) as spans:
        assert spans is not None
        spans.record(
            FinishedSpan(
                name="try", context=ATTEMPT, began=1_800_000_002.0, ended=1_800_000_001.0, attributes={}
            )
        )

    (span,) = receiver.spans()
    assert span.end_time_unix_nano == span.start_time_unix_nano


async def test_a_receiver_that_hangs_costs_spans_and_nothing_else(
    receiver: Receiver, count: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded, what is too much is counted, and neither a call nor the exit waits for it."""
    monkeypatch.setattr(exporting, "QUEUE_MAXIMUM", 10)
    monkeypatch.setattr(exporting, "CLOSE_SECONDS", 0.05)
    receiver.open.clear()
    async with span_exporter(receiver.url, process={}, count=count) as spans:
        assert spans is not None
        spans.record(*[finished()] * 25)
        # Sent, and not answered: it still waits.
        await asyncio.to_thread(receiver.arrived.wait)
        spans.record(*[finished()] * 25)
        assert repr(spans) == "SpanExporter(10 taken, 0 sent or failed)"

    # The receiver still hangs, and the exporter is closed.
    assert not receiver.open.is_set()
    assert counts(count) == {"dropped": 40}


@pytest.mark.parametrize("status", [400, 500])
async def test_what_a_receiver_refuses_is_counted(receiver: Receiver, count: Counter, status: int) -> None:
    """A batch that it does not take is lost, and the next one is sent."""
    receiver.status = status
    async with span_exporter(receiver.url, process={}, count=count) as spans:
        assert spans is not None
        spans.record(finished())
        await receiver.wait_for("attempt")

    assert counts(count) == {"failed": 1}


async def test_a_receiver_that_is_down_holds_up_nothing(
    count: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens at the address, from the beginning to the exit."""
    monkeypatch.setattr(exporting, "SEND_SECONDS", 0.2)
    with Receiver() as gone:
        url = gone.url
    async with span_exporter(url, process={}, count=count) as spans:
        assert spans is not None
        spans.record(finished(), finished())

    assert counts(count) == {"failed": 2}


async def test_without_an_endpoint_nothing_is_exported(count: Counter) -> None:
    """Which is the default."""
    async with span_exporter(None, process={}, count=count) as spans:
        assert spans is None


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("127.0.0.1:4318", "no http"),
        ("grpc://127.0.0.1:4317", "no http"),
        ("http://", "no http"),
        ("http://127.0.0.1:x", "no http"),
        ("http://[::1", "no http"),
        ("http://ada:secret@127.0.0.1/v1/traces", "a secret"),
        ("http://127.0.0.1/v1/traces?key=secret", "a secret"),
    ],
)
def test_an_endpoint_that_cannot_be_sent_to_is_refused(endpoint: str, why: str, count: Counter) -> None:
    """At the start, and without showing it."""
    with pytest.raises(SpansUnusable, match=why) as refused:
        span_exporter(endpoint, process={}, count=count)
    assert "secret@" not in str(refused.value)
    assert "key=" not in str(refused.value)


def test_without_the_extra_the_start_says_what_to_install(
    count: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a stack trace."""
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)

    with pytest.raises(SpansUnusable, match=r"pip install 'waypost\[otel\]'"):
        span_exporter("http://127.0.0.1:4318/v1/traces", process={}, count=count)
