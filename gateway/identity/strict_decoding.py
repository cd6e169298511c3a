"""Strict decoders of JSON objects and base64url, for tokens, key sets and issuers' metadata.

They refuse what two readers could understand differently: other encodings than UTF-8, doubled names, numbers
that are rounded or infinite, halves of surrogate pairs, padding, and second spellings of the same bytes.
"""

import base64
import binascii
import json
import math
import re
from typing import Any, Final, NoReturn, TypeGuard

from waypost.distinct_names import DoubledName, distinct

MAXIMUM_DIGITS: Final = 18
BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+")
MAXIMUM_KEY_ID: Final = 256


class NotStrict(Exception):
    """Raised for JSON or base64url that is not strictly well-formed.

    The text is one word such as `number`.
    """


def decode_object(text: bytes, *, maximum_brackets: int | None = None) -> dict[str, Any]:
    """Decodes UTF-8 JSON text that must be one object; refuses what two JSON readers could read differently.

    Raises `NotStrict` with one of four words: `duplicate` (a name twice in one object), `number` (NaN,
    infinite or too large), `nesting` (more than `maximum_brackets` opening brackets in all) or `json` (other
    text, or another value than an object).
    """
    # A rough bound before decoding, because `json.loads` recurses; flat claims may have many brackets.
    if maximum_brackets is not None and text.count(b"{") + text.count(b"[") > maximum_brackets:
        raise NotStrict("nesting")
    try:
        decoded = json.loads(
            text.decode("utf-8"),
            parse_constant=_refuse_number,
            parse_int=_integer,
            parse_float=_fraction,
            object_pairs_hook=distinct,
        )
        # refuses lone surrogates, which no UTF-8 text can hold
        json.dumps(decoded, ensure_ascii=False).encode()
    except DoubledName:
        raise NotStrict("duplicate") from None  # readers differ about which of the two counts
    except (ValueError, RecursionError):  # not JSON, a byte order mark, a lone surrogate
        raise NotStrict("json") from None
    if not isinstance(decoded, dict):
        raise NotStrict("json")
    return decoded


def decode_base64url(text: bytes) -> bytes:
    """Decodes `text` from base64url without padding (RFC 7515, 2).

    Raises `NotStrict` (`base64`) for other characters, padding, or a second spelling of the same bytes.
    """
    if not BASE64URL.fullmatch(text):
        raise NotStrict("base64")
    try:
        found = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise NotStrict("base64") from None
    # The last character may have spare bits. If they are not zero, this is a second spelling of the same
    # bytes.
    if base64.urlsafe_b64encode(found).rstrip(b"=") != text:
        raise NotStrict("base64")
    return found


def is_key_id(kid: object) -> TypeGuard[str]:
    """Returns whether `kid` can be a key's id: printable text of 1 to `MAXIMUM_KEY_ID` characters."""
    return isinstance(kid, str) and 0 < len(kid) <= MAXIMUM_KEY_ID and kid.isprintable()


def _refuse_number(_: str) -> NoReturn:
    raise NotStrict("number")


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= MAXIMUM_DIGITS else _refuse_number(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse_number(digits)
