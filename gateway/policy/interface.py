"""The interface of a policy engine, which decides whether actions are allowed."""

from typing import Protocol, Self

from gateway.core.decision import Decision, Question


class PolicyEngine(Protocol):
    """The interface of an engine that answers policy queries. Only a well-typed `allow: true` permits.

    `decide` never raises: an error inside is a `Decision` with `fault` set and `allow` False, which becomes a
    503.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def revision(self) -> str:
        """Returns the revision of the policy bundle in use: the same for the same rules and data."""
        ...

    async def check(self) -> None:
        """Checks that the policy engine can answer, for `/readyz`. Raises `Unavailable` if not."""
        ...

    async def decide(self, question: Question) -> Decision: ...
