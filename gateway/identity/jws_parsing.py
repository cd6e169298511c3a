"""A token taken apart by one reading of the standards only: whatever two readers could understand differently is refused.

Stands before PyJWT, which is lenient where RFC 7515 leaves room: padding, duplicate names, odd encodings, numbers without end. Sizes are
checked before anything is decoded.
"""

import base64
import binascii
import json
import re
from typing import Any, Final, NoReturn

from waypost.strict_json import DoubledName, distinct

HEADER_BYTES: Final = 8 * 1024
TOKEN_BYTES: Final = 16 * 1024
NESTING: Final = 16
DIGITS: Final = 18
SEGMENT: Final = re.compile(rb"[A-Za-z0-9_-]+")
FORBIDDEN_PARAMETERS: Final = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "crit", "b64"})
"""Header parameters that bring keys along, name places to fetch them from, or change what the bytes mean."""


class TokenRejected(Exception):
    """Why a token does not count, as a word for the log: `kid.unknown`, `claims.exp`. Not for the caller; holds nothing of the token."""


class HeaderTooLarge(Exception):
    """The first segment is longer than any honest header."""


def parse_jws(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not yet verified. Raises `TokenRejected` or `HeaderTooLarge`."""
    header, claims, _ = decode_segments(token)
    return _json_object(header, "header"), _json_object(claims, "claims")


def decode_segments(token: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, payload and signature, decoded. Raises as `parse_jws` does."""
    if b"." not in token[: HEADER_BYTES + 1] and len(token) > HEADER_BYTES:
        raise HeaderTooLarge
    if len(token) > TOKEN_BYTES:
        raise TokenRejected("token.size")
    parts = token.split(b".")
    if len(parts) != 3 or not all(SEGMENT.fullmatch(part) for part in parts):
        raise TokenRejected("token.form")
    return _decoded(parts[0]), _decoded(parts[1]), _decoded(parts[2])


def check_header(header: dict[str, Any], types: frozenset[str]) -> tuple[str, str]:
    """The algorithm and the key's id. `types`: what `typ` may be, in small letters; an empty one stands for a missing `typ`."""
    if found := FORBIDDEN_PARAMETERS & header.keys():
        raise TokenRejected(f"header.{min(found)}")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(algorithm, str):
        raise TokenRejected("header.alg")
    if not isinstance(kid, str) or not 0 < len(kid) <= 256 or not kid.isprintable():
        raise TokenRejected("header.kid")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in types:
        raise TokenRejected("header.typ")
    return algorithm, kid


def _decoded(segment: bytes) -> bytes:
    try:
        found = base64.b64decode(segment + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise TokenRejected("token.base64") from None
    if base64.urlsafe_b64encode(found).rstrip(b"=") != segment:
        raise TokenRejected(
            "token.base64"
        )  # spare bits that are not zero: a second spelling of the same bytes
    return found


def _json_object(text: bytes, part: str) -> dict[str, Any]:
    def refuse(_: str) -> NoReturn:
        raise TokenRejected(f"{part}.number")

    def integer(digits: str) -> int:
        return int(digits) if len(digits) <= DIGITS else refuse(digits)

    if text.count(b"{") + text.count(b"[") > NESTING * 4:
        raise TokenRejected(f"{part}.nesting")
    try:
        decoded = json.loads(
            text.decode("utf-8"), parse_constant=refuse, parse_int=integer, object_pairs_hook=distinct
        )
        json.dumps(decoded, ensure_ascii=False).encode()
    except DoubledName:
        raise TokenRejected(f"{part}.duplicate") from None
    except (ValueError, RecursionError):  # not JSON, a byte order mark, a lone surrogate
        raise TokenRejected(f"{part}.json") from None
    if not isinstance(decoded, dict):
        raise TokenRejected(f"{part}.json")
    return decoded
