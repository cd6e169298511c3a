"""Tests automatic rollbacks end to end: real Prometheus, real Alertmanager, the shipped rules and routes.

All times are the shipped ones, divided by one number.
"""

from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.dev.monitoring import choose_addresses
from tests.integration.load import Load, Submission, bundle, load_on, released
from tests.integration.waiting import until
from tests.integration.watched_stack import SPEED, Receiver, Watched, watched

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def test_a_canary_that_refuses_is_taken_back_by_the_shipped_rules(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only callers call: rule, route, webhook, evidence, rollback and verification are the real ones."""
    receiver = Receiver(httpserver)
    async with (
        watched(tmp_path, receiver.url, choose_addresses()) as stack,
        load_on(stack.stack, ("demo", "payments")) as load,
    ):
        client = stack.client
        await released(client, bundle(tmp_path, 1), "activate")
        await until(stack.has_baseline, seconds=100)
        assert load.refused == []
        await released(
            client, bundle(tmp_path, 2, banned_executors=["delay"]), "canary", tenants=["payments"]
        )

        found = await until(lambda: verified(stack), seconds=60)
        acts = (await client.get("/v1/audit", params={"actor": "rollback"})).json()["items"]
        await until(lambda: receiver.has("ticket", "WaypostRolledBack"))

    assert [step["phase"] for step in found["steps"]] == ["Intended", "Done", "Helped"]
    assert (found["release"], found["returns_to"]) == ("2", "1")
    assert found["alert"] == "WaypostPolicyRefusalsJump"
    assert [act["kind"] for act in acts] == ["PolicyRolledBack"]
    seen = found["steps"][0]["seen"]
    assert seen["release_refused"] == pytest.approx(seen["release_submissions"], rel=0.1)
    assert seen["baseline_refused"] == 0
    done_at = found["steps"][1]["at"]
    assert {one.tenant for one in load.refused} == {"payments"}
    assert {one.status for one in load.since(done_at)} == {202}
    assert "WaypostPolicyRefusalsJump" in receiver.sent["page"]
    assert "WaypostRollbackWanted" not in receiver.sent["page"]
    report(capsys, load, load.refused)


def named(*command: str) -> dict[str, Any]:
    """Returns the workflow `nightly` with one task, which is tried once."""
    task = {"name": "do", "type": "process", "run": {"command": list(command)}, "retry": {"limit": 0}}
    metadata, spec = {"name": "nightly"}, {"tasks": [task]}
    return {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": metadata, "spec": spec}


async def test_a_version_whose_tasks_become_slow_and_fail_is_taken_back(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version in canary gets half of the submissions by name; the stable one is what it is held to."""
    receiver = Receiver(httpserver)
    async with watched(tmp_path, receiver.url, choose_addresses()) as stack:
        for command in (["true"], ["sh", "-c", "sleep 0.5; exit 1"]):
            (await stack.client.post("/v1/workflows", json=named(*command))).raise_for_status()
        async with load_on(stack.stack, ["demo"], {"workflow": "nightly"}, pause=0.1) as load:
            await until(lambda: served(load, 20))
            tag = (await stack.client.get("/v1/workflows/nightly")).headers["etag"]
            step = "/v1/workflows/nightly/versions/2/canary"
            body, head = {"percent": 50}, {"if-match": tag}
            (await stack.client.post(step, json=body, headers=head)).raise_for_status()

            found = await until(lambda: verified(stack), seconds=60)
            await until(lambda: receiver.has("ticket", "WaypostRolledBack"))

    assert [one["phase"] for one in found["steps"]] == ["Intended", "Done", "Helped"]
    assert (found["release"], found["returns_to"]) == ("demo/nightly@2", "demo/nightly@1")
    assert found["alert"] == "WaypostReleaseFails"
    assert "WaypostReleaseFails" in receiver.sent["ticket"]
    assert found["steps"][0]["seen"]["baseline_failed"] == 0
    assert {one.released for one in load.since(found["steps"][1]["at"])} == {"nightly@1"}
    report(capsys, load, [one for one in load.submissions if one.released == "nightly@2"])


PATIENCE_SECONDS = 4
HALF: dict[str, Any] = {
    # A region has eight processors: two of these at a time, four a second.
    "tasks": [
        {"name": "wait", "type": "process", "run": {"command": ["sleep", "0.5"]}, "resources": {"cpu": 4}}
    ],
    "deadlineSeconds": PATIENCE_SECONDS,
}
EVENLY = {"shanghai": {"weight": 4}, "shenzhen": {"weight": 6}}
ALONE = {"shanghai": {"cordon": True}, "shenzhen": {"cordon": True}}


async def test_a_routing_that_sends_all_work_to_one_region_is_taken_back(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has too much to do then, and work waits there until its deadline."""
    receiver = Receiver(httpserver)
    work = {"apiVersion": "waypost/v1", "kind": "Workflow", "metadata": {"name": "load"}, "spec": HALF}
    async with watched(tmp_path, receiver.url, choose_addresses()) as stack:
        client = stack.client
        (await client.post("/v1/routing", json={"regions": EVENLY})).raise_for_status()
        async with load_on(stack.stack, ["demo"], work, pause=0.12) as load:
            await until(lambda: served(load, 90), seconds=60)
            before = await runs(stack, "Failed")
            (await client.post("/v1/routing", json={"regions": ALONE})).raise_for_status()

            found = await until(lambda: verified(stack), seconds=60)
            await until(lambda: receiver.has("ticket", "WaypostRolledBack"))
        bad = await runs(stack, "Failed")
        routing = (await stack.get("/v1/routing"))["revisions"]
        acts = (await stack.get("/v1/audit", actor="rollback"))["items"]

    assert [one["phase"] for one in found["steps"]] == ["Intended", "Done", "Helped"]
    assert (found["release"], found["returns_to"]) == ("2", "1")
    assert found["alert"] == "WaypostRoutingFails"
    assert [one["state"] for one in routing] == ["Active", "RolledBack"]
    assert [(act["kind"], act["detail"]["in_force"]) for act in acts] == [("RoutingRolledBack", 1)]
    assert before == []
    assert found["steps"][0]["seen"]["baseline_failed"] == 0
    assert "WaypostRoutingFails" in receiver.sent["page"]
    done_at = found["steps"][1]["at"]
    # What was placed before the rollback keeps its place.
    assert [run for run in bad if run["created_at"] > done_at + PATIENCE_SECONDS] == []
    failed = [Submission("demo", run["created_at"], 202, "") for run in reversed(bad)]
    report(capsys, load, failed)


async def runs(stack: Watched, phase: str) -> list[dict[str, Any]]:
    """Returns all runs in this phase, newest first."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"phase": phase, "limit": 100}
    while True:
        page = await stack.get("/v1/runs", **query)
        found += page["items"]
        if page["continue"] is None:
            return found
        query["continue"] = page["continue"]


def report(capsys: pytest.CaptureFixture[str], load: Load, bad: list[Submission]) -> None:
    """Prints the seconds from the first bad result to the last one."""
    seconds = bad[-1].at - bad[0].at
    with capsys.disabled():
        print(
            f"\nfrom the first bad submission to the last: {seconds:.1f} s (times divided by {SPEED:.0f}); "
            f"{len(bad)} of {len(load.submissions)} submissions"
        )


async def served(load: Load, number: int) -> bool:
    return len(load.submissions) >= number


async def verified(stack: Watched) -> dict[str, Any] | None:
    """Returns the only rollback once it is over."""
    found = await stack.rollbacks()
    assert len(found) <= 1
    return found[0] if found and found[0]["phase"] not in ("Intended", "Done") else None
