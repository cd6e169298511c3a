"""Tests that a cluster's answer beyond the contract's bounds is a `BadAnswer`, over a real connection."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from clusters.answer_checks import REASON_CHARACTERS, checked_answers
from clusters.checked_cluster import CheckedCluster
from clusters.embedded.http.client import EmbeddedCluster
from clusters.errors import ClusterError
from clusters.protocol import (
    AttemptEnded,
    AttemptId,
    Batch,
    BatchAnswers,
    Fence,
    Hello,
    ShardSpec,
    TaskChanged,
)
from waypost.serving import Server

HOST = "127.0.0.1"
STATUS: dict[str, Any] = {
    "region": "beijing",
    "incarnation": "journal",
    "boot": "boot",
    "uptime": 1.0,
    "slots": 10,
    "held": 0,
    "seq": 5,
}
ATTEMPT = {"run": "run", "shard": 0, "epoch": 1}
HELLO = {"type": "hello", "status": STATUS, "attempts": [[ATTEMPT, True]]}
TASK: dict[str, Any] = {
    "type": "task",
    "seq": 5,
    "attempt": ATTEMPT,
    "task": "a",
    "phase": "Succeeded",
    "tries": 1,
    "started_at": 1.8e9,
    "ended_at": 1.8e9,
}
ENDED = {"type": "ended", "seq": 5, "attempt": ATTEMPT, "end": "Lost"}
BEAT = {"type": "beat", "status": STATUS}


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def task_with_output(output: bytes) -> bytes:
    return msgspec.json.encode(TASK)[:-1] + b',"output":' + output + b"}"


@asynccontextmanager
async def cluster_that_says(
    body: bytes, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> AsyncIterator[CheckedCluster]:
    """Yields an adapter, with the gateway's checks, to a cluster that answers all calls with `body`."""

    async def answer(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 1 << 16):
                yield body[at : at + (1 << 16)]

        return StreamingResponse(pieces())

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    async with (
        Server(app, host=HOST, port=0, tls=server_tls) as server,
        EmbeddedCluster(
            f"https://{HOST}:{server.port}", region="beijing", tls=client_tls, store=lambda: "5709e.0"
        ) as cluster,
    ):
        yield CheckedCluster(cluster, region="beijing", bounds_checked=True)


async def events_of(cluster: CheckedCluster, cursor: int = 0) -> list[Any]:
    return [event async for event in cluster.watch(cursor, "journal")]


LIES: dict[str, bytes | dict[str, Any]] = {
    "seq over 63 bits": TASK | {"seq": 2**63},
    "seq of an end": ENDED | {"seq": 2**63},
    "negative seq": ENDED | {"seq": -1},
    "seq zero": ENDED | {"seq": 0},
    "fractional seq": ENDED | {"seq": 1.5},
    "epoch": TASK | {"attempt": ATTEMPT | {"epoch": 2**63}},
    "shard": ENDED | {"attempt": ATTEMPT | {"shard": -1}},
    "no run": ENDED | {"attempt": ATTEMPT | {"run": ""}},
    "long run": ENDED | {"attempt": ATTEMPT | {"run": "r" * 129}},
    "long task": TASK | {"task": "t" * 10_000},
    "tries": TASK | {"tries": -1},
    "most tries": TASK | {"tries": 2**63 - 1},
    "tries just over": TASK | {"tries": 1_000_001},
    "far future": TASK | {"started_at": 1e18},
    "past": TASK | {"ended_at": -1.0},
    "infinite time": msgspec.json.encode(TASK).replace(b'"started_at":1800000000.0', b'"started_at":1e999'),
    "retry without a time": TASK | {"phase": "Retrying"},
    "next try of a finished task": TASK | {"next_try_at": 1800000000.0},
    "unknown phase": TASK | {"phase": "Gone"},
    "unknown end": ENDED | {"end": "Won"},
    "unknown event": {"type": "joke"},
    "lease": {"type": "lease", "attempt": ATTEMPT, "ask": 2**64},
    "large output": task_with_output(b'"' + b"x" * (30 << 20) + b'"'),
    "output just over": task_with_output(b'"' + b"x" * (64 * 1024 - 1) + b'"'),
    "output that grows when it is written": task_with_output(b"[" + b"1e15," * 10_000 + b"1]"),
    "deep output": task_with_output(nested(66)),
    "very deep output": task_with_output(nested(200_000)),
    "large integer": task_with_output(b"[9007199254740993]"),
    "NUL": task_with_output(b'"\\u0000"'),
    "hello twice": HELLO,
    "other region": BEAT | {"status": STATUS | {"region": "shanghai"}},
    "infinite uptime": msgspec.json.encode(BEAT).replace(b'"uptime":1.0', b'"uptime":1e999'),
    "long uptime": BEAT | {"status": STATUS | {"uptime": 1e300}},
    "negative slots": BEAT | {"status": STATUS | {"slots": -1}},
    "no slots": BEAT | {"status": STATUS | {"slots": 0}},
    "most slots": BEAT | {"status": STATUS | {"slots": 2**63 - 1}},
    "most held": BEAT | {"status": STATUS | {"held": 2**63 - 1}},
    "most queued": BEAT | {"status": STATUS | {"queued": 2**63 - 1}},
    "held": BEAT | {"status": STATUS | {"held": 2**80}},
    "no incarnation": BEAT | {"status": STATUS | {"incarnation": ""}},
    "long boot": BEAT | {"status": STATUS | {"boot": "b" * 1_000_000}},
    "executors": BEAT | {"status": STATUS | {"executors": ["delay"] * 5_000}},
    "no object": b"7",
    "deep event": nested(200_000),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_an_event_beyond_the_bounds_is_a_bad_answer(
    lie: bytes | dict[str, Any], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Nothing of it reaches the gateway; what came before it does."""
    line = lie if isinstance(lie, bytes) else msgspec.json.encode(lie)
    body = msgspec.json.encode(HELLO) + b"\n" + line + b"\n"
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        events = cluster.watch(0, "journal")
        assert isinstance(await anext(events), Hello)
        with pytest.raises(ClusterError) as raised:
            await anext(events)

    assert raised.value.reason == "BadAnswer"


@pytest.mark.parametrize("cursor", [5, 6, 2**63 - 1])
async def test_events_come_in_order_and_after_the_cursor(
    cursor: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """What the gateway has seen does not come again."""
    body = b"\n".join(msgspec.json.encode(one) for one in (HELLO, TASK)) + b"\n"
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError, match=f"event 5 came after event {cursor}"):
            await events_of(cluster, cursor)


async def test_a_beat_knows_of_the_events_that_were_sent(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A seq that no journal has reached would hide all that comes after it."""
    events = (HELLO, TASK | {"seq": 2**63 - 1}, BEAT)
    body = b"\n".join(msgspec.json.encode(one) for one in events) + b"\n"
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError, match="5 is said to be the newest"):
            await events_of(cluster)


async def test_a_stream_begins_with_a_hello(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """Without one it is unknown in which journal its events count."""
    body = msgspec.json.encode(TASK) + b"\n"
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError, match="a hello comes first"):
            await events_of(cluster)


async def test_what_is_just_within_the_bounds_passes(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """An output of 64 KiB, nested 64 deep, the largest numbers."""
    text = b'"' + b"x" * (64 * 1024 - 2) + b'"'
    lines = [
        msgspec.json.encode(HELLO),
        task_with_output(text),
        task_with_output(nested(65)).replace(b'"seq":5', b'"seq":6'),
        task_with_output(b"[9007199254740991]").replace(b'"seq":5', b'"seq":9223372036854775807'),
    ]
    async with cluster_that_says(b"\n".join(lines) + b"\n", server_tls, client_tls) as cluster:
        events = await events_of(cluster)

    assert [event.seq for event in events[1:]] == [5, 6, 2**63 - 1]
    assert len(events[1].output) == 64 * 1024 - 2


async def test_a_long_reason_is_cut(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A tenant's own text may be in it, so the region is not to blame for its length."""
    events = [HELLO, TASK | {"reason": "r" * 1_000_000}, ENDED | {"seq": 6, "reason": "e" * 1_000_000}]
    body = b"\n".join(msgspec.json.encode(one) for one in events) + b"\n"
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        _, task, ended = await events_of(cluster)

    assert isinstance(task, TaskChanged)
    assert isinstance(ended, AttemptEnded)
    assert (len(task.reason), len(ended.reason)) == (REASON_CHARACTERS, REASON_CHARACTERS)


OTHER = {"run": "other", "shard": 0, "epoch": 1}
BATCH = Batch(tombstones=(AttemptId(run="run", shard=0, epoch=1),))
ANSWERS: dict[str, dict[str, Any]] = {
    "no answer": {"status": STATUS},
    "another attempt": {"status": STATUS, "tombstones": [{"attempt": OTHER, "gone": True}]},
    "too many": {"status": STATUS, "tombstones": [{"attempt": ATTEMPT, "gone": True}] * 2},
    "answers to no create": {
        "status": STATUS,
        "tombstones": [{"attempt": ATTEMPT, "gone": True}],
        "creates": [{"attempt": OTHER, "outcome": "Created"}],
    },
    "another region": {
        "status": STATUS | {"region": "shanghai"},
        "tombstones": [{"attempt": ATTEMPT, "gone": True}],
    },
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_answers_are_those_to_the_batch(
    answer: dict[str, Any], server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """An answer about another attempt must not end one."""
    async with cluster_that_says(msgspec.json.encode(answer), server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError, match="BadAnswer"):
            await cluster.apply(BATCH)


def test_that_an_answer_is_unknown_is_for_the_gateway_to_say() -> None:
    """A create that a cluster answers so would be sent again for ever, and the cluster pass for well."""
    attempt = AttemptId(run="run", shard=0, epoch=1)
    batch = Batch(creates=(ShardSpec(attempt=attempt, fence=Fence(boot="boot", not_after=9.0)),))
    said = {"status": STATUS, "creates": [{"attempt": ATTEMPT, "outcome": "Unknown"}]}

    with pytest.raises(ClusterError, match="no cluster answers a create with Unknown"):
        checked_answers(msgspec.convert(said, BatchAnswers), batch, "beijing")


async def test_a_listing_of_very_many_attempts_is_a_bad_answer(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """No cluster holds so many, and each would be looked for."""
    body = msgspec.json.encode(HELLO | {"attempts": [[ATTEMPT, True]] * 50_001}) + b"\n"
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError, match=r"BadAnswer.*length <= 50000.*attempts"):
            await cluster.attempts()
        with pytest.raises(ClusterError, match=r"BadAnswer.*length <= 50000.*attempts"):
            await events_of(cluster)


async def test_a_listing_of_another_region_is_a_bad_answer(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Its attempts are not this region's."""
    body = msgspec.json.encode(HELLO | {"status": STATUS | {"region": "shanghai"}})
    async with cluster_that_says(body, server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError, match="BadAnswer"):
            await cluster.attempts()


async def test_a_piece_of_a_log_without_text_is_a_bad_answer(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A reader that counts characters would keep any number of them."""
    said = b'{"text": "", "offset": 1}\n' * 10
    attempt = AttemptId(run="run", shard=0, epoch=1)
    async with cluster_that_says(said, server_tls, client_tls) as cluster:
        with pytest.raises(ClusterError) as refused:
            [chunk async for chunk in cluster.logs(attempt, "a", offset=0, follow=False)]
    assert refused.value.reason == "BadAnswer"
