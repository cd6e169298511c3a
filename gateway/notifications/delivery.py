"""Delivers notifications: each at least once, signed, tried again with growing pauses, and then given up.

A receiver that is slow or away delays nobody: each message is sent by a task of its own within a time limit,
a few at once to one host, and those that were tried least come first.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import httpx
from loguru import logger

from clusters.embedded.executors.http.checked_connections import (
    CheckedBackend,
    CheckedTransport,
    EgressRefused,
)
from clusters.embedded.executors.http.egress import Egress
from gateway.core.errors import Unavailable
from gateway.core.history import HistoryEntry, HistoryKind, NotificationDetail
from gateway.core.run import Notification
from gateway.ended_run_settings import NotificationSettings
from gateway.notifications.message import message_body, signed_headers
from gateway.start_error import StartError
from gateway.store.interface import Store

LOOK_SECONDS: Final = 1.0
"""The pause between two looks for messages that are due."""
AT_ONCE: Final = 64
AT_ONCE_TO_ONE_HOST: Final = 8
LONGEST_PAUSE_SECONDS: Final = 21_600.0


class Delivery:
    """Sends the notifications that the store holds. Raises `StartError` for settings that cannot be used."""

    def __init__(self, settings: NotificationSettings, store: Store, clock: Callable[[], float]) -> None:
        if settings.key is None:
            raise StartError("the setting notifications.key is missing: receivers check it")
        try:
            egress = Egress(settings.egress)
        except ValueError as error:
            raise StartError(f"the setting notifications.egress: {error}") from error
        self._settings, self._store, self._clock = settings, store, clock
        self._key = settings.key
        self._backend = CheckedBackend(egress, ThreadPoolExecutor(8, "notification names"))
        self._tls = ssl.create_default_context()
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._hosts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Delivery(sending {len(self._sending)}, to {dict(self._hosts)})"

    async def run(self) -> None:
        """Looks for messages that are due and sends them, until it is cancelled."""
        try:
            while True:
                await self.send_due()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for sending in self._sending.values():
                sending.cancel()

    async def send_due(self) -> None:
        """Begins to send the messages that are due, as many as there is room for."""
        room, now = AT_ONCE - len(self._sending), self._clock()
        if not room:
            return
        # A gateway that dies meanwhile leaves them to the next one, a little later.
        until = now + 2 * self._settings.seconds
        try:
            due = await self._store.claim_notifications(now=now, until=until, limit=room)
        except Unavailable:
            return
        for notification in due:
            host = _host(notification)
            if notification.id in self._sending or self._hosts[host] >= AT_ONCE_TO_ONE_HOST:
                continue
            self._hosts[host] += 1
            task = asyncio.create_task(self._deliver(notification), name=f"notification {notification.id}")
            self._sending[notification.id] = task
            task.add_done_callback(partial(self._ended, notification))

    def _ended(self, notification: Notification, done: "asyncio.Task[None]") -> None:
        del self._sending[notification.id]
        host = _host(notification)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
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
                return
            await self._store.end_notification(notification.id, entry=self._entry(notification, tries, fault))
        except Unavailable:
            # It becomes due again by itself, and may come twice: receivers know it by its id.
            return

    def _entry(self, notification: Notification, tries: int, fault: str) -> HistoryEntry:
        return HistoryEntry(
            run=notification.run,
            kind=HistoryKind.NOTIFICATION_FAILED if fault else HistoryKind.NOTIFIED,
            at=self._clock(),
            detail=NotificationDetail(
                host=_host(notification), phase=notification.phase, tries=tries, reason=fault
            ),
        )

    async def _send(self, notification: Notification) -> str:
        """Sends a message once; returns why it was not taken, empty if it was."""
        run = await self._store.run(notification.run)
        if run is None:
            return "the run is not kept any more"
        body = message_body(notification, run)
        headers = signed_headers(notification.id, body, key=self._key.reveal(), now=self._clock())
        # No redirects, no proxies of the environment: what was checked is what is called.
        client = httpx.AsyncClient(
            transport=CheckedTransport(self._backend, self._tls), trust_env=False, follow_redirects=False
        )
        try:
            async with (
                asyncio.timeout(self._settings.seconds),
                client,
                client.stream("POST", notification.url, headers=headers, content=body) as answer,
            ):
                # The body is not read: it may have any size.
                return "" if answer.is_success else f"the answer was {answer.status_code}"
        except TimeoutError:
            return f"no answer within {self._settings.seconds:g} s"
        except EgressRefused as error:
            return str(error)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"it could not be sent: {type(error).__name__}"


def _host(notification: Notification) -> str:
    return httpx.URL(notification.url).host
