"""The interface by which a store keeps notifications until they are delivered: an outbox."""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.core.history import HistoryEntry
from gateway.core.run import Notification, Notify, Run, RunPhase
from gateway.store.notifications.fair_claim import ClaimRoom


class _Spec(Struct, frozen=True):
    """The part of a document that says who is notified."""

    notify: tuple[Notify, ...] = ()


class _Document(Struct, frozen=True):
    """A document of which only that part is read."""

    spec: _Spec = _Spec()


_decode = msgspec.json.Decoder(_Document).decode


def notifications_of(run: Run, phase: RunPhase, at: float) -> list[Notification]:
    """Returns the notifications about the end of `run` in `phase`; none for a document that asks for none."""
    if b'"notify":[{' not in run.workflow:
        return []
    try:
        asked = _decode(run.workflow).spec.notify
    except msgspec.MsgspecError:
        return []
    return [
        Notification(
            id=f"{run.id}-{at * 1000:.0f}-{index}",
            run=run.id,
            tenant=run.tenant,
            url=one.url,
            host=_host(one.url),
            phase=phase,
            at=at,
        )
        for index, one in enumerate(asked)
        if phase in one.on
    ]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # such a URL is refused at submission; what older gateways took is tried, and given up


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits in the outbox: how many notifications, and when the first of them was due."""

    waiting: int
    due_at: float | None
    """In seconds since 1970; None where none waits."""


class KeepsNotifications(Protocol):
    """The interface by which a store keeps notifications. Each is stored in the commit that ends its run."""

    async def claim_notifications(
        self, *, now: float, until: float, room: ClaimRoom
    ) -> Sequence[Notification]:
        """Returns notifications that are due at `now`, and makes them due again at `until`.

        Tenants take turns, and the hosts of each, as `choose` says, whatever else is due. Until then they are
        the caller's: one that dies meanwhile leaves them to the next.
        """
        ...

    async def notification_backlog(self) -> Backlog:
        """Returns what waits, without what is claimed as long as it is not due again."""
        ...

    async def put_off_notification(self, identity: str, *, tries: int, until: float) -> None:
        """Makes a notification due again at `until`, after so many tries."""
        ...

    async def end_notification(self, identity: str, *, entry: HistoryEntry) -> None:
        """Deletes a notification that was delivered or given up; the history entry says which."""
        ...
