"""`KeySetCache`, which caches the keys (JWKS) of one token issuer and refreshes them when they are due.

However many tokens ask for unknown keys, the issuer is called at most once in `keys_pause_seconds`.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

import httpx
import jwt
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.identity.issuer_metadata import METADATA_PATH, cause_of, key_source, keys_address
from gateway.identity.key_parsing import InvalidKeySet, parse_key_set
from gateway.settings import Issuer
from waypost.cancellation import cancel_and_wait
from waypost.tls_reloading import followed, reloaded_roots_context

MAXIMUM_BODY_BYTES: Final = 1_048_576
TIMEOUT_SECONDS: Final = 5.0
"""The time limit of a whole refresh, against a server that sends a byte now and then."""
OVERDUE_FACTOR: Final = 2
"""The multiple of `keys_fresh_seconds` without a refresh after which keys are not used before one.

This happens on an idle gateway, where no request has started a refresh.
"""

Keys = dict[str, tuple[jwt.PyJWK, frozenset[str]]]


class KeySetCache:
    """The cached keys of one token issuer, by key id. `clock` gives monotonic seconds.

    `changed` is called when the key set has changed: tokens verified with a key that was removed must not be
    accepted any more.
    """

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self._issuer, self._clock, self._changed = issuer, clock, changed
        self._source = None if issuer.keys is None else key_source(issuer.keys)
        self._keys: Keys = {}
        self._key_set_text: bytes = b""
        self._read_at = self._attempted_at = self._attempt_ended_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # A client loads all roots of the system, which takes longer than all else: for a file there is none.
        if self._source is None or isinstance(self._source, httpx.URL):
            self._client = await self._open_client()
        await self._refresh()
        return self

    async def _open_client(self) -> httpx.AsyncClient:
        verify: ssl.SSLContext | bool = True
        if self._issuer.ca is not None:
            roots = reloaded_roots_context(self._issuer.ca)
            verify = await self._exits.enter_async_context(followed(roots))
        # Nothing compressed: a few kilobytes can unpack to gigabytes. No redirects and no proxies from the
        # environment: keys come from the configured address alone.
        return httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS,
            headers={"accept-encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
            verify=verify,
        )

    async def __aexit__(self, *_: object) -> None:
        if self._refreshing is not None:
            await cancel_and_wait((self._refreshing,))
        if self._client is not None:
            await self._client.aclose()
        await self._exits.aclose()

    @property
    def refresh_due(self) -> bool:
        """Whether the cached keys are older than `keys_fresh_seconds` and should be fetched again."""
        return self._age >= self._issuer.keys_fresh_seconds

    async def key(self, kid: str) -> tuple[jwt.PyJWK, frozenset[str]] | None:
        """Returns the key with the id `kid` and its algorithms; None if the issuer has no such key.

        Raises `Unavailable` if the cached keys are too old and cannot be fetched.
        """
        # A due set is refreshed in the background and still used. Waited for are: an unknown key id, which
        # may be new; a set that nobody tried to refresh for long, since an idle gateway must not accept a key
        # that was revoked meanwhile; and a stale set.
        if self.refresh_due or kid not in self._keys:
            refreshing = self._start_refresh()
            overdue = (
                self._clock() - self._attempt_ended_at >= OVERDUE_FACTOR * self._issuer.keys_fresh_seconds
            )
            if refreshing is not None and (kid not in self._keys or overdue or self.stale):
                # Others wait for the same refresh: a caller that goes away must not cancel it.
                await asyncio.shield(refreshing)
        if self.stale:
            raise Unavailable(
                "the issuer's keys cannot be read", retry_after_seconds=self._issuer.keys_pause_seconds
            )
        return self._keys.get(kid)

    @property
    def stale(self) -> bool:
        """Whether the cached keys are older than `keys_stale_seconds`, so that no token can be verified."""
        return self._age >= self._issuer.keys_stale_seconds

    @property
    def ends_in_seconds(self) -> float:
        """The seconds until the cached keys are too old to verify tokens, unless refreshed; at least 0."""
        return max(0.0, self._issuer.keys_stale_seconds - self._age)

    @property
    def _age(self) -> float:
        return self._clock() - self._read_at

    def _start_refresh(self) -> "asyncio.Task[None] | None":
        """Returns the running refresh, or a started one; None during the pause after the last attempt."""
        if self._refreshing is None or self._refreshing.done():
            # Counted from the attempt, also a failed one: made-up key ids must not make us call the issuer at
            # will.
            if self._clock() - self._attempted_at < self._issuer.keys_pause_seconds:
                return None
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def _refresh(self) -> None:
        self._attempted_at = self._clock()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                text = await self._fetch()
            keys = parse_key_set(text, self._issuer.algorithms)
        except (httpx.HTTPError, OSError, InvalidKeySet) as error:
            reason = str(error) if isinstance(error, InvalidKeySet) else cause_of(error)
            logger.warning("issuer {}: its keys cannot be read: {}", self._issuer.url, reason)
            return
        finally:
            self._attempt_ended_at = self._clock()
        self._read_at = self._clock()
        if text != self._key_set_text:
            self._keys, self._key_set_text = keys, text
            self._changed()

    async def _fetch(self) -> bytes:
        """Fetches the text of the key set from the file or URL in the settings or the issuer's metadata."""
        source = self._source
        if isinstance(source, Path):
            return await asyncio.to_thread(source.read_bytes)
        if source is None:
            metadata = await self._get(httpx.URL(self._issuer.url.rstrip("/") + METADATA_PATH))
            source = keys_address(metadata, self._issuer.url)
        return await self._get(source)

    async def _get(self, source: httpx.URL) -> bytes:
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
                if len(body) > MAXIMUM_BODY_BYTES:
                    raise InvalidKeySet("the answer is too large")
        return body
