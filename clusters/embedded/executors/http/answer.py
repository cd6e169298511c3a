"""Reads the answer to a task's request, within its bounds, and makes the task's outcome of it."""

from http import HTTPStatus

import httpx
import msgspec

from clusters.embedded.executors.http.run_type import HttpRun
from clusters.embedded.executors.output import checked_output
from clusters.embedded.scheduling.launch import Outcome
from clusters.protocol import OUTPUT_BYTES
from waypost.egress.bounded_connections import PieceLimit


async def read_body(response: httpx.Response) -> bytes:
    """Reads the body of an answer, up to one byte more than an output may have.

    Raises `httpx.TransportError` where the connection is lost, and `ExcessiveAnswer` for an answer in tiny
    pieces, which would keep the cluster busy.
    """
    body, pieces = bytearray(), PieceLimit()
    # Raw: a compressed body of a few bytes may stand for gigabytes. None was asked for.
    async for piece in response.aiter_raw():
        pieces.add(len(piece))
        body += piece
        if len(body) > OUTPUT_BYTES:
            break
    return bytes(body[: OUTPUT_BYTES + 1])


def outcome_of_answer(run: HttpRun, response: httpx.Response, body: bytes) -> Outcome:
    """Returns the outcome of a request that was answered: the output, or what is wrong with the answer."""
    if not _is_expected(run, response.status_code):
        return _failure(f"answered {format_status(response.status_code)}")
    if run.answer == "ignore" or not body:
        return Outcome(succeeded=True)
    if response.headers.get("content-encoding", "identity") != "identity":
        return _failure("answered with a compressed body, which was not asked for")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return checked_output(body)
    try:
        # Of a text that is cut off in a character only the length counts, which `checked_output` refuses.
        text = body.decode(
            response.charset_encoding or "utf-8", "strict" if len(body) <= OUTPUT_BYTES else "replace"
        )
        return checked_output(msgspec.json.encode(text))
    except (LookupError, UnicodeError):
        return _failure("answered with neither JSON nor text; `answer: ignore` takes no notice of the body")


def format_status(code: int) -> str:
    """Formats a status code with its name, where it has one: `503 Service Unavailable`."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _is_expected(run: HttpRun, code: int) -> bool:
    return 200 <= code <= 299 if run.expected_status is None else code in run.expected_status


def _failure(what: str) -> Outcome:
    return Outcome(succeeded=False, reason=what)
