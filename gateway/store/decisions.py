"""The interface for recorded policy decisions in a store: query and result types, and the protocol."""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from gateway.core.decision import Action, Decision
from gateway.core.history import HistoryEntry

DOCUMENT_BYTES: Final = 1_048_576
"""The maximum total size of the documents in a page, in bytes; a single larger document is still returned."""


class DecisionQuery(Struct, frozen=True, kw_only=True):
    """A query for recorded policy decisions, by tenant, result, action, subject, rule, run and time.

    A decision is found if it meets all of these conditions that are set.
    """

    tenants: tuple[str, ...] | None
    """The tenants of the callers whose decisions are listed; None: all."""
    refused: bool | None = None
    """Whether only refusals (True) or only permissions (False) are listed; None: both."""
    actions: tuple[Action, ...] = tuple(Action)
    subject: str | None = None
    rule: str | None = None
    """The rule by which the listed decisions were made; None: any."""
    run: str | None = None
    since: float = 0.0
    """The earliest time of the listed decisions, in seconds since 1970."""
    limit: int = 50
    before: str | None = None
    """The id of the last decision of the previous page."""
    documents: bool = False
    """Whether the workflow documents are returned too; then a page ends at `DOCUMENT_BYTES` of documents."""


class RecordedDecision(Struct, frozen=True, kw_only=True):
    """A recorded policy decision, with the policy query, and the run or region that it was about.

    In lists the query has no document, unless that is asked for.
    """

    decision: Decision
    run: str = ""
    """The id of the run that the decision is about; empty if there is none, as for a refused submission."""
    name: str = ""
    """The name of the workflow that the decision is about; empty if there is none."""


class FoundDecisions(Struct, frozen=True, kw_only=True):
    """A page of recorded policy decisions, newest first; the next page begins after the id `next`.

    `next` is None on the last page.
    """

    decisions: tuple[RecordedDecision, ...]
    next: str | None


class KeepsDecisions(Protocol):
    """The interface by which a store keeps policy decisions: those of accepted work for good.

    Of other decisions only the newest are kept, up to a bound.
    """

    async def decision(self, decision_id: str) -> Decision | None:
        """Reads the policy decision with this id, its query without the document; None if there is none."""
        ...

    async def recorded_decision(self, decision_id: str) -> RecordedDecision | None:
        """Reads the policy decision with this id, with its query and document; None if there is none.

        The document is absent where policy masked it or gave no answer, and where a refused document was too
        large to be kept.
        """
        ...

    async def decisions(self, query: DecisionQuery) -> FoundDecisions:
        """Returns one page of the policy decisions that match `query`, newest first.

        The page may be short though more follow: the rows read for one page are bounded. Raises `Unavailable`
        where the store cannot answer.
        """
        ...

    async def record_decision(self, decision: Decision) -> None:
        """Stores one policy decision for good, without a run or history entry."""
        ...

    async def record_refused_act(self, decision: Decision, *, entry: HistoryEntry) -> None:
        """Stores, for good, the gateway's refusal of an action that policy had permitted, and an `entry`.

        The refusal replaces the stored permission, which has the same id. `entry` is the history entry about
        it.
        """
        ...

    async def record_of_opa(self, records: Sequence[tuple[str, bytes]], *, kept: int) -> None:
        """Stores events of OPA's decision log, as (OPA's own id, JSON); keeps only the newest `kept`."""
        ...

    async def opa_record(self, engine_decision_id: str) -> bytes | None:
        """Reads the event of OPA's decision log with this id of OPA's; None if none is stored (any more)."""
        ...

    async def record_passing(self, decisions: Sequence[Decision], *, of_tenant: int, in_all: int) -> int:
        """Stores policy decisions that need not be kept for good; returns how many older ones it deletes.

        Of such decisions the newest `of_tenant` of each tenant and the newest `in_all` in total are kept.
        """
        ...
