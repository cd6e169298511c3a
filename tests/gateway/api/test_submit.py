"""Submission: what is promised, and every way to be refused."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.api.routes import api
from gateway.api.wire import Front
from gateway.core.errors import HeadersTooLarge, Unavailable
from gateway.core.principal import Action, Obligations, Reason
from gateway.settings import Documents
from gateway.store.interface import Store

Document = dict[str, Any]


async def test_a_submission_is_answered_after_it_is_stored(client: httpx.AsyncClient, document: Document) -> None:
    """202 is a promise: what it names can be read back at once."""
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 202
    again = await client.get(answer.headers["location"])
    assert again.json()["id"] == answer.json()["id"]
    assert again.json()["shard_phases"] == {"Pending": 2}
    assert again.json()["permitted"] == ["beijing", "shanghai"]


async def test_yaml_is_as_good_as_json(client: httpx.AsyncClient, document: Document) -> None:
    """People write YAML; both are the same document, and the same fingerprint."""
    as_json = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    as_yaml = await client.post(
        "/v1/runs", content=yaml.safe_dump(document), headers={"content-type": "application/yaml", "idempotency-key": "k"}
    )

    assert (as_yaml.status_code, as_yaml.json()["id"]) == (200, as_json.json()["id"])


async def test_policy_sees_what_will_run(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """The tenant is filled in before policy is asked, and so are all defaults: nothing slips past a rule by being left out."""
    await client.post("/v1/runs", json=document)

    seen = msgspec.json.decode(rules.asked[0].workflow)
    assert (seen["metadata"]["tenant"], seen["spec"]["priority"], seen["spec"]["sideEffects"]) == ("payments", 5, "idempotent")


async def test_the_same_key_and_document_is_the_same_run(client: httpx.AsyncClient, document: Document) -> None:
    """A client that does not know whether it was heard asks again: there is one run, whatever it does."""
    headers = {"idempotency-key": "nightly-2026-01-01"}
    first, *others = await asyncio.gather(*(client.post("/v1/runs", json=document, headers=headers) for _ in range(8)))

    assert {answer.json()["id"] for answer in others} == {first.json()["id"]}
    assert sorted(answer.status_code for answer in (first, *others)) == [200] * 7 + [202]
    assert len((await client.get("/v1/runs")).json()["items"]) == 1


async def test_the_same_key_with_another_document_is_refused(client: httpx.AsyncClient, document: Document) -> None:
    """A key stands for one document: answering with the old run would be a lie about the new one."""
    headers = {"idempotency-key": "k"}
    await client.post("/v1/runs", json=document, headers=headers)
    document["metadata"]["name"] = "hourly"
    answer = await client.post("/v1/runs", json=document, headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


async def test_a_key_belongs_to_its_tenant(client: httpx.AsyncClient, document: Document) -> None:
    """Keys of others can neither collide with ours nor tell us of their runs."""
    mine = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    theirs = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k", "authorization": "Bearer science.bob"})

    assert (theirs.status_code, mine.json()["id"] == theirs.json()["id"]) == (202, False)


async def test_a_replay_needs_the_right_to_see_the_run(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """Who may submit but not read must not read by submitting again."""
    await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    rules.refused[Action.RUNS_READ] = Reason(rule="read.never", message="not for you")
    answer = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})

    assert answer.status_code == 403
    assert "id" not in answer.json()


async def test_without_a_key_each_submission_is_a_run(client: httpx.AsyncClient, document: Document) -> None:
    """No key, no promise to recognize it."""
    answers = [await client.post("/v1/runs", json=document) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]


async def test_a_dry_run_stores_nothing(client: httpx.AsyncClient, store: Store, document: Document) -> None:
    """It shows the decision, the plan and every region's score, and leaves no trace."""
    answer = await client.post("/v1/runs?dryRun=true", json=document)

    plan = answer.json()
    assert (answer.status_code, plan["decision"]["allow"], plan["shard_count"]) == (200, True, 2)
    assert [region["name"] for region in plan["regions"]] == ["beijing", "shanghai"]
    assert all(region["score"] == pytest.approx(0.01) for region in plan["regions"])
    assert plan["region"] in ("beijing", "shanghai")
    assert await store.counts() == {}


async def test_obligations_hold(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """What policy obliges is what is stored and will run, and the answer shows it."""
    rules.obligations = Obligations(
        regions=("beijing",), max_priority=3, max_deadline_seconds=60.0, side_effects="exclusive", labels={"cost": "42"}
    )
    answer = await client.post("/v1/runs", json=document)

    run = (await client.get(answer.headers["location"])).json()
    assert (run["priority"], run["labels"], run["permitted"]) == (3, {"team": "data", "cost": "42"}, ["beijing"])
    assert run["deadline_at"] == pytest.approx(run["created_at"] + 60)
    assert run["workflow"]["spec"]["sideEffects"] == "exclusive"


async def test_a_known_key_stays_known_when_obligations_change(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """The fingerprint is of what was sent: a new cap does not make the same document another one."""
    first = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})
    rules.obligations = Obligations(regions=("beijing",), max_priority=1)
    again = await client.post("/v1/runs", json=document, headers={"idempotency-key": "k"})

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize(
    ("obligations", "rule"),
    [
        (Obligations(), "placement.nowhere"),
        (Obligations(regions=("shenzhen",)), "placement.wishes"),
        (Obligations(regions=("beijing",), max_shards=1), "shards.maximum"),
    ],
)
async def test_obligations_that_leave_no_room_refuse(
    client: httpx.AsyncClient, rules: Any, document: Document, obligations: Obligations, rule: str
) -> None:
    """What could never run is refused now, with a reason, and not accepted to wait for ever."""
    document["spec"]["placement"] = {"regions": ["beijing"]}
    rules.obligations = obligations
    answer = await client.post("/v1/runs", json=document)

    assert (answer.status_code, answer.json()["reasons"][0]["rule"]) == (403, rule)


async def test_a_denial_names_every_reason_and_the_decision(client: httpx.AsyncClient, rules: Any, document: Document) -> None:
    """Who is refused must be able to ask about it by its id."""
    rules.refused[Action.RUNS_SUBMIT] = Reason(rule="scope.missing", message="workflows:submit is missing")
    answer = await client.post("/v1/runs", json=document)

    problem = answer.json()
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="waypost", error="insufficient_scope"'
    assert problem["reasons"] == [{"rule": "scope.missing", "message": "workflows:submit is missing"}]
    assert (problem["decision_id"], problem["retryable"], problem["status"]) == ("d1", False, 403)


async def test_policy_that_cannot_answer_is_a_503(client: httpx.AsyncClient, rules: Any, store: Store, document: Document) -> None:
    """A fault is neither yes nor no: nothing is stored, and the caller is told to come again."""
    rules.fault = "Timeout"
    answer = await client.post("/v1/runs", json=document)

    assert (answer.status_code, answer.json()["retryable"]) == (503, True)
    assert int(answer.headers["retry-after"]) >= 1
    assert await store.counts() == {}


async def test_a_store_that_cannot_commit_is_a_503(client: httpx.AsyncClient, front: Front, store: Any, document: Document) -> None:
    """No 202 without a commit."""
    await store.__aexit__()
    answer = await client.post("/v1/runs", json=document)
    await store.__aenter__()

    assert (answer.status_code, answer.json()["reason"]) == (503, "Unavailable")


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\tkey", "ключ".encode()])
async def test_a_key_is_visible_ascii(client: httpx.AsyncClient, document: Document, key: str | bytes) -> None:
    """Anything else would mean different things to different servers on the way."""
    answer = await client.post("/v1/runs", json=document, headers=[(b"idempotency-key", key if isinstance(key, bytes) else key.encode())])

    assert answer.status_code == 400


async def test_all_errors_of_a_document_come_at_once(client: httpx.AsyncClient, document: Document) -> None:
    """Each with a JSON pointer, so that one round is enough."""
    document["spec"]["tasks"] = [
        {"name": "a", "type": "delay", "run": {"seconds": -1}, "needs": ["b"]},
        {"name": "c", "type": "teleport", "run": {}},
    ]
    answer = await client.post("/v1/runs", json=document)

    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} >= {
        "/spec/tasks/0/needs/0",
        "/spec/tasks/0/run/seconds",
        "/spec/tasks/1/type",
    }


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (400, b'{"apiVersion":', {}),
        (400, b"", {}),
        (415, b"<xml/>", {"content-type": "application/xml"}),
        (415, b"{}", {"content-encoding": "gzip"}),
        (422, b"{}", {}),
        (413, b"x" * 2_000_000, {}),
        (413, b"", {"content-length": "9" * 30}),
    ],
)
async def test_a_body_that_is_none_is_refused(client: httpx.AsyncClient, status: int, content: bytes, headers: dict[str, str]) -> None:
    """By what is wrong with it: its form, its size, its type."""
    answer = await client.post("/v1/runs", content=content, headers={"content-type": "application/json"} | headers)

    assert answer.status_code == status
    assert answer.json()["status"] == status


async def test_a_body_without_end_is_cut_off(front: Front, client: httpx.AsyncClient) -> None:
    """The limit holds while reading: what a chunked body claims is not known beforehand."""
    small = structs.replace(front, settings=structs.replace(front.settings, documents=Documents(maximum_bytes=1000)))
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield b" " * 100

    transport = httpx.ASGITransport(api(small))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=client.headers) as other:
        answer = await other.post("/v1/runs", content=endless())

    assert (answer.status_code, read) == (413, 11)


@pytest.mark.parametrize("query", ["dryrun=true", "dryRun=yes", "dryRun=true&dryRun=true", "a", "%ff=1"])
async def test_a_query_that_is_not_understood_is_refused(client: httpx.AsyncClient, document: Document, query: str) -> None:
    """A misspelt dryRun must not become a real submission."""
    answer = await client.post(f"/v1/runs?{query}", json=document)

    assert answer.status_code == 400


async def test_no_token_is_a_401_that_says_how(client: httpx.AsyncClient, document: Document) -> None:
    """RFC 6750: without a token only the scheme; with a bad one `invalid_token`."""
    del client.headers["authorization"]
    without = await client.post("/v1/runs", json=document)
    bad = await client.post("/v1/runs", json=document, headers={"authorization": "Bearer secret-token-of-mine"})

    assert (without.status_code, without.headers["www-authenticate"]) == (401, 'Bearer realm="waypost"')
    assert (bad.status_code, bad.headers["www-authenticate"]) == (401, 'Bearer realm="waypost", error="invalid_token"')
    assert "secret" not in bad.text


@pytest.mark.parametrize("where", ["/v1/runs?access_token=payments.ada", "/v1/runs"])
async def test_a_token_elsewhere_is_refused(client: httpx.AsyncClient, document: Document, where: str) -> None:
    """In a query or a cookie it would end in logs and histories."""
    answer = await client.post(where, json=document, headers={"cookie": "access_token=payments.ada"})

    assert answer.status_code == 400


@pytest.mark.parametrize(("broken", "status"), [(Unavailable("no key set"), 503), (HeadersTooLarge("a header"), 431)])
async def test_what_identity_says_is_passed_on(client: httpx.AsyncClient, door: Any, broken: Exception, status: int) -> None:
    """Each of its refusals has a status of its own."""
    door.broken = broken

    assert (await client.post("/v1/runs", json={})).status_code == status


async def test_a_bug_is_a_500_that_tells_nothing(client: httpx.AsyncClient, door: Any, caplog: Any) -> None:
    """The caller gets a trace id; what happened is for the log, once."""
    door.broken = RuntimeError("the password is swordfish")
    answer = await client.post("/v1/runs", json={}, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})

    assert (answer.status_code, answer.json()["trace_id"]) == (500, "ab" * 16)
    assert "swordfish" not in answer.text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(
    body=st.binary(max_size=200) | values.map(msgspec.json.encode), place=st.sampled_from(["", "spec", "task", "run", "shards", "params"])
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_a_500(front: Front, body: bytes, place: str) -> None:
    """Whatever comes in is the sender's matter, never our failure."""

    async def post() -> int:
        headers = {"authorization": "Bearer payments.ada", "content-type": "application/json"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api(front)), base_url="http://gateway", headers=headers) as client:
            return (await client.post("/v1/runs?dryRun=true", content=_inside(body, place))).status_code

    assert asyncio.run(post()) in (200, 400, 413, 422)


def _inside(body: bytes, place: str) -> bytes:
    """`body` as a part of a document that is good but for it."""
    task = b'{"name":"a","type":"delay","run":%s}' % (body if place == "run" else b'{"seconds":1}')
    tasks = b"[%s]" % (body if place == "task" else task)
    extra = b',"%s":%s' % (place.encode(), body) if place in ("shards", "params") else b""
    spec = body if place == "spec" else b'{"tasks":%s%s}' % (tasks, extra)
    return body if not place else b'{"apiVersion":"waypost/v1","kind":"Workflow","metadata":{"name":"n"},"spec":%s}' % spec
