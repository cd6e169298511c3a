"""May they? The policy engine, whichever it is."""

from typing import Protocol, Self

from gateway.core.decision import Decision, Question


class PolicyEngine(Protocol):
    """Answers questions by Rego. Deny by default: anything but a complete, well-typed `allow: true` is a refusal.

    `decide` never raises: what goes wrong inside is a `Decision` with `fault` set and `allow` False (the stage makes it a 503).
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def revision(self) -> str:
        """Names the rules and data in force: the same text and data give the same revision."""
        ...

    async def decide(self, question: Question) -> Decision: ...
