"""`JwtAuthenticator`, which verifies access tokens: strict parsing, then the signature, then the claims.

Verified tokens are cached by their SHA-256 until the key set of an issuer changes.
"""

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
from gateway.identity.unknown_callers import UnknownCallers
from gateway.settings import Issuer

CACHED_TOKENS: Final = 10_000
"""The maximum number of cached tokens; beyond it the least recently verified one is dropped."""
REFUSED: Final = "no acceptable token"
JWS: Final = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})
TOKEN_TYPES: Final = {"rfc9068": frozenset({"at+jwt"}), "plain": frozenset({"at+jwt", "jwt", ""})}
"""The permitted values of a token's `typ`, by the issuer's profile: RFC 9068, or plain JWTs."""


class VerifiedToken(Struct, frozen=True, gc=False):
    """The result of verifying a token: its principal, and the certificate that it is bound to, if any."""

    principal: Principal
    certificate: str | None


class JwtAuthenticator:
    """Verifies the access tokens (JWT) of `issuers`, and caches verified tokens: an `Authenticator`.

    `clock` gives seconds since 1970, `monotonic` measures the age of keys. `unknown_callers` limits the
    rate of requests from one address whose token is not in the cache.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        unknown_callers: UnknownCallers | None = None,
    ) -> None:
        self._clock = clock
        self.unknown_callers = unknown_callers or UnknownCallers()
        self._issuers = {issuer.url: issuer for issuer in issuers}
        self._key_sets = {
            issuer.url: KeySetCache(issuer, clock=monotonic, changed=self._drop_cached) for issuer in issuers
        }
        self._verified: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for keys in self._key_sets.values():
            await self._exits.enter_async_context(keys)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    @property
    def issuers_without_keys(self) -> tuple[str, ...]:
        """The URLs of token issuers whose keys are too old, so that no token of theirs can be verified."""
        return tuple(url for url, keys in self._key_sets.items() if keys.stale)

    def key_sets_end_in(self) -> dict[str, float]:
        """Returns, by issuer URL, the seconds until the issuer's keys are too old unless refreshed."""
        return {url: keys.ends_in_seconds for url, keys in self._key_sets.items()}

    async def authenticate(self, credentials: RequestCredentials) -> Principal:
        try:
            token = _bearer(credentials)
        except Unauthenticated:
            await self.unknown_callers.wait(credentials.address, sheds=credentials.sheds)
            raise
        digest = hashlib.sha256(token).digest()
        found = self._verified.get(digest)
        if found is None:
            # Before anything is done that costs time.
            await self.unknown_callers.wait(credentials.address, sheds=credentials.sheds)
            found = self._verified.get(digest)
        now = self._clock()
        try:
            # A cached token is verified again once its key set is due: the key may have been revoked.
            if found is None or self._key_sets[found.principal.issuer].refresh_due:
                found = await self._verify(token, now)
                self._remember(digest, found)
                self.unknown_callers.uncount(credentials.address, sheds=credentials.sheds)
            if found.principal.expires_at <= now:
                self._verified.pop(digest, None)
                raise TokenRejected("claims.exp")
            # Checked for cached tokens too: the certificate belongs to the connection, not to the token.
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
        # The issuer is taken from claims that are not verified yet: it only selects by whose keys they must
        # be signed.
        url = claims.get("iss")
        issuer = self._issuers.get(url) if isinstance(url, str) else None
        if issuer is None:
            raise TokenRejected("claims.iss")
        algorithm, kid = check_header(header, TOKEN_TYPES[issuer.profile])
        if algorithm not in issuer.algorithms:
            raise TokenRejected("header.alg")
        known = await self._key_sets[issuer.url].key(kid)
        if known is None:
            raise TokenRejected("kid.unknown")
        key, algorithms = known
        # RFC 8725, 3.1: the key decides the algorithm. Else an RSA public key could be used as an HMAC
        # secret.
        if algorithm not in algorithms:
            raise TokenRejected("header.alg")
        check_signature(token, key, algorithm)
        return VerifiedToken(principal_from(claims, issuer, now), bound_certificate(claims))

    def _remember(self, digest: bytes, verified: VerifiedToken) -> None:
        self._verified[digest] = verified
        self._verified.move_to_end(digest)
        if len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)

    def _drop_cached(self) -> None:
        """Removes all verified tokens from the cache, since one of their keys may have left its key set."""
        self._verified.clear()


def check_signature(token: bytes, key: jwt.PyJWK, algorithm: str) -> None:
    """Raises `TokenRejected` unless `token` was signed by `key` with `algorithm`."""
    try:
        JWS.decode(token, key.key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        raise TokenRejected("signature") from None


def _bearer(credentials: RequestCredentials) -> bytes:
    """Returns the bearer token in the request's single Authorization header (RFC 6750).

    Raises `Malformed` for several tokens or a token elsewhere, `Unauthenticated` for no token or another
    scheme.
    """
    if credentials.in_query_or_cookie or len(credentials.authorization) > 1:
        raise Malformed("send one token, in the Authorization header alone")
    if not credentials.authorization:
        raise Unauthenticated(REFUSED)
    scheme, space, token = credentials.authorization[0].partition(b" ")
    if scheme.lower() != b"bearer" or not space or not token or token != token.strip() or b" " in token:
        raise Unauthenticated(REFUSED)
    return token
