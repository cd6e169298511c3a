"""Tests released workflows in the API: versions, steps, and submissions by name."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.api.routes import api
from gateway.core.decision import Action, Obligations, Reason
from gateway.settings import RollbackSettings
from gateway.store.acts import ActQuery
from gateway.store.interface import Store
from tests.gateway.api.conftest import Rules
from tests.gateway.api.release_steps import WORKFLOWS, applied, document, ran, step


async def test_a_version_is_applied_once_and_the_first_is_stable(client: httpx.AsyncClient) -> None:
    answers = [
        await client.post(WORKFLOWS, json=document(each), params={"source": "c0ffee"}) for each in (1, 2, 2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    found = (await client.get(f"{WORKFLOWS}/nightly")).json()
    assert [(one["number"], one["state"], one["source"]) for one in found["versions"]] == [
        (1, "Stable", "c0ffee"),
        (2, "Applied", "c0ffee"),
    ]
    assert [one["name"] for one in (await client.get(WORKFLOWS)).json()["items"]] == ["nightly"]


async def test_the_names_of_a_tenant_are_bounded(services: Services) -> None:
    """Versions of those that it has are not: the oldest of these go."""
    tenants = structs.replace(services.settings.tenants, released_workflows=1)
    settings = structs.replace(services.settings, tenants=tenants)
    transport = httpx.ASGITransport(api(structs.replace(services, settings=settings)))
    headers = {"authorization": "Bearer demo.ada"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
        await applied(client, 1, 2)
        other = {**document(1), "metadata": {"name": "weekly"}}
        refused = await client.post(WORKFLOWS, json=other)
    assert refused.status_code == 409
    assert "tenants.released_workflows" in refused.json()["detail"]


async def test_submissions_by_name_run_the_stable_version_but_for_the_canarys_share(
    client: httpx.AsyncClient, store: Store
) -> None:
    await applied(client, 1, 2)
    first = await ran(client)
    await step(client, "canary", 2, percent=100)
    tried = await ran(client)
    await step(client, "rollback", 2)
    back = await ran(client)
    assert [run["released"] for run in (first, tried, back)] == ["nightly@1", "nightly@2", "nightly@1"]
    stored = await store.run(tried["id"])
    assert stored is not None
    assert b'"seconds":2' in stored.workflow
    assert (await client.get(f"/v1/runs/{tried['id']}/explain")).json()["run"]["released"] == "nightly@2"


async def test_one_in_twenty_goes_to_a_canary_of_five_percent(client: httpx.AsyncClient) -> None:
    """By chance, which the keys are here: the same keys choose the same."""
    await applied(client, 1, 2)
    await step(client, "canary", 2, percent=5)
    runs = []
    for number in range(200):
        key = {"idempotency-key": f"k{number}"}
        runs.append((await client.post("/v1/runs", json={"workflow": "nightly"}, headers=key)).json())
    tried = sum(run["released"] == "nightly@2" for run in runs)
    assert 4 <= tried <= 18


async def test_the_same_key_is_the_same_run_whatever_is_stable_meanwhile(client: httpx.AsyncClient) -> None:
    """A retry after a promotion asks for the same, though the document is another."""
    await applied(client, 1, 2)
    key, body = {"idempotency-key": "k"}, {"workflow": "nightly"}
    first = (await client.post("/v1/runs", json=body, headers=key)).json()
    await step(client, "promote", 2)
    again = await client.post("/v1/runs", json=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    other = await client.post("/v1/runs", json=document(1), headers=key)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"workflow": "weekly"}, 404, None),
        ({"workflow": "Not A Name"}, 422, "/workflow"),
        ({"workflow": "nightly", "param": {}}, 422, "/param"),
        ({"workflow": 7}, 422, "/workflow"),
        ({"workflow": "nightly", "spec": {}}, 422, ""),
    ],
)
async def test_what_names_no_release_is_refused(
    client: httpx.AsyncClient, body: Any, status: int, pointer: str | None
) -> None:
    await applied(client, 1)
    answer = await client.post("/v1/runs", json=body)
    assert answer.status_code == status, answer.text
    if pointer:
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_workflow_that_is_not_there_is_named_with_its_tenant(client: httpx.AsyncClient) -> None:
    """Whoever forgot to name the tenant looked in another."""
    await applied(client, 1)
    lost = await client.get(f"{WORKFLOWS}/weekly")
    version = await client.post(f"{WORKFLOWS}/nightly/versions/9/rollback", headers={"if-match": '"1"'})
    found = [(answer.status_code, answer.json()["detail"]) for answer in (lost, version)]
    assert found == [
        (404, "there is no such released workflow of the tenant payments"),
        (404, "there is no such version of a released workflow of the tenant payments"),
    ]


async def test_steps_are_refused_without_the_state_that_they_are_about(client: httpx.AsyncClient) -> None:
    await applied(client, 1, 2)
    path = f"{WORKFLOWS}/nightly/versions/2/promote"
    found = [
        (await client.post(path, headers=headers)).status_code
        for headers in ({}, {"if-match": '"1"'}, {"if-match": "x"}, {"if-match": '"2"'}, {"if-match": '"2"'})
    ]
    assert found == [428, 412, 412, 200, 412]
    missing = [
        (await step(client, "promote", 9)).status_code,
        (await step(client, "rollback", 1)).status_code,
    ]
    assert missing == [404, 409]
    for percent in (0, 101, "x"):
        body = {"percent": percent}
        bad = await client.post(
            f"{WORKFLOWS}/nightly/versions/2/canary", headers={"if-match": '"3"'}, json=body
        )
        assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/percent")


async def test_a_canary_is_aborted_by_policy_and_the_act_is_audited(
    client: httpx.AsyncClient, rules: Rules, store: Store
) -> None:
    await applied(client, 1, 2)
    await step(client, "canary", 2, percent=100)
    rules.refused[Action.RELEASES_OPERATE] = Reason(rule="scope.missing", message="no")
    assert (await step(client, "abort", 2)).status_code == 403
    rules.refused.clear()
    assert (await step(client, "abort", 2)).status_code == 200
    assert rules.asked[-1].context["release"]["operation"] == "abort"
    assert (await ran(client))["released"] == "nightly@1"
    (act, *_) = (await store.acts(ActQuery(tenants=("payments",)))).entries
    assert (act.kind, act.actor) == ("WorkflowAborted", "ada")


async def staged(client: httpx.AsyncClient, *steps: Any, percent: float = 5) -> httpx.Response:
    etag = (await client.get(f"{WORKFLOWS}/nightly")).headers["etag"]
    path, body = f"{WORKFLOWS}/nightly/versions/2/canary", {"percent": percent, "steps": steps}
    return await client.post(path, headers={"if-match": etag}, json=body)


async def test_the_stages_of_a_canary_are_kept_for_who_asked(services: Services, store: Store) -> None:
    settings = structs.replace(services.settings, rollback=RollbackSettings(prometheus_url="http://p:9090"))
    transport = httpx.ASGITransport(api(structs.replace(services, settings=settings)))
    headers = {"authorization": "Bearer payments.ada"}
    async with httpx.AsyncClient(transport=transport, base_url="http://g", headers=headers) as client:
        await applied(client, 1, 2)
        version = (await staged(client, 25, 100)).json()["versions"][1]
        assert (version["percent"], version["steps"]) == (5.0, [25.0, 100.0])
        (kept,) = await store.staged_workflows(limit=9)
        assert (kept.workflow.name, kept.asked_by.subject) == ("nightly", "ada")
        assert "asked_by" not in (await client.get(f"{WORKFLOWS}/nightly")).text


async def test_stages_need_prometheus(client: httpx.AsyncClient, store: Store) -> None:
    """Without it they would never follow."""
    await applied(client, 1, 2)
    answer = await staged(client, 25, 100)
    assert (answer.status_code, "rollback.prometheus_url" in answer.json()["detail"]) == (409, True)
    assert await store.staged_workflows(limit=9) == []


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [
        ((25, 25), "/steps/1"),
        ((5,), "/steps/0"),
        ((25, 101), "/steps/1"),
        ((25, "x"), "/steps/1"),
        (tuple(range(6, 27)), "/steps"),
    ],
)
async def test_the_shares_of_stages_rise_to_100_at_most(
    client: httpx.AsyncClient, steps: tuple[Any, ...], pointer: str
) -> None:
    await applied(client, 1, 2)
    answer = await staged(client, *steps)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_what_was_rolled_back_is_not_applied_again(client: httpx.AsyncClient) -> None:
    await applied(client, 1, 2)
    await step(client, "promote", 2)
    assert (await step(client, "rollback", 2)).status_code == 200
    again = await client.post(WORKFLOWS, json=document(2))
    assert (again.status_code, again.json()["reason"]) == (409, "Conflict")


async def test_a_document_with_faults_is_no_version(client: httpx.AsyncClient) -> None:
    answer = await client.post(WORKFLOWS, json=document(-1))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/spec/tasks/0/run/seconds")
    assert (await client.get(f"{WORKFLOWS}/nightly")).status_code == 404


async def test_policy_decides_about_each_act_and_each_is_in_the_audit(
    client: httpx.AsyncClient, rules: Rules, store: Store
) -> None:
    await applied(client, 1, 2)
    await step(client, "canary", 2, percent=5)
    asked = [one.context["release"] for one in rules.asked if one.action is Action.RELEASES_OPERATE]
    assert asked[0] == {"tenant": "payments", "workflow": "nightly", "operation": "apply"}
    assert asked[-1] == asked[0] | {"operation": "canary", "version": 2, "percent": 5.0}
    acts = (await store.acts(ActQuery(tenants=("payments",)))).entries
    assert [act.kind.value for act in acts] == ["WorkflowCanaried", "WorkflowApplied", "WorkflowApplied"]
    rules.refused[Action.RELEASES_OPERATE] = Reason(rule="scope.missing", message="no")
    assert (await client.post(WORKFLOWS, json=document(3))).status_code == 403
    assert (await step(client, "promote", 2)).status_code == 403
    rules.refused[Action.RELEASES_READ] = Reason(rule="scope.missing", message="no")
    assert (await client.get(f"{WORKFLOWS}/nightly")).status_code == 403


async def test_another_tenants_workflows_are_not_there(client: httpx.AsyncClient, rules: Rules) -> None:
    await applied(client, 1)
    other = {"authorization": "Bearer research.bob"}
    assert (await client.get(f"{WORKFLOWS}/nightly", headers=other)).status_code == 404
    query = {"tenant": "payments"}
    assert (await client.get(f"{WORKFLOWS}/nightly", headers=other, params=query)).status_code == 404
    by_name = await client.post("/v1/runs", json={"workflow": "nightly"}, headers=other)
    assert by_name.status_code == 404
    rules.obligations = Obligations(regions=("beijing",), tenants=("*",))
    assert (await client.get(f"{WORKFLOWS}/nightly", headers=other, params=query)).status_code == 200


async def test_what_would_hold_up_others_is_too_large(client: httpx.AsyncClient) -> None:
    """Parameters are set on the event loop; and a workflow in YAML may be larger as JSON."""
    assert (await client.post(WORKFLOWS, json=document(1, text="x" * 262_144))).status_code == 413
    aliased = "a: &a " + "x" * 100_000 + "\nb: *a\nc: *a\nd: *a"
    yaml = (
        "apiVersion: waypost/v1\nkind: Workflow\nmetadata: {name: nightly}\nspec:\n  params:\n"
        + "".join(f"    {line}\n" for line in aliased.splitlines())
        + "  tasks: [{name: a, type: delay, run: {seconds: 1}}]\n"
    )
    headers = {"content-type": "application/yaml"}
    answer = await client.post(WORKFLOWS, content=yaml, headers=headers)
    assert (answer.status_code, (await client.get(f"{WORKFLOWS}/nightly")).status_code) == (413, 404)
    await applied(client, 1, text="x")
    large = {"workflow": "nightly", "params": {"text": "x" * 65_536}}
    assert (await client.post("/v1/runs", json=large)).status_code == 422


async def test_a_submission_by_name_may_name_targets(client: httpx.AsyncClient) -> None:
    """Only what they need runs; the version keeps all of its tasks."""
    whole = document(1)
    first = whole["spec"]["tasks"][0]
    whole["spec"]["tasks"] = [first, first | {"name": "other"}]
    assert (await client.post(WORKFLOWS, json=whole)).status_code == 201
    body = {"workflow": "nightly", "targets": ["other"]}
    sent = await client.post("/v1/runs", json=body, headers={"idempotency-key": "k"})
    assert sent.status_code == 202, sent.text
    spec = (await client.get(f"/v1/runs/{sent.json()['id']}")).json()["workflow"]["spec"]
    assert [task["name"] for task in spec["tasks"]] == ["other"]

    again = await client.post("/v1/runs", json=body, headers={"idempotency-key": "k"})
    assert (again.status_code, again.json()["id"]) == (200, sent.json()["id"])
    all_of_it = {"workflow": "nightly"}
    other = await client.post("/v1/runs", json=all_of_it, headers={"idempotency-key": "k"})
    assert other.status_code == 422
    unknown = await client.post("/v1/runs", json={"workflow": "nightly", "targets": ["a", "x"]})
    assert [error["pointer"] for error in unknown.json()["errors"]][-1] == "/targets/1"
