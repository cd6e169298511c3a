"""Delivers notifications: each at least once, signed, tried again with growing pauses, and then given up.

A receiver that is slow or away delays nobody: each message is sent by a task of its own within a time limit,
a few at once to one host. Tenants take turns, and so do the hosts of each (`gateway/store/notifications`).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, NotificationDetail
from gateway.core.run import Notification
from gateway.ended_run_settings import NotificationSettings
from gateway.notifications.message import message_body, signed_headers
from gateway.notifications.permitted_hosts import SETTING
from gateway.notifications.webhook_calls import WebhookCalls
from gateway.start_error import StartError
from gateway.store.interface import Store
from gateway.store.notifications.fair_claim import ClaimRoom
from observability.metrics import Metrics
from waypost.egress.allow_list import Egress

LOOK_SECONDS: Final = 1.0
"""The pause between two looks for messages that are due, while none is."""
BUSY_LOOK_SECONDS: Final = 0.1
BEGUN_AT_ONCE: Final = 16
"""The most messages that are begun after one look: the gateway has submissions to answer beside them."""
AT_ONCE: Final = 128
AT_ONCE_OF_ONE_TENANT: Final = 64
AT_ONCE_TO_ONE_HOST: Final = 8
LONGEST_PAUSE_SECONDS: Final = 21_600.0
BACKLOG_SECONDS: Final = 15.0
"""The pause between two counts of what waits, for the metrics."""
UNLISTED: Final = "none"


class Delivery:
    """Sends the notifications that the store holds. Raises `StartError` for settings that cannot be used."""

    def __init__(
        self, settings: NotificationSettings, store: Store, metrics: Metrics, *, clock: Callable[[], float]
    ) -> None:
        if settings.key is None:
            raise StartError("the setting notifications.key is missing: receivers check it")
        try:
            self._egress = Egress(settings.egress, setting=SETTING)
        except ValueError as error:
            raise StartError(f"{SETTING}: {error}") from error
        self._settings, self._store, self._metrics, self._clock = settings, store, metrics, clock
        self._key = settings.key
        self._calls = WebhookCalls(self._egress, seconds=settings.seconds)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._under_way: Counter[tuple[str, str]] = Counter()
        """How many messages are being sent, by tenant and host."""

    def __repr__(self) -> str:
        return f"Delivery(sending {len(self._sending)}, to {dict(self._under_way)})"

    async def run(self) -> None:
        """Looks for messages that are due and sends them, until it is cancelled."""
        now, counted = asyncio.get_running_loop().time, 0.0
        try:
            while True:
                began = now()
                busy = await self.send_due()
                if began - counted >= BACKLOG_SECONDS:
                    counted = began
                    await self.show_backlog()
                # At least as long as the look took: with many hosts it reads a while.
                await asyncio.sleep(max(BUSY_LOOK_SECONDS if busy else LOOK_SECONDS, now() - began))
        finally:
            for sending in self._sending.values():
                sending.cancel()

    async def send_due(self) -> bool:
        """Begins to send messages that are due, as many as there is room for; returns whether more may be."""
        limit, now = min(BEGUN_AT_ONCE, AT_ONCE - len(self._sending)), self._clock()
        if limit <= 0:
            return True
        room = ClaimRoom(
            limit=limit,
            of_one_tenant=AT_ONCE_OF_ONE_TENANT,
            to_one_host=AT_ONCE_TO_ONE_HOST,
            sending=dict(self._under_way),
        )
        # A gateway that dies meanwhile leaves them to the next one, a little later.
        until = now + 2 * self._settings.seconds
        try:
            due = await self._store.claim_notifications(now=now, until=until, room=room)
        except Unavailable:
            return False
        for notification in due:
            if notification.id in self._sending:
                continue
            self._under_way[notification.tenant, notification.host] += 1
            task = asyncio.create_task(self._deliver(notification), name=f"notification {notification.id}")
            self._sending[notification.id] = task
            task.add_done_callback(partial(self._ended, notification))
        # Also where nothing was due: what is under way may keep others to its host waiting.
        return bool(self._sending)

    async def show_backlog(self) -> None:
        """Sets the metrics of what waits in the store."""
        try:
            backlog = await self._store.notification_backlog()
        except Unavailable:
            return
        late = 0.0 if backlog.due_at is None else max(0.0, self._clock() - backlog.due_at)
        self._metrics.notifications_waiting.set(backlog.waiting)
        self._metrics.notifications_late.set(late)

    def _ended(self, notification: Notification, done: "asyncio.Task[None]") -> None:
        del self._sending[notification.id]
        key = (notification.tenant, notification.host)
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]
        if not done.cancelled() and (error := done.exception()) is not None:
            logger.opt(exception=error).error("a notification of run {} failed", notification.run)

    async def _deliver(self, notification: Notification) -> None:
        tries = notification.tries + 1
        try:
            fault = await self._send(notification)
            if fault and tries < self._settings.tries:
                pause = min(self._settings.pause_seconds * 2 ** (tries - 1), LONGEST_PAUSE_SECONDS)
                until = self._clock() + pause
                await self._store.put_off_notification(notification.id, tries=tries, until=until)
            else:
                await self._store.end_notification(
                    notification.id, entry=self._entry(notification, tries, fault)
                )
        except Unavailable:
            # It becomes due again by itself, and may come twice: receivers know it by its id.
            return
        outcome = "Delivered" if not fault else "Retrying" if tries < self._settings.tries else "GivenUp"
        self._metrics.notifications.labels(self._receiver(notification), outcome).inc()

    def _receiver(self, notification: Notification) -> str:
        """Returns the entry of the settings that lists the host: a host itself is what a caller chooses."""
        url = httpx.URL(notification.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        return self._egress.rule_for(url.host, port) or UNLISTED

    def _entry(self, notification: Notification, tries: int, fault: str) -> HistoryEntry:
        return HistoryEntry(
            run=notification.run,
            kind=HistoryKind.NOTIFICATION_FAILED if fault else HistoryKind.NOTIFIED,
            at=self._clock(),
            detail=NotificationDetail(
                host=notification.host, phase=notification.phase, tries=tries, reason=fault
            ),
        )

    async def _send(self, notification: Notification) -> str:
        """Sends a message once; returns why it was not taken, empty if it was."""
        run = await self._store.run(notification.run)
        if run is None:
            return "the run is not kept any more"
        body = message_body(notification, run)
        headers = signed_headers(notification.id, body, key=self._key.reveal(), now=self._clock())
        return await self._calls.post(notification.url, body, headers)
