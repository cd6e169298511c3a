"""Tests the spans of attempts and tries, whose ids gateway and cluster work out each by itself."""

from waypost.tracing.context import TraceContext

SUBMISSION = TraceContext(trace_id="ab" * 16, span_id="cd" * 8, flags=1, state="vendor=1")


def test_each_attempt_and_try_has_a_span_of_its_own_in_the_same_trace() -> None:
    """A failover and a retry are seen as what they are: another span of the same trace."""
    attempts = [SUBMISSION.of_attempt("run", shard, epoch) for shard in (0, 1) for epoch in (1, 2)]
    spans = [SUBMISSION, *attempts, *(attempt.of_try("a", tries) for attempt in attempts for tries in (1, 2))]

    assert len({span.span_id for span in spans}) == len(spans)
    assert {(span.trace_id, span.flags, span.state) for span in spans} == {("ab" * 16, 1, "vendor=1")}


def test_the_id_of_a_span_is_the_same_in_every_version() -> None:
    """The gateway and a cluster of another version must mean the same span."""
    attempt = SUBMISSION.of_attempt("0197-run", 7, 2)

    assert (attempt.span_id, attempt.of_try("export", 3).span_id) == ("a28185b1f16be951", "7a38815f568fc0dc")
    assert attempt.environment == {
        "TRACEPARENT": f"00-{'ab' * 16}-{attempt.span_id}-01",
        "TRACESTATE": "vendor=1",
    }
