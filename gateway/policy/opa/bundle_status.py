"""Parses OPA's status reports: finds the reason why OPA does not activate a bundle."""

from typing import Any

import msgspec
from msgspec import Struct

TROUBLE_MAXIMUM = 500


class _Location(Struct, frozen=True):
    file: str = ""
    row: int = 0


class _Error(Struct, frozen=True):
    message: str = ""
    location: _Location | None = None


class _Bundle(Struct, frozen=True):
    code: str = ""
    message: str = ""
    errors: list[_Error] | None = None


class _Status(Struct, frozen=True):
    bundles: dict[str, _Bundle] | None = None


class StatusError(Exception):
    """Raised for JSON that is not a status report of an OPA."""


_decode = msgspec.json.Decoder(_Status).decode


def trouble_of(report: bytes) -> str:
    """Returns the reason, in a status report, why OPA does not activate a bundle; empty if there is none.

    Raises `StatusError` for what is no report. The text comes from outside: it is cut to one line of bounded
    length, and shown to operators alone.
    """
    try:
        bundles: dict[str, Any] = _decode(report).bundles or {}
    except (msgspec.MsgspecError, RecursionError) as error:
        raise StatusError("it is no status report of an OPA") from error
    found = "; ".join(_line(bundle) for bundle in bundles.values() if bundle.code or bundle.errors)
    return "".join(character if character.isprintable() else " " for character in found[:TROUBLE_MAXIMUM])


def _line(bundle: _Bundle) -> str:
    errors = [
        f"{error.location.file}:{error.location.row}: {error.message}" if error.location else error.message
        for error in bundle.errors or ()
    ]
    return "; ".join(errors) or bundle.message or bundle.code
