"""Faulty answers of an OPA, one of each kind, by name.

None is a clear permission, though many look so.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from tests.gateway.policy.opa.faulty_opa import (
    PROVENANCE,
    RESULT,
    Answer,
    body_of,
    never,
    response,
    sending,
    sending_last,
)

PERMISSION: Final = response(body_of())
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB_BYTES: Final = 8_000_000


def then_silence(content: bytes) -> Answer:
    """Returns an answer that sends `content` and nothing more on an open connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await never(writer)

    return answer


def then_reset(content: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.transport.abort()

    return answer


def endless(start: bytes, more: bytes, *, pause_seconds: float = 0) -> Answer:
    """Returns an answer that sends `start`, then `more` again and again, while it is read."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return answer


def five_seconds_late() -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.write(PERMISSION)

    return answer


def of_result(result: Any) -> Answer:
    return sending(response(body_of(result)))


def with_text(old: str, new: str, result: Any = RESULT) -> Answer:
    """Returns an answer of permission in whose JSON `old` is replaced by `new`."""
    text = body_of(result).decode()
    assert old in text
    return sending(response(text.replace(old, new, 1).encode()))


def with_obligation(**obligation: Any) -> dict[str, Any]:
    return {**RESULT, "obligations": {**RESULT["obligations"], **obligation}}


def encoded(name: str, content: bytes) -> Answer:
    return sending(response(content, headers=(f"Content-Encoding: {name}",)))


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


NO_ANSWER: Mapping[str, Answer] = {
    "never": never,
    "five seconds late": five_seconds_late(),
    "closed at once": sending_last(b""),
    "reset at once": then_reset(b""),
    "reset in the answer": then_reset(PERMISSION[:-20]),
    "half, then silence": then_silence(PERMISSION[:-20]),
    "half in chunks, then silence": then_silence(CHUNKED + chunk(body_of()[:-20])),
    "all but the last chunk": then_silence(CHUNKED + chunk(body_of())),
    "a head, then silence": then_silence(HEAD + b"Content-Length: 10\r\n"),
    "a byte now and then": endless(CHUNKED, chunk(b" "), pause_seconds=0.005),
    "200 MB": endless(HEAD + b'Content-Length: 200000000\r\n\r\n{"result":"', b"x" * 1_000_000),
    "chunks without end": endless(CHUNKED + chunk(b'{"result":"'), chunk(b"x" * 100_000)),
    "headers without end": endless(HEAD, b"X-More: x\r\n" * 1_000),
    "interim answers without end": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "hints without end": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1_000),
}
NOT_HTTP: Mapping[str, Answer] = {
    "garbage": sending_last(b"\x00\xff garbage"),
    "a body without a head": sending_last(body_of()),
    "HTTP/1.0": sending_last(PERMISSION.replace(b"HTTP/1.1", b"HTTP/1.0")),
    "another protocol": sending(
        PERMISSION.replace(b"200 OK", b"101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x")
    ),
    "HTML": sending(PERMISSION.replace(b"application/json", b"text/html")),
    "no content type": sending(PERMISSION.replace(b"Content-Type: application/json\r\n", b"")),
    "two lengths": sending_last(
        HEAD + b"Content-Length: 4\r\nContent-Length: %d\r\n\r\n" % len(body_of()) + body_of()
    ),
    "a length and chunks": sending_last(
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body_of()) + b"0\r\n\r\n"
    ),
    "a long header": sending_last(response(body_of(), headers=("X: " + "x" * 100_000,))),
    "many headers": sending_last(response(body_of(), headers=("X: x",) * 100_000)),
    "a redirect": sending(response(body_of(), status="307 Temporary", headers=("Location: /allowed",))),
    "an error": sending(response(b'{"code":"internal_error"}', status="500 Internal Server Error")),
    "an error with a permission": sending(response(body_of(), status="500 Internal Server Error")),
    "gzip": encoded("gzip", gzip.compress(body_of())),
    "a gzip bomb": encoded("gzip", gzip.compress(b" " * BOMB_BYTES + body_of(), 1)),
    "a deflate bomb": encoded("deflate", zlib.compress(b" " * BOMB_BYTES + body_of(), 1)),
}
NOT_JSON: Mapping[str, Answer] = {
    "garbage in HTTP": sending(response(b"\x00\xff garbage")),
    "nothing in HTTP": sending(response(b"")),
    "half, as if whole": sending(response(body_of()[:-20])),
    "two values": sending(response(body_of() * 2)),
    "a comment": sending(response(b"// ok\n" + body_of())),
    "NaN": with_text('"?"', "NaN", with_obligation(max_deadline_seconds="?")),
    "infinity": with_text('"?"', "Infinity", with_obligation(max_deadline_seconds="?")),
    "a doubled name": with_text('"allow":true', '"allow":false,"allow":true'),
    "a doubled name, escaped": with_text('"allow":true', '"\\u0061llow":false,"allow":true'),
    "a doubled result": with_text('"result":', '"result":null,"result":'),
    "a doubled decision id": with_text('"result":', '"decision_id":"a","decision_id":"b","result":'),
    "deep": sending(response(b'{"result":' + b"[" * 100_000)),
}
NO_DECISION: Mapping[str, Answer] = {
    "undefined": sending(response(json.dumps({"provenance": PROVENANCE}).encode())),
    "null": of_result(None),
    "true alone": of_result(True),
    "the word true": of_result({**RESULT, "allow": "true"}),
    "the number 1": of_result({**RESULT, "allow": 1}),
    "allow is null": of_result({**RESULT, "allow": None}),
    "allow in a list": of_result({**RESULT, "allow": [True]}),
    "allow is missing": of_result({name: value for name, value in RESULT.items() if name != "allow"}),
    "a decision in a decision": of_result({"decision": RESULT}),
    "a result in a result": of_result({"result": RESULT}),
    "a list of decisions": of_result([RESULT]),
    "a decision beside the result": with_text('"result":', '"allow":true,"other":'),
    "an answer to several questions": of_result({"0": RESULT}),
    "a permission with a reason": of_result({**RESULT, "reasons": [{"rule": "r", "message": "m"}]}),
    "a field too many": of_result({**RESULT, "except": "demo"}),
    "an unknown obligation": of_result(with_obligation(region=["beijing"])),
    "no bundle": sending(response(body_of(provenance={**PROVENANCE, "bundles": {}}))),
    "a bundle without a revision": sending(
        response(body_of(provenance={**PROVENANCE, "bundles": {"b": {"revision": ""}}}))
    ),
    "no provenance": sending(response(json.dumps({"result": RESULT}).encode())),
    "decided without the input": sending(
        response(body_of(warning={"code": "api_usage_warning", "message": "'input' key missing"}))
    ),
}
FAULTS: Final[Mapping[str, Answer]] = {**NO_ANSWER, **NOT_HTTP, **NOT_JSON, **NO_DECISION}
