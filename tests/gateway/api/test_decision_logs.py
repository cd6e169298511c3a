"""Tests decision logs sent by OPA: accepted within bounds, kept without inputs, shown beside ours."""

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs
from starlette.routing import Router

from gateway.api.internal.decision_logs import PATH, decision_log_route
from gateway.core.decision import Action, Decision, Question
from gateway.core.principal import Principal
from gateway.policy.opa import decision_logs
from gateway.policy.opa.decision_logs import BODY_MAXIMUM, EVENTS_MAXIMUM, read_events
from gateway.store.interface import Store

GZIP = {"content-encoding": "gzip", "content-type": "application/json"}
EVENT: dict[str, Any] = {
    "decision_id": "opa-1",
    "labels": {"id": "o", "version": "1.22.2"},
    "bundles": {"bundle.tar.gz": {"revision": "r1"}},
    "path": "waypost/submission/decision",
    "input": {"workflow": {"spec": {"params": {"password": "canary"}}}},
    "result": {"allow": True, "note": "canary"},
    "erased": ["/input/workflow/spec/params/password"],
    "metrics": {"timer_rego_query_eval_ns": 7},
    "error": {"code": "eval_builtin_error", "message": "canary"},
    "requested_by": "@",
    "timestamp": "2026-01-01T00:00:00Z",
    "req_id": 3,
    "nd_builtin_cache": {"x": "canary"},
}


def upload(*events: dict[str, Any]) -> bytes:
    return gzip.compress(msgspec.json.encode(events))


@pytest.fixture
async def internal(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    app = Router([decision_log_route(store, kept=3)], redirect_slashes=False)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
        yield client


async def test_the_record_of_a_decision_shows_opa_s_own_beside_it(
    internal: httpx.AsyncClient, client: httpx.AsyncClient, store: Store
) -> None:
    """With its revision, its metrics and what it has erased; without what the gateway may have masked."""
    principal = Principal(subject="ada", issuer="https://issuer.test", tenant="payments")
    question = Question(action=Action.RUNS_SUBMIT, principal=principal, at=1.0)
    decided = Decision(
        id="d1",
        at=1.0,
        action=Action.RUNS_SUBMIT,
        allow=False,
        revision="r1",
        engine="opa",
        engine_decision_id="opa-1",
        question=question,
    )
    for one in (decided, structs.replace(decided, id="d2", engine_decision_id="opa-2")):
        await store.record_decision(one)

    answer = await internal.post(PATH, content=upload(EVENT), headers=GZIP)

    assert answer.status_code == 200
    shown = (await client.get("/v1/decisions/d1")).json()["opa"]
    left_out = ("input", "result", "nd_builtin_cache")
    assert shown == {name: value for name, value in EVENT.items() if name not in left_out} | {
        "error": {"code": "eval_builtin_error"}
    }
    assert "canary" not in msgspec.json.encode(shown).decode()
    assert "opa" not in (await client.get("/v1/decisions/d2")).json()
    assert "opa" not in (await client.get("/v1/decisions")).json()["items"][0]


async def test_the_newest_are_kept(internal: httpx.AsyncClient, store: Store) -> None:
    """OPA logs every decision, permitted reads too."""
    for start in (0, 3):
        events = [EVENT | {"decision_id": f"opa-{number}"} for number in range(start, start + 3)]
        assert (await internal.post(PATH, content=upload(*events), headers=GZIP)).status_code == 200
    await internal.post(PATH, content=upload(EVENT | {"decision_id": "opa-5"}), headers=GZIP)

    kept = [await store.opa_record(f"opa-{number}") is not None for number in range(6)]

    assert kept == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", GZIP, 400),
        (b"[]", GZIP, 400),
        (upload(EVENT)[:-9], GZIP, 400),
        (upload(EVENT) + b"x", GZIP, 400),
        (gzip.compress(b'{"decision_id": "x"}', mtime=0), GZIP, 400),
        (gzip.compress(b'[{"decision_id": 1}]', mtime=0), GZIP, 400),
        (gzip.compress(b"[" * 100_000, mtime=0), GZIP, 400),
        (zlib.compress(b"[]"), GZIP, 400),
        (b"\xff", {}, 400),
        (b"x" * (BODY_MAXIMUM + 1), GZIP, 413),
        (gzip.compress(b"[]", mtime=0), GZIP, 200),
        (b"[]", {}, 200),
    ],
)
async def test_what_is_no_decision_log_is_refused_in_a_sentence(
    internal: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await internal.post(PATH, content=body, headers=headers)).status_code == status


async def test_a_gzip_bomb_is_not_unpacked(
    internal: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_logs, "TEXT_MAXIMUM", 100_000)
    bomb = gzip.compress(b"[" + b" " * 10_000_000 + b"]", mtime=0)

    answer = await internal.post(PATH, content=bomb, headers=GZIP)

    assert (answer.status_code, "100000 bytes" in answer.text) == (413, True)


def test_of_an_upload_so_many_events_are_kept_and_none_that_is_huge() -> None:
    events = [EVENT | {"decision_id": f"{number}"} for number in range(EVENTS_MAXIMUM + 5)]
    huge = EVENT | {"decision_id": "huge", "erased": ["x" * 20_000]}

    records = read_events(msgspec.json.encode([*events, huge]), compressed=False)

    assert len(records) == EVENTS_MAXIMUM - 1
    assert records[-1][0] == f"{EVENTS_MAXIMUM + 4}"
