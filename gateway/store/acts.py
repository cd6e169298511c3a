"""The interface for audited actions of users and operators (cancel, retry, cordon, ...) in a store.

Query and result types, and the protocol that a store implements.
"""

from typing import Protocol

from msgspec import Struct

from gateway.core.history import ACTS, HistoryEntry, HistoryKind


class ActQuery(Struct, frozen=True, kw_only=True):
    """A query for audited actions of users and operators, by tenant, kind, actor, region, run and time.

    An action is found if it meets all of these conditions that are set.
    """

    tenants: tuple[str, ...] | None
    """The tenants whose runs the caller may see; None: all. Actions on regions are listed for everybody."""
    kinds: tuple[HistoryKind, ...] = ACTS
    actor: str | None = None
    region: str | None = None
    run: str | None = None
    since: float = 0.0
    """The earliest time of the listed actions, in seconds since 1970."""
    limit: int = 50
    before: int | None = None
    """The `seq` of the last entry of the previous page."""


class FoundActs(Struct, frozen=True, kw_only=True):
    """A page of audited actions (as history entries), newest first; the next page begins below seq `next`.

    `next` is None on the last page.
    """

    entries: tuple[HistoryEntry, ...]
    next: int | None


class ListsActs(Protocol):
    """The interface by which a store lists audited actions of users and operators."""

    async def acts(self, query: ActQuery) -> FoundActs:
        """Returns one page of the audited actions that match `query`, newest first.

        The page may be short though more follow: the rows read for one page are bounded. Raises `Unavailable`
        where the store cannot answer.
        """
        ...
