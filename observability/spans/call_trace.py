"""`CallTrace`, which notes what the span of an API call needs while the call is handled."""

from waypost.tracing.context import TraceContext


class CallTrace:
    """The span of an API call under way, the steps that it has gone through, and what it is about."""

    __slots__ = ("context", "decision_id", "run", "steps")

    def __init__(self, context: TraceContext) -> None:
        self.context = context
        self.steps: list[tuple[str, float, float]] = []
        """The name of each finished step, its beginning and its end, by the performance counter."""
        self.run = ""
        """The id of the run that the call has made; empty if none."""
        self.decision_id = ""
        """The id of the policy decision that the call was permitted or refused by; empty before one."""
