"""Tokens verified: our strict reading first, then PyJWT and cryptography for the signature, then the claims."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

import jwt
from loguru import logger
from msgspec import Struct

from gateway.core.errors import HeadersTooLarge, Malformed, Unauthenticated
from gateway.core.principal import Principal
from gateway.identity.claims import bound_certificate, principal_from
from gateway.identity.interface import RequestCredentials
from gateway.identity.jws_parsing import HeaderTooLarge, TokenRejected, check_header, parse_jws
from gateway.identity.key_set_cache import KeySetCache
from gateway.settings import Issuer

CACHED: Final = 10_000
REFUSED: Final = "no acceptable token"
SIGNATURES: Final = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})
TYPES: Final = {"rfc9068": frozenset({"at+jwt"}), "plain": frozenset({"at+jwt", "jwt", ""})}


class VerifiedToken(Struct, frozen=True, gc=False):
    """A token that was verified: who it speaks for, and the certificate it is bound to."""

    principal: Principal
    certificate: str | None


class JwtAuthenticator:
    """Satisfies `Authenticator`. `clock`: seconds since 1970; `monotonic` for the age of keys."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._issuers = {issuer.url: issuer for issuer in issuers}
        self._keys = {
            issuer.url: KeySetCache(issuer, clock=monotonic, changed=self._forget) for issuer in issuers
        }
        self._seen: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for keys in self._keys.values():
            await self._exits.enter_async_context(keys)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    @property
    def issuers_without_keys(self) -> tuple[str, ...]:
        """The issuers whose keys are out of reach for too long."""
        return tuple(url for url, keys in self._keys.items() if keys.stale)

    async def authenticate(self, credentials: RequestCredentials) -> Principal:
        token = _bearer(credentials)
        digest = hashlib.sha256(token).digest()
        found = self._seen.get(digest)
        now = self._clock()
        try:
            if found is None or self._keys[found.principal.issuer].refresh_due:
                found = await self._verify(token, now)
                self._remember(digest, found)
            if found.principal.expires_at <= now:
                self._seen.pop(digest, None)
                raise TokenRejected("claims.exp")
            if found.certificate is not None and found.certificate != credentials.certificate_sha256:
                raise TokenRejected("claims.cnf")
        except HeaderTooLarge:
            raise HeadersTooLarge("the token's header is too large") from None
        except TokenRejected as cause:
            logger.debug("token refused: {}", cause)
            raise Unauthenticated(REFUSED) from cause
        return found.principal

    async def _verify(self, token: bytes, now: float) -> VerifiedToken:
        header, claims = parse_jws(token)
        url = claims.get("iss")
        issuer = self._issuers.get(url) if isinstance(url, str) else None
        if issuer is None:
            raise TokenRejected("claims.iss")
        algorithm, kid = check_header(header, TYPES[issuer.profile])
        if algorithm not in issuer.algorithms:
            raise TokenRejected("header.alg")
        known = await self._keys[issuer.url].key(kid)
        if known is None:
            raise TokenRejected("kid.unknown")
        key, algorithms = known
        if algorithm not in algorithms:
            raise TokenRejected("header.alg")
        check_signature(token, key, algorithm)
        return VerifiedToken(principal_from(claims, issuer, now), bound_certificate(claims))

    def _remember(self, digest: bytes, verified: VerifiedToken) -> None:
        self._seen[digest] = verified
        self._seen.move_to_end(digest)
        if len(self._seen) > CACHED:
            self._seen.popitem(last=False)

    def _forget(self) -> None:
        """A key set has changed: what was verified with a key that left must not count."""
        self._seen.clear()


def check_signature(token: bytes, key: jwt.PyJWK, algorithm: str) -> None:
    """Raises `TokenRejected` unless the token was signed by `key` with `algorithm`."""
    try:
        SIGNATURES.decode(token, key.key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        raise TokenRejected("signature") from None


def _bearer(credentials: RequestCredentials) -> bytes:
    """The token of the one Authorization header. Raises `Malformed` for two tokens, `Unauthenticated` for none."""
    if credentials.in_query_or_cookie or len(credentials.authorization) > 1:
        raise Malformed("send one token, in the Authorization header alone")
    if not credentials.authorization:
        raise Unauthenticated(REFUSED)
    scheme, space, token = credentials.authorization[0].partition(b" ")
    if scheme.lower() != b"bearer" or not space or not token or token != token.strip() or b" " in token:
        raise Unauthenticated(REFUSED)
    return token
