"""The keys of one issuer, kept at hand: read again in time, by one reader at a time, and never because a token asks for it too often."""

import asyncio
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import httpx
import jwt
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.identity.key_parsing import InvalidKeySet, parse_key_set
from gateway.settings import Issuer
from waypost.cancellation import cancel_and_wait

BODY_BYTES: Final = 1_048_576
TIMEOUT_SECONDS: Final = 5.0
"""For the whole of a reading: a server that sends a byte now and then would otherwise hold it for ever."""
OVERDUE: Final = 2
"""Where nobody tried to read a key set for so many times its fresh time, it is read before it counts: a gateway may idle."""

Keys = dict[str, tuple[jwt.PyJWK, frozenset[str]]]


def is_trusted_source(source: str) -> bool:
    """May keys come from there? A file, https, or http on this machine; a password in an address ends up in somebody's log."""
    if "://" not in source:
        return True
    try:
        url = httpx.URL(source)
    except httpx.InvalidURL:
        return False
    return (
        bool(url.host)
        and not url.userinfo
        and (url.scheme == "https" or (url.scheme == "http" and _is_here(url.host)))
    )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class KeySetCache:
    """`clock` is monotonic. `changed` is called when a key has left or changed: what was verified with it does not count any more."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self._issuer, self._clock, self._changed = issuer, clock, changed
        self._keys: Keys = {}
        self._texts: bytes = b""
        self._read_at = self._tried_at = self._ended_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        headers = {"accept-encoding": "identity"}
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS, headers=headers, follow_redirects=False, trust_env=False
        )
        await self._refresh()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            await cancel_and_wait((self._reading,))
        if self._client is not None:
            await self._client.aclose()

    @property
    def refresh_due(self) -> bool:
        return self._age >= self._issuer.keys_fresh_seconds

    async def key(self, kid: str) -> tuple[jwt.PyJWK, frozenset[str]] | None:
        """The key, or None where the issuer has no such key. Raises `Unavailable` where its keys are out of reach for too long.

        A key set past its time is read again beside; one that was not looked at for long, or is without this id, is read again first, at
        most once a pause.
        """
        if self.refresh_due or kid not in self._keys:
            reading = self._start()
            overdue = self._clock() - self._ended_at >= OVERDUE * self._issuer.keys_fresh_seconds
            if reading is not None and (kid not in self._keys or overdue or self.stale):
                await asyncio.shield(reading)
        if self.stale:
            raise Unavailable(
                "the issuer's keys cannot be read", retry_after_seconds=self._issuer.keys_pause_seconds
            )
        return self._keys.get(kid)

    @property
    def stale(self) -> bool:
        """Its last state counts no more: tokens of this issuer cannot be checked."""
        return self._age >= self._issuer.keys_stale_seconds

    @property
    def _age(self) -> float:
        return self._clock() - self._read_at

    def _start(self) -> "asyncio.Task[None] | None":
        """The reading under way, or a new one; None while the pause since the last ATTEMPT lasts."""
        if self._reading is None or self._reading.done():
            if self._clock() - self._tried_at < self._issuer.keys_pause_seconds:
                return None
            self._reading = asyncio.create_task(self._refresh())
        return self._reading

    async def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                text = await self._fetch()
            keys = parse_key_set(text, self._issuer.algorithms)
        except (httpx.HTTPError, OSError, InvalidKeySet) as error:
            # Texts of httpx and of the system name the address, which may hold a secret.
            told = str(error) if isinstance(error, InvalidKeySet) else type(error).__name__
            logger.warning("issuer {}: its keys cannot be read: {}", self._issuer.url, told)
            return
        finally:
            self._ended_at = self._clock()
        self._read_at = self._clock()
        if text != self._texts:
            self._keys, self._texts = keys, text
            self._changed()

    async def _fetch(self) -> bytes:
        source = self._issuer.keys
        if not source.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(source).read_bytes)
        if self._client is None:
            raise OSError("not open")
        body = b""
        async with self._client.stream("GET", source) as response:
            if response.status_code != httpx.codes.OK:
                raise InvalidKeySet(f"the answer is {response.status_code}")
            if "content-encoding" in response.headers:
                raise InvalidKeySet("the answer is compressed, which nobody asked for")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > BODY_BYTES:
                    raise InvalidKeySet("the answer is too large")
        return body
