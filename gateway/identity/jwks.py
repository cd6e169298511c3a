"""The keys of one issuer, kept at hand: read again in time, by one reader at a time, and never because a token asks for it too often."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import httpx
import jwt
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.identity.keys import UnfitKeys, read_keys
from gateway.settings import Issuer

BODY_BYTES: Final = 1_048_576
TIMEOUT_SECONDS: Final = 5.0

Keys = dict[str, tuple[jwt.PyJWK, frozenset[str]]]


class KeySet:
    """`clock` is monotonic. `changed` is called when a key has left or changed: what was verified with it does not count any more."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self._issuer, self._clock, self._changed = issuer, clock, changed
        self._keys: Keys = {}
        self._texts: bytes = b""
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        await self._refresh()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    @property
    def due(self) -> bool:
        return self._clock() - self._read_at >= self._issuer.keys_fresh_seconds

    async def key(self, kid: str) -> tuple[jwt.PyJWK, frozenset[str]] | None:
        """The key, or None where the issuer has no such key. Raises `Unavailable` where its keys are out of reach for too long.

        A key set past its time is read again beside; an id that is not known has it read again first, at most once a pause.
        """
        if self.due or kid not in self._keys:
            reading = self._start()
            if reading is not None and (kid not in self._keys or self.stale):
                await asyncio.shield(reading)
        if self.stale:
            raise Unavailable("the issuer's keys cannot be read", retry_after_seconds=self._issuer.keys_pause_seconds)
        return self._keys.get(kid)

    @property
    def stale(self) -> bool:
        """Its last state counts no more: tokens of this issuer cannot be checked."""
        return self._clock() - self._read_at >= self._issuer.keys_stale_seconds

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
            text = await self._fetch()
            keys = read_keys(text, self._issuer.algorithms)
        except (httpx.HTTPError, OSError, UnfitKeys) as error:
            logger.warning("issuer {}: its keys cannot be read: {}", self._issuer.url, error)
            return
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
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > BODY_BYTES:
                    raise UnfitKeys("the answer is too large")
        if response.status_code != httpx.codes.OK:
            raise UnfitKeys(f"the answer is {response.status_code}")
        return body
