"""Explains a refused token from what it says of itself: the gateway's answer names no check that failed.

It is read without a check of its signature, as only its bearer may: what it says is the bearer's to know.
"""

import time
from typing import Any, Final

import jwt

from gateway.cli.output import format_duration
from gateway.identity.development_issuer import DEVELOPMENT_ISSUER

LARGEST_SECONDS: Final = 2**40
"""Times beyond it, some 35,000 years from now, are not taken for times."""


def explain_refusal(token: str | None, *, development: bool) -> tuple[str, ...]:
    """Lines that say what is wrong with `token`, as far as it can be seen here, and what helps.

    `development`: the gateway is the one that `waypost up` started here.
    """
    if not token:
        lines = ("No token was sent: give one with --token or WAYPOST_TOKEN.",)
        return (*lines, *_mint_hint()) if development else lines
    claims = _claims(token)
    if claims is None:
        return ("The token is not a JWT: three parts in base64url, with dots between them.",)
    is_development_token = claims.get("iss") == DEVELOPMENT_ISSUER
    if wrong := _wrong_time(claims):
        return (wrong, *_mint_hint()) if development or is_development_token else (wrong,)
    if is_development_token and not development:
        return ("It is a development token: only a gateway started with --dev and the same key takes it.",)
    if development and not is_development_token:
        return (f"Its issuer is {claims.get('iss')!r}; this is a development gateway.", *_mint_hint())
    return (
        f"It is of issuer {claims.get('iss')!r} for audience {claims.get('aud')!r}, and has not expired.",
        "The gateway's log says under this trace why it was refused.",
    )


def subject_of(token: str) -> str | None:
    """The subject that `token` names; None where it cannot be read."""
    subject = (_claims(token) or {}).get("sub")
    return subject if isinstance(subject, str) else None


def _mint_hint() -> tuple[str, ...]:
    return ("`waypost token mint --dev` makes one for this development gateway.",)


def _claims(token: str) -> dict[str, Any] | None:
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None


def _wrong_time(claims: dict[str, Any]) -> str | None:
    """A sentence about a token that is not valid now, by this machine's clock."""
    now, expires, begins = time.time(), _seconds(claims, "exp"), _seconds(claims, "nbf")
    if expires is not None and expires <= now:
        ago = format_duration(now - expires)
        return f"The token expired {ago} ago, at {_format_time(expires)}: get a new one."
    if begins is not None and begins > now:
        return f"The token is not valid before {_format_time(begins)}, in {format_duration(begins - now)}."
    return None


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    """The claim as finite seconds since 1970; None where it is missing or anything else."""
    value: Any = claims.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < LARGEST_SECONDS else None


def _format_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))
