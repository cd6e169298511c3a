"""Tests what a gateway logs about refusals and bugs."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from loguru import logger

from gateway.core.decision import Action, Obligations, Reason
from gateway.core.errors import Unauthenticated
from gateway.identity.jws_parsing import TokenRejected

Document = dict[str, Any]


async def test_a_bug_is_logged_with_its_trace(client: httpx.AsyncClient, door: Any) -> None:
    """As a field: with the trace id of an answer, or of an exemplar, the traceback is found."""
    found: list[Any] = []
    sink = logger.add(lambda line: found.append(line.record["extra"]), level="ERROR")
    door.broken = RuntimeError("a mistake")
    answer = await client.get("/v1/runs/run-7")
    logger.remove(sink)

    assert found == [{"trace_id": answer.json()["trace_id"], "run": "run-7"}]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.append(f"{message.record['level'].name} {message.record['message']}"),
        level="INFO",
    )
    yield lines
    logger.remove(sink)


async def test_the_log_says_why_a_token_was_refused(
    client: httpx.AsyncClient, door: Any, logged: list[str]
) -> None:
    """The caller must not hear which check failed; the operator has to.

    A flood of bad tokens is one line a second.
    """
    door.broken = Unauthenticated("no acceptable token")
    door.broken.__cause__ = TokenRejected("kid.unknown")
    answers = [await client.get("/v1/runs", headers={"authorization": "Bearer swordfish"}) for _ in range(50)]

    assert logged[0] == f"WARNING token refused: kid.unknown; listing, trace {answers[0].json()['trace_id']}"
    assert len(logged) < 50
    assert not any("swordfish" in line for line in logged)
    assert "kid" not in answers[0].text


async def test_the_log_has_every_decision_that_a_refusal_names(
    client: httpx.AsyncClient, rules: Any, document: Document, logged: list[str]
) -> None:
    """It is stored nowhere: without the line nobody could say what the id in the answer stands for."""
    rules.refused[Action.RUNS_SUBMIT] = Reason(rule="image.banned", message="alpine is banned")
    trace_id = (await client.post("/v1/runs", json=document)).json()["trace_id"]
    rules.refused, rules.fault = {}, "Timeout"
    other = (await client.post("/v1/runs", json=document)).json()["trace_id"]

    assert logged == [
        f"INFO submit refused by policy: image.banned: alpine is banned; decision d1, trace {trace_id}",
        f"WARNING policy could not answer submit: Timeout; decision d2, trace {other}",
    ]


async def test_the_log_line_of_a_refusal_has_fields(
    client: httpx.AsyncClient, rules: Any, document: Document
) -> None:
    """Who, what and why are found without reading sentences."""
    found: list[dict[str, str]] = []
    sink = logger.add(lambda message: found.append(dict(message.record["extra"])), level="INFO")
    rules.refused[Action.RUNS_SUBMIT] = Reason(rule="image.banned", message="alpine is banned")
    rules.refused[Action.REGIONS_OPERATE] = Reason(rule="scope.missing", message="scope: is missing")
    submitted = (await client.post("/v1/runs", json=document)).json()
    cordoned = (await client.post("/v1/regions/beijing/cordon")).json()
    logger.remove(sink)

    who = {"subject": "ada", "tenant": "payments", "issuer": "https://issuer.test"}
    by_policy = {"revision": "rules-1", "engine": "test", "duration_seconds": "0.000000"}
    assert found == [
        {
            **who,
            "operation": "submit",
            "name": document["metadata"]["name"],
            "rules": "image.banned",
            "reasons": "image.banned: alpine is banned",
            **by_policy,
            "action": "runs:submit",
            "decision_id": submitted["decision_id"],
            "trace_id": submitted["trace_id"],
        },
        {
            **who,
            "operation": "cordon",
            "region": "beijing",
            "rules": "scope.missing",
            "reasons": "scope.missing: scope: is missing",
            **by_policy,
            "action": "regions:operate",
            "decision_id": cordoned["decision_id"],
            "trace_id": cordoned["trace_id"],
        },
    ]


async def test_the_log_line_of_a_refusal_leaves_out_what_policy_masks(
    client: httpx.AsyncClient, rules: Any, document: Document, door: Any
) -> None:
    """As the record does; who it was is always kept. No token is in it."""
    found: list[str] = []
    sink = logger.add(lambda message: found.append(f"{message}{message.record['extra']}"), level="INFO")
    document["metadata"]["name"] = "canary-name"
    document["spec"]["params"] = {"password": "canary-value"}
    rules.refused[Action.RUNS_SUBMIT] = Reason(rule="image.banned", message="alpine is banned")
    headers = {"authorization": "Bearer payments.ada"}
    for mask in ((), ("/workflow/metadata/name",), ("/workflow",), ("/workflow/spec/params/password",)):
        rules.obligations = Obligations(mask=mask)
        await client.post("/v1/runs", json=document, headers=headers)
    rules.obligations, rules.refused, rules.fault = Obligations(), {}, "Timeout"
    await client.post("/v1/runs", json=document, headers=headers)
    logger.remove(sink)

    assert ["canary-name" in line for line in found] == [True, False, False, True, False]
    assert not any("canary-value" in line or "payments.ada" in line for line in found)
    assert all("'subject': 'ada'" in line for line in found)
