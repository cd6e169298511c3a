"""The values by which recorded decisions of policy are listed: who was refused what, and why."""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from gateway.core.decision import Action, Decision

DOCUMENT_BYTES: Final = 1_048_576
"""The most bytes of documents in a page, but for one document that is larger: a gateway holds all of it."""


class DecisionQuery(Struct, frozen=True, kw_only=True):
    """The conditions by which decisions are listed, newest first: one is listed if all of them hold."""

    tenants: tuple[str, ...] | None
    """The tenants of the callers whose decisions are listed; None: all."""
    refused: bool | None = None
    """Only refusals, or only permissions; None: both."""
    actions: tuple[Action, ...] = tuple(Action)
    subject: str | None = None
    rule: str | None = None
    """Only those that this rule decided."""
    run: str | None = None
    since: float = 0.0
    """The time before which nothing is listed, in seconds since 1970."""
    limit: int = 50
    before: str | None = None
    """The id of the last decision of the page before."""
    documents: bool = False
    """With the documents that they are about; then a page ends before it has `DOCUMENT_BYTES` of them."""


class RecordedDecision(Struct, frozen=True, kw_only=True):
    """A decision as it is recorded: with its question, and what it was about.

    In lists the question has no document, unless it is asked for.
    """

    decision: Decision
    run: str = ""
    """The id of the run that it is about; empty: none, as for a submission that was refused."""
    name: str = ""
    """The name of the workflow that it is about; empty: none."""


class FoundDecisions(Struct, frozen=True, kw_only=True):
    """Decisions, and the id after which the next page begins; None: no more follow."""

    decisions: tuple[RecordedDecision, ...]
    next: str | None


class KeepsDecisions(Protocol):
    """The part of a store that keeps decisions: those of accepted work for good, others up to a bound."""

    async def decision(self, decision_id: str) -> Decision | None:
        """A decision that was stored; None: there is none. Its question has no document."""
        ...

    async def recorded_decision(self, decision_id: str) -> RecordedDecision | None:
        """A decision with its question and document; None: there is none.

        The document is absent where policy masks it, and where it was too large for a refusal.
        """
        ...

    async def decisions(self, query: DecisionQuery) -> FoundDecisions:
        """One page of the decisions that meet the conditions of `query`, newest first.

        It may be short though more follow: what is read for one page is bounded. Raises `Unavailable`.
        """
        ...

    async def record_decision(self, decision: Decision) -> None:
        """Stores for good a decision about which nothing else is stored."""
        ...

    async def record_of_opa(self, records: Sequence[tuple[str, bytes]], *, kept: int) -> None:
        """Stores what OPA has logged of its decisions, JSON by its own ids; the newest `kept` of all stay."""
        ...

    async def opa_record(self, engine_decision_id: str) -> bytes | None:
        """What OPA has logged of the decision with this id; None: nothing, or not any more."""
        ...

    async def record_passing(self, decisions: Sequence[Decision], *, of_tenant: int, in_all: int) -> int:
        """Stores decisions that are kept while there is room: so many of each tenant, and in all.

        Returns how many older ones were deleted for them.
        """
        ...
