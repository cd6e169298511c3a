"""Checks the claims of a token whose signature is verified, and makes the caller's `Principal` of them."""

from typing import Any, Final

from gateway.core.principal import Principal
from gateway.identity.jws_parsing import TokenRejected
from gateway.settings import Issuer

OTHER_KINDS_CLAIMS: Final = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "events", "sub_jwk"})
"""The claims that show a token to be no access token: those of ID tokens, and `events` (RFC 8417).

For ID tokens see OpenID Connect Core, 3.3.2.11 and 7.4, and FAPI; logout and security event tokens have
`events`.
"""
ACCESS_TOKEN_KINDS: Final = {
    "typ": frozenset({"bearer", "at+jwt"}),
    "token_use": frozenset({"access"}),
    "token_type": frozenset({"bearer", "access", "access_token", "at+jwt"}),
}
"""The claims that name a token's kind, each with the values, in lower case, that mean an access token.

All may be missing. `typ` is Keycloak's, `token_use` that of Amazon Cognito.
"""
LEEWAY_SECONDS: Final = 60
"""The clock difference that is tolerated for `iat` and `nbf`. An expired token gets no leeway."""


def principal_from(claims: dict[str, Any], issuer: Issuer, now: float) -> Principal:
    """Checks the claims of a token from `issuer` at `now` (seconds since 1970); returns the principal.

    Raises `TokenRejected` for a claim that is missing, has the wrong type or is not satisfied.
    """
    if claims.get("iss") != issuer.url:
        raise TokenRejected("claims.iss")
    _check_audience(claims.get("aud"), issuer)
    expires_at = _expiry(claims, issuer, now)
    _check_kind(claims)
    for name in ("client_id", "jti") if issuer.profile == "rfc9068" else ():
        _string(claims, name)
    return Principal(
        subject=_string(claims, "sub"),
        issuer=issuer.url,
        tenant=_string(claims, issuer.tenant_claim),
        client=_string(claims, "client_id") if "client_id" in claims else "",
        scopes=_scopes(claims.get("scope", claims.get("scp", ""))),
        groups=_strings(claims.get("groups", []), "groups"),
        expires_at=expires_at,
    )


def bound_certificate(claims: dict[str, Any]) -> str | None:
    """Returns the SHA-256 of the client certificate that the token is bound to (RFC 8705); None if unbound.

    Raises `TokenRejected` for a token that is bound to something else, such as a DPoP key (RFC 9449).
    """
    cnf = claims.get("cnf")
    if cnf is None:
        return None
    if not isinstance(cnf, dict) or set(cnf) != {"x5t#S256"} or not isinstance(cnf["x5t#S256"], str):
        raise TokenRejected("claims.cnf")
    return str(cnf["x5t#S256"])


def _check_kind(claims: dict[str, Any]) -> None:
    """Raises `TokenRejected` for ID, refresh, logout and security event tokens: only access tokens pass.

    Other tokens prove a login to some client, or an event, not the right to call this API.
    """
    if not OTHER_KINDS_CLAIMS.isdisjoint(claims):
        raise TokenRejected("claims.kind")
    for name, good in ACCESS_TOKEN_KINDS.items():
        # A list of what is good: issuers make up kinds of their own, which no list of bad ones has.
        if name in claims and not (isinstance(claims[name], str) and claims[name].lower() in good):
            raise TokenRejected("claims.kind")


def _check_audience(aud: Any, issuer: Issuer) -> None:
    """Raises `TokenRejected` unless the token's audience (`aud`) is this API.

    It may be one audience of several only if the issuer's settings permit that.
    """
    audiences = aud if isinstance(aud, list) else [aud]
    if not all(isinstance(one, str) for one in audiences) or issuer.audience not in audiences:
        raise TokenRejected("claims.aud")
    # A token for several audiences could be replayed here by any of the others.
    if len(audiences) > 1 and not issuer.other_audiences:
        raise TokenRejected("claims.aud")


def _expiry(claims: dict[str, Any], issuer: Issuer, now: float) -> int:
    """Checks the token's times `exp`, `iat` and `nbf`, and returns `exp`.

    Raises `TokenRejected` for a time that is no integer, a token that has expired or is not valid yet, and a
    lifetime that is longer than the issuer's may be.
    """
    expires_at, issued_at, not_before = (claims.get(name) for name in ("exp", "iat", "nbf"))
    for name, value, required in (
        ("exp", expires_at, True),
        ("iat", issued_at, True),
        ("nbf", not_before, False),
    ):
        # RFC 7519 permits fractions; strings, floats and booleans are refused, since readers round them
        # differently.
        if (value is not None or required) and type(value) is not int:
            raise TokenRejected(f"claims.{name}")
    if expires_at is None or expires_at <= now:
        raise TokenRejected("claims.exp")
    if (
        issued_at is None
        or issued_at > now + LEEWAY_SECONDS
        or expires_at - issued_at > issuer.maximum_lifetime_seconds
    ):
        raise TokenRejected("claims.iat")
    if not_before is not None and not_before > now + LEEWAY_SECONDS:
        raise TokenRejected("claims.nbf")
    return int(expires_at)


def _string(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512 or not value.isprintable():
        raise TokenRejected(f"claims.{name}")
    return value


def _strings(value: Any, name: str) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > 1024
        or not all(isinstance(one, str) and one.isprintable() for one in value)
    ):
        raise TokenRejected(f"claims.{name}")
    return tuple(value)


def _scopes(value: Any) -> tuple[str, ...]:
    """Parses a scope claim: a string separated by spaces alone (RFC 6749, 3.3), or a list of words.

    Raises `TokenRejected` for any other value.
    """
    words = value.split(" ") if isinstance(value, str) else list(_strings(value, "scope"))
    if any(" " in word for word in words):
        raise TokenRejected("claims.scope")
    return tuple(word for word in words if word)
