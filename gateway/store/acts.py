"""The values by which acts of people are listed: who cancelled, retried, cordoned, forgot, ..."""

from typing import Protocol

from msgspec import Struct

from gateway.core.history import ACTS, HistoryEntry, HistoryKind


class ActQuery(Struct, frozen=True, kw_only=True):
    """The conditions by which acts are listed, newest first: one is listed if all of them hold."""

    tenants: tuple[str, ...] | None
    """The tenants whose runs the caller may see; None: all. Acts on regions are listed for everybody."""
    kinds: tuple[HistoryKind, ...] = ACTS
    actor: str | None = None
    region: str | None = None
    run: str | None = None
    since: float = 0.0
    """The time before which nothing is listed, in seconds since 1970."""
    limit: int = 50
    before: int | None = None
    """The `seq` of the last entry of the page before."""


class FoundActs(Struct, frozen=True, kw_only=True):
    """History entries, and the `seq` after which the next page begins; None: no more follow."""

    entries: tuple[HistoryEntry, ...]
    next: int | None


class ListsActs(Protocol):
    """The part of a store that lists what people had done."""

    async def acts(self, query: ActQuery) -> FoundActs:
        """One page of the acts that meet the conditions of `query`, newest first.

        It may be short though more follow: what is read for one page is bounded. Raises `Unavailable`.
        """
        ...
