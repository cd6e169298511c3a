"""Explains why a gateway refused the caller's token, from the claims that the caller's own token has.

The signature is not verified: callers may read the claims of their own token.
"""

import time
from typing import Any, Final

import jwt

from gateway.cli.output import format_duration
from gateway.identity.development_issuer import DEVELOPMENT_ISSUER

READ_SCOPE: Final = "workflows:read"
LARGEST_SECONDS: Final = 2**40
"""The largest time claim, in seconds since 1970, that is taken for a time: some 35,000 years from now."""


def explain_refusal(token: str | None, *, development: bool) -> tuple[str, ...]:
    """Returns sentences on why a gateway refuses `token`, as far as its claims show, and on what helps.

    `development`: the gateway is the one that `waypost up` started here.
    """
    if not token:
        lines = ("No token was sent: give one with --token or WAYPOST_TOKEN.",)
        return (*lines, *_mint_hint()) if development else lines
    claims = _claims(token)
    if claims is None:
        return ("The token is not a JWT: three parts in base64url, with dots between them.",)
    is_development_token = claims.get("iss") == DEVELOPMENT_ISSUER
    if wrong := _wrong_form(claims) or _wrong_time(claims):
        return (wrong, *_mint_hint()) if development or is_development_token else (wrong,)
    if is_development_token and not development:
        return ("It is a development token: only a gateway started with --dev and the same key takes it.",)
    if development and not is_development_token:
        return (f"Its issuer is {claims.get('iss')!r}; this is a development gateway.", *_mint_hint())
    return (
        f"It is of issuer {claims.get('iss')!r} for audience {claims.get('aud')!r}, and has not expired.",
        "The gateway's log says under this trace why it was refused.",
    )


def explain_missing_scope(token: str | None, method: str, path: str) -> tuple[str, ...]:
    """Returns a sentence naming the scope for reading runs, if the request needs it and `token` lacks it."""
    if method != "GET" or not path.startswith("/v1/runs") or lacks_scope(token, READ_SCOPE) is not True:
        return ()
    return (f"The token has no scope {READ_SCOPE}, without which no run is seen.",)


def lacks_scope(token: str | None, scope: str) -> bool | None:
    """Returns whether `token` lacks the `scope`; None if the token cannot be parsed."""
    claims = _claims(token) if token else None
    if claims is None:
        return None
    found = claims.get("scope", claims.get("scp", ""))
    words = found.split(" ") if isinstance(found, str) else found
    return scope not in words if isinstance(words, list) else None


def subject_of(token: str) -> str | None:
    """Returns the subject in the claims of `token`; None if the token cannot be parsed."""
    subject = (_claims(token) or {}).get("sub")
    return subject if isinstance(subject, str) else None


def _mint_hint() -> tuple[str, ...]:
    return ("`waypost token mint --dev` makes one for this development gateway.",)


def _claims(token: str) -> dict[str, Any] | None:
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None


def _wrong_form(claims: dict[str, Any]) -> str | None:
    """Returns a sentence if `exp`, `iat` or `nbf` of the token is not a valid time; None if all are."""
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name, 0)
        if type(value) is not int or abs(value) >= LARGEST_SECONDS:
            return f"The token's {name} is {value!r:.40}: a gateway takes whole seconds since 1970 alone."
    return "The token has no exp: a gateway takes none without an end." if "exp" not in claims else None


def _wrong_time(claims: dict[str, Any]) -> str | None:
    """Returns a sentence if the token has expired or is not valid yet by this machine's clock."""
    now, expires, begins = time.time(), claims.get("exp"), claims.get("nbf")
    if expires is not None and expires <= now:
        ago = format_duration(now - expires)
        return f"The token expired {ago} ago, at {_format_time(expires)}: get a new one."
    if begins is not None and begins > now:
        return f"The token is not valid before {_format_time(begins)}, in {format_duration(begins - now)}."
    return None


def _format_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))
