"""What a verified token says, strictly typed, and who that makes its bearer."""

from typing import Any, Final

from gateway.core.principal import Principal
from gateway.identity.jws_parsing import TokenRejected
from gateway.settings import Issuer

LEEWAY_SECONDS: Final = 60
"""For clocks that differ, on times that lie ahead. An expired token gets none."""


def principal_from(claims: dict[str, Any], issuer: Issuer, now: float) -> Principal:
    """The bearer. Raises `TokenRejected` for a claim that is missing, of the wrong type, or does not hold at `now` (seconds since 1970)."""
    if claims.get("iss") != issuer.url:
        raise TokenRejected("claims.iss")
    _audience(claims.get("aud"), issuer)
    expires_at = _times(claims, issuer, now)
    if "nonce" in claims or "at_hash" in claims or claims.get("typ") in ("ID", "Refresh", "Offline"):
        raise TokenRejected("claims.kind")  # an ID or refresh token
    for name in ("client_id", "jti") if issuer.profile == "rfc9068" else ():
        _text(claims, name)
    return Principal(
        subject=_text(claims, "sub"),
        issuer=issuer.url,
        tenant=_text(claims, issuer.tenant_claim),
        client=_text(claims, "client_id") if "client_id" in claims else "",
        scopes=_scopes(claims.get("scope", claims.get("scp", ""))),
        groups=_texts(claims.get("groups", []), "groups"),
        expires_at=expires_at,
    )


def bound_certificate(claims: dict[str, Any]) -> str | None:
    """The thumbprint of the certificate that the token is bound to (RFC 8705). One bound to a DPoP key is no bearer token (RFC 9449)."""
    cnf = claims.get("cnf")
    if cnf is None:
        return None
    if not isinstance(cnf, dict) or set(cnf) != {"x5t#S256"} or not isinstance(cnf["x5t#S256"], str):
        raise TokenRejected("claims.cnf")
    return str(cnf["x5t#S256"])


def _audience(aud: Any, issuer: Issuer) -> None:
    audiences = aud if isinstance(aud, list) else [aud]
    if not all(isinstance(one, str) for one in audiences) or issuer.audience not in audiences:
        raise TokenRejected("claims.aud")
    if len(audiences) > 1 and not issuer.other_audiences:
        raise TokenRejected("claims.aud")


def _times(claims: dict[str, Any], issuer: Issuer, now: float) -> int:
    expires_at, issued_at, not_before = (claims.get(name) for name in ("exp", "iat", "nbf"))
    for name, value, required in (
        ("exp", expires_at, True),
        ("iat", issued_at, True),
        ("nbf", not_before, False),
    ):
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


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 512 or not value.isprintable():
        raise TokenRejected(f"claims.{name}")
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > 1024
        or not all(isinstance(one, str) and one.isprintable() for one in value)
    ):
        raise TokenRejected(f"claims.{name}")
    return tuple(value)


def _scopes(value: Any) -> tuple[str, ...]:
    """One string, split at spaces and nowhere else (RFC 6749), or a list of such words."""
    words = value.split(" ") if isinstance(value, str) else list(_texts(value, "scope"))
    if any(" " in word for word in words):
        raise TokenRejected("claims.scope")
    return tuple(word for word in words if word)
