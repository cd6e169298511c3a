"""Random faulty answers of an OPA, for tests.

None of them may permit anything.
"""

import asyncio
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

from tests.gateway.policy.opa.faulty_opa import (
    PROVENANCE,
    REFUSAL,
    RESULT,
    Answer,
    body_of,
    never,
    response,
    sending,
    sending_last,
)

STATUSES = (
    *("201 Created", "202 Accepted", "204 No Content", "206 Partial Content", "226 IM Used"),
    *("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"),
    *("304 Not Modified", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found"),
    *("429 Too Many", "500 Error", "502 Bad Gateway", "503 Unavailable", "504 Timeout", "599 X", "999 X"),
)
NOT_BOOLEANS: list[Any] = ["true", 1, 1.0, None, [True], {"x": True}, "True", ""]
NOT_REASONS: list[Any] = [None, {}, "no", [None], ["no"], [{}], [{"rule": 1}], REFUSAL["reasons"]]
NOT_RULES: list[Any] = [None, {}, "r", [None], [1], 1]
NOT_LIMITS: list[Any] = [1.5, "1", True, []]
NOT_OBLIGATIONS: list[Any] = [
    *(None, [], "x", {"regions": "a"}, {"regions": [1]}, {"region": ["beijing"]}),
    *({"max_priority": value} for value in NOT_LIMITS),
]
NOT_PERMISSIONS: list[Any] = [
    *(None, True, "true", 1, 1.0, "<undefined>", [], {}, [True], {"allow": True}, [RESULT], "allow"),
    *({**RESULT, "allow": value} for value in NOT_BOOLEANS),
    *({**RESULT, "reasons": value} for value in NOT_REASONS),
    *({**RESULT, "rules": value} for value in NOT_RULES),
    *({**RESULT, "obligations": value} for value in NOT_OBLIGATIONS),
    *({name: value for name, value in RESULT.items() if name != left} for left in RESULT),
    *({**RESULT, name: True} for name in ("Allow", "but", "allowed", "ALLOW ", "")),
]
NOT_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5_000, "01", "+1", "0x1", ".5", "1_0")
NOT_BUNDLES: list[Any] = [None, [], {"b": None}, {"b": {"revision": 1}}, {"b": {}}]
NOT_PROVENANCES: list[Any] = [
    *(None, {}, [], "1.22.2", {"bundles": {}}, {"version": "1.22.2"}, {"version": 1, "bundles": {}}),
    *({**PROVENANCE, "bundles": value} for value in NOT_BUNDLES),
]
NOT_HTTP = (
    *(b"", b"\r\n\r\n", b"HTTP/1.1", b"HTTP/1.1 200", b"HTTP/1.1 OK\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01"),
    *(b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"<html>", b"{}"),
)


class Dice(random.Random):
    """A random generator that also holds the numbers of the queries to answer; empty for a single query."""

    numbers: tuple[str, ...] = ()

    def body_of(self, result: Any = RESULT, **more: Any) -> bytes:
        """Returns the body of an answer that has `result` for each query."""
        return body_of(dict.fromkeys(self.numbers, result) if self.numbers else result, **more)


def random_fault(rng: Dice) -> Answer:
    """Returns a random faulty answer of any kind."""
    return rng.choice(FAULTS)(rng)


def _other_status(rng: Dice) -> Answer:
    return sending(response(rng.body_of(), status=rng.choice(STATUSES), headers=("Location: /allowed",)))


def _no_permission(rng: Dice) -> Answer:
    return sending(response(rng.body_of(rng.choice(NOT_PERMISSIONS))))


def _no_provenance(rng: Dice) -> Answer:
    return sending(response(rng.body_of(provenance=rng.choice(NOT_PROVENANCES))))


def _no_number(rng: Dice) -> Answer:
    allowed = {**RESULT, "obligations": {**RESULT["obligations"], "max_deadline_seconds": "?"}}
    return sending(response(rng.body_of(allowed).replace(b'"?"', rng.choice(NOT_NUMBERS).encode())))


def _undefined(rng: Dice) -> Answer:
    return sending(response(json.dumps({"provenance": PROVENANCE}).encode()))


def _doubled_name(rng: Dice) -> Answer:
    """Returns an answer with a doubled JSON name, of which the first or the last permits."""
    body = rng.body_of().decode()
    name = rng.choice(['"allow":', '"result":', '"provenance":', '"version":', '"revision":', '"rules":'])
    doubled = f"{name}{rng.choice(['false', 'null', '{}', '[]', '1', 'true'])},"
    return sending(response(body.replace(name, doubled + name, 1).encode()))


def _noise(rng: Dice) -> Answer:
    """Returns a refusal with changed bytes, none of which makes it a permission."""
    content = bytearray(response(rng.body_of(REFUSAL)))
    for _ in range(rng.randint(1, 20)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return sending_last(bytes(content))


def _garbage(rng: Dice) -> Answer:
    body = rng.randbytes(rng.randint(0, 2_000))
    return sending(response(body)) if rng.random() < 0.5 else sending_last(body)


def _cut_body(rng: Dice) -> Answer:
    """Returns an answer that is cut off, with its connection or within its JSON."""
    body = rng.body_of()
    cut = body[: rng.randrange(len(body))]
    return (
        sending(response(cut))
        if rng.random() < 0.5
        else sending_last(response(body)[: -len(body) + len(cut)])
    )


def _cut_head(rng: Dice) -> Answer:
    content = response(rng.body_of())
    return sending_last(content[: rng.randrange(content.index(b"\r\n\r\n") + 4)])


def _no_http(rng: Dice) -> Answer:
    return sending_last(rng.choice(NOT_HTTP))


def _odd_lengths(rng: Dice) -> Answer:
    length = rng.choice(["-1", "1e3", "0x10", "99999999999999999999", "", "1, 2", "1\r\nContent-Length: 2"])
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()
    return sending_last(head + rng.body_of())


def _odd_chunks(rng: Dice) -> Answer:
    body = rng.body_of()
    size = rng.choice(
        [b"zz", b"-1", b"", b"FFFFFFFFFFFFFFFFF", b"%x" % (len(body) + 5), b"%x" % (len(body) - 5)]
    )
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return sending_last(head + size + b"\r\n" + body + rng.choice([b"", b"\r\n", b"\r\n0", b"\r\n5\r\n"]))


def _odd_encoding(rng: Dice) -> Answer:
    body = rng.body_of()
    name = rng.choice(["utf-16", "utf-32", "gzip", "bom", "latin", "twice", "more"])
    changed = {
        "utf-16": body.decode().encode("utf-16"),
        "utf-32": body.decode().encode("utf-32"),
        "gzip": gzip.compress(body, 1),
        "bom": b"\xef\xbb\xbf" + body,
        "latin": body.replace(b"beijing", b"\xff\xfe"),
        "twice": body + body,
        "more": body + b" true",
    }[name]
    headers = ("Content-Encoding: gzip",) if name == "gzip" else ()
    return sending(response(changed, headers=headers))


def _large_head(rng: Dice) -> Answer:
    many = tuple(f"X-{number}: {'x' * rng.randint(1, 90)}" for number in range(2_000))
    long = ("X: " + "x" * rng.randint(20_000, 200_000),)
    return sending_last(response(rng.body_of(), headers=rng.choice([many, long])))


def _deep(rng: Dice) -> Answer:
    return sending(response(b'{"provenance":' + b"[" * rng.randint(1_000, 100_000)))


def _aborted(rng: Dice) -> Answer:
    cut = rng.randrange(400)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(response(rng.body_of())[:cut])
        writer.transport.abort()

    return answer if cut < len(response(rng.body_of())) else _no_http(rng)


def _two_answers(rng: Dice) -> Answer:
    """Returns a refusal followed by an unrequested permission, which the next query must not get."""
    return sending(response(rng.body_of(REFUSAL)) + response(rng.body_of()))


def _several(rng: Dice) -> Answer:
    """Returns answers to several queries, some or all wrong, or with unknown names."""
    results = {str(number): rng.choice(NOT_PERMISSIONS) for number in range(rng.randint(0, 4))}
    return sending(response(body_of(rng.choice([results, {**results, "x": RESULT}, [*results.values()]]))))


def _rare(rng: Dice) -> Answer:
    """Returns mostly a plain refusal; now and then no answer at all, or one too long to read."""
    if rng.random() < 0.95:
        return _no_permission(rng)
    if rng.random() < 0.3:
        return never
    return sending_last(response(rng.body_of(padding="x" * 5_000_000)))


FAULTS: tuple[Callable[[Dice], Answer], ...] = (
    *(_other_status, _no_permission, _no_provenance, _no_number, _undefined, _doubled_name, _noise, _garbage),
    *(_cut_body, _cut_head, _no_http, _odd_lengths, _odd_chunks, _odd_encoding, _large_head, _deep, _aborted),
    *(_two_answers, _several, _rare),
)
