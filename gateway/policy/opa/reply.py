"""Parses OPA's responses strictly: one that two parsers could read differently is an error."""

import json

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.policy.fault_texts import of_answer, of_opa
from waypost.distinct_names import distinct


class ReplyError(Exception):
    """Raised for a response that is not a complete answer of an OPA. The text shows none of the document."""


class NoAnswer(Exception):
    """Raised if OPA sent no response, or none in time. The text says why, for the log."""


class BundleProvenance(Struct, frozen=True, kw_only=True):
    """The revision of one bundle that OPA has loaded, as it stands in OPA's response."""

    revision: str = ""


class Provenance(Struct, frozen=True, kw_only=True):
    """The provenance in an OPA's response: the version of the OPA, and the bundles that it has loaded."""

    version: str
    bundles: dict[str, BundleProvenance] = {}


class Reply(Struct, frozen=True, kw_only=True):
    """OPA's response to one policy query: `result` is the rule's value as JSON, unset if undefined.

    `warning` is set where OPA has seen no input.
    """

    provenance: Provenance
    decision_id: str = ""
    """OPA's own id of the evaluation, which it gives if it logs decisions."""
    result: msgspec.Raw | UnsetType = UNSET
    warning: msgspec.Raw | UnsetType = UNSET

    @property
    def revision(self) -> str:
        """Returns the revision of OPA's only bundle; of several, `name@revision` of each, with commas."""
        bundles = self.provenance.bundles
        if len(bundles) == 1:
            return next(iter(bundles.values())).revision
        return ",".join(f"{name}@{bundle.revision}" for name, bundle in sorted(bundles.items()))


_decode = msgspec.json.Decoder(Reply).decode


def parse_reply(body: bytes) -> Reply:
    """Parses the body of OPA's response with status 200.

    Raises `ReplyError` for anything but one JSON object with unique names, and for a warning of OPA.
    """
    try:
        text = body.decode("utf-8")
        # msgspec keeps the last of two equal names, so they are looked for first.
        json.loads(text, object_pairs_hook=distinct)
        reply = _decode(text)
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"what it answers is no reply of an OPA: {of_answer(brief(error))}") from error
    if reply.warning is not UNSET:
        raise ReplyError(f"it warns of the question: {bytes(reply.warning)[:200]!r}")
    return reply


def brief(error: Exception) -> str:
    """Returns the text of an exception on one line; the name of its class if it has no text."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class _ErrorLocation(Struct, frozen=True):
    file: str = ""
    row: int = 0


class _ErrorDetail(Struct, frozen=True):
    code: str = ""
    message: str = ""
    location: _ErrorLocation = _ErrorLocation()


class _ErrorBody(Struct, frozen=True):
    message: str = ""
    errors: tuple[_ErrorDetail, ...] = ()


def explain_error(status: int, body: bytes) -> str:
    """Returns the reason that OPA gives in an error response, as one line.

    For a failed evaluation it names file and line of the rule; without a reason it names the status.
    """
    try:
        error = msgspec.json.decode(body, type=_ErrorBody)
    except (ValueError, RecursionError):
        return f"it answers with status {status}"
    first = next(iter(error.errors), None)
    if first is None:
        return f"it answers with status {status}"
    return of_opa(first.code, first.message, file=first.location.file, row=first.location.row)
