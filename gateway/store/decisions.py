"""The query and result types for recorded policy decisions, and the part of a store that keeps them."""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from gateway.core.decision import Action, Decision
from gateway.core.history import HistoryEntry

DOCUMENT_BYTES: Final = 1_048_576
"""The most bytes of documents in a page, but for one document that is larger: a gateway holds all of it."""


class DecisionQuery(Struct, frozen=True, kw_only=True):
    """A query for recorded decisions, newest first: a decision is listed if all conditions hold."""

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
    """A recorded decision of policy, with its question and the run or region that it was about.

    In lists the question has no document, unless it is asked for.
    """

    decision: Decision
    run: str = ""
    """The id of the run that it is about; empty: none, as for a submission that was refused."""
    name: str = ""
    """The name of the workflow that it is about; empty: none."""


class FoundDecisions(Struct, frozen=True, kw_only=True):
    """A page of decisions, and the id after which the next page begins; None: it is the last."""

    decisions: tuple[RecordedDecision, ...]
    next: str | None


class KeepsDecisions(Protocol):
    """The part of a store that keeps policy decisions: of accepted work for good, others up to a bound."""

    async def decision(self, decision_id: str) -> Decision | None:
        """A stored decision, its question without the document; None: there is none."""
        ...

    async def recorded_decision(self, decision_id: str) -> RecordedDecision | None:
        """A stored decision with its question and document; None: there is none.

        The document is absent where policy masks it, and where it was too large for a refusal.
        """
        ...

    async def decisions(self, query: DecisionQuery) -> FoundDecisions:
        """One page of the decisions that match `query`, newest first.

        A page may be short though more follow: the rows read for one are bounded. Raises `Unavailable`.
        """
        ...

    async def record_decision(self, decision: Decision) -> None:
        """Stores one decision for good, without a run or an entry beside it."""
        ...

    async def record_refused_act(self, decision: Decision, *, entry: HistoryEntry) -> None:
        """Stores a refusal for good, in place of the permission with its id, and its history entry."""
        ...

    async def record_of_opa(self, records: Sequence[tuple[str, bytes]], *, kept: int) -> None:
        """Stores OPA's decision log events, as JSON by OPA's own ids; the newest `kept` of all stay."""
        ...

    async def opa_record(self, engine_decision_id: str) -> bytes | None:
        """OPA's decision log event with this id; None: there is none, or not any more."""
        ...

    async def record_passing(self, decisions: Sequence[Decision], *, of_tenant: int, in_all: int) -> int:
        """Stores decisions within bounds: the newest so many of each tenant, and in all.

        Returns how many older ones were deleted for them.
        """
        ...
