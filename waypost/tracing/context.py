"""`TraceContext`, which names one span of a trace (one timed operation) as W3C trace context does."""

import hashlib
from typing import Final

from msgspec import Struct

SAMPLED: Final = 1
"""The bit of a trace's flags that says that its beginner may have recorded it."""
FLAGS: Final = 3
"""The bits of the flags that W3C has defined: sampled, and `the trace id is random`. Others are not sent."""


class TraceContext(Struct, frozen=True, kw_only=True, gc=False):
    """The name of one span: the id of its trace and its own, with what every span of the trace shares."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    """The id of the span that this one is part of; empty for the first of a trace."""
    flags: int = 0
    state: str = ""
    """The `tracestate` of the trace, for the tracing systems of others; empty without one."""

    @property
    def sampled(self) -> bool:
        """Whether the spans of the trace are to be recorded."""
        return self.flags & SAMPLED != 0

    @property
    def traceparent(self) -> str:
        """This span as W3C Trace Context writes it, for an HTTP header or the variable `TRACEPARENT`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which a process learns of the span that it runs in."""
        variables = {"TRACEPARENT": self.traceparent}
        return variables | {"TRACESTATE": self.state} if self.state else variables

    def of_attempt(self, run: str, shard: int, epoch: int) -> "TraceContext":
        """Returns the span of an attempt of a run, where this is the span of the run's submission."""
        return self._child(f"{run}/{shard}/{epoch}")

    def of_try(self, task: str, tries: int) -> "TraceContext":
        """Returns the span of one try of a task, where this is the span of an attempt."""
        return self._child(f"{task}/{tries}")

    def of_step(self, step: str) -> "TraceContext":
        """Returns the span of a step of a request, where this is the span of the request."""
        return self._child(step)

    def _child(self, name: str) -> "TraceContext":
        """Returns the span `name` within this one; its id follows from the two.

        So nobody has to keep or to send it: a gateway and a cluster give the same, also after a restart.
        """
        digest = hashlib.blake2b(f"{self.trace_id}/{self.span_id}/{name}".encode(), digest_size=8)
        return TraceContext(
            trace_id=self.trace_id,
            span_id=digest.hexdigest(),
            parent_id=self.span_id,
            flags=self.flags,
            state=self.state,
        )


def trace_fields(span: TraceContext | None) -> dict[str, str]:
    """Returns the fields of a log line about what is done within `span`: its `trace_id`, or none."""
    return {} if span is None else {"trace_id": span.trace_id}
