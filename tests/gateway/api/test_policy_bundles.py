"""Tests policy bundles over the API: uploads, steps of their rollout, and who took them."""

from typing import Any, SupportsBytes

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.core.decision import Action, Reason
from gateway.policy.flips import Flip
from gateway.policy.opa.bundle_archive import ARCHIVE_MAXIMUM_BYTES
from gateway.policy.rollout.rollout import BundleRollout
from tests.gateway.api.callers import caller
from tests.gateway.api.conftest import Rules
from tests.gateway.policy.embedded.engines import EMPTY_DATA
from tests.gateway.policy.opa.bad_bundles import BAD
from tests.gateway.policy.rollout.releases import archive, rules

BUNDLES = "/v1/policy/bundles"


async def uploaded(client: httpx.AsyncClient, sequence: int) -> httpx.Response:
    answer = await client.post(BUNDLES, content=archive(sequence))
    assert answer.status_code == 201, answer.text
    return answer


async def etag(client: httpx.AsyncClient) -> str:
    return str((await client.get(BUNDLES)).headers["etag"])


async def step(client: httpx.AsyncClient, name: str, sequence: int, **body: Any) -> httpx.Response:
    headers = {"if-match": await etag(client)}
    return await client.post(f"{BUNDLES}/{sequence}/{name}", headers=headers, json=body or None)


async def states(client: httpx.AsyncClient) -> dict[int, str]:
    return {item["sequence"]: item["state"] for item in (await client.get(BUNDLES)).json()["items"]}


async def test_a_bundle_is_uploaded_activated_and_rolled_back(client: httpx.AsyncClient) -> None:
    """Each answer has the ETag for the next step."""
    answer = await uploaded(client, 7)
    assert answer.headers["location"] == f"{BUNDLES}/7"
    assert (answer.json()["state"], answer.json()["uploaded_by"]) == ("Gated", "ada")
    activated = await client.post(f"{BUNDLES}/7/activate", headers={"if-match": answer.headers["etag"]})
    assert (activated.status_code, activated.json()["state"]) == (200, "Active")
    assert (await client.get(BUNDLES)).json()["active"] == 7

    await uploaded(client, 8)
    assert (await step(client, "promote", 8)).json()["state"] == "Active"
    assert await states(client) == {8: "Active", 7: "Superseded"}
    assert (await step(client, "rollback", 8)).json()["state"] == "RolledBack"
    assert await states(client) == {8: "RolledBack", 7: "Active"}
    one = await client.get(f"{BUNDLES}/7")
    assert (one.json()["state"], one.headers["etag"]) == ("Active", await etag(client))


async def test_every_step_is_among_the_acts_with_who(client: httpx.AsyncClient, rules: Rules) -> None:
    """Under the decision that allowed it, of which policy saw what was asked for."""
    await uploaded(client, 7)
    await step(client, "activate", 7)
    assert rules.asked[-1].context == {"policy": {"operation": "activate", "sequence": 7}}
    await step(client, "rollback", 7)

    found = (await client.get("/v1/audit")).json()["items"]
    assert [(act["kind"], act["actor"], act["detail"]["sequence"]) for act in found] == [
        ("PolicyRolledBack", "ada", 7),
        ("PolicyActivated", "ada", 7),
        ("PolicyUploaded", "ada", 7),
    ]
    assert all(act["detail"]["decision_id"] for act in found)


async def test_a_canary_for_a_tenant_that_no_data_knows_is_warned_of(client: httpx.AsyncClient) -> None:
    """A misspelt name would be a canary for nobody, and look like a good one."""
    data = {**EMPTY_DATA, "tenants": {"payments": {"regions": []}}}
    await uploaded(client, 6)
    await step(client, "activate", 6)
    assert (await client.post(BUNDLES, content=archive(7, data=data))).status_code == 201
    answer = await step(client, "canary", 7, tenants=["payments", "paymnets"])
    assert (answer.status_code, answer.json()["unknown_tenants"]) == (200, ["paymnets"])


@pytest.fixture
def four_eyes(rules: Rules) -> None:
    """Makes the fake policy require the approval of another person."""
    rules.obligations = structs.replace(rules.obligations, approvals=1)


@pytest.mark.usefixtures("four_eyes")
async def test_who_asks_cannot_approve(client: httpx.AsyncClient) -> None:
    """Whoever it is, and whatever policy permits them; somebody else can, and then it is done at once."""
    await uploaded(client, 7)
    asked = await step(client, "activate", 7)
    assert (asked.status_code, asked.json()["state"]) == (202, "Gated")
    pending = (await client.get(BUNDLES)).json()["pending"]
    assert pending == asked.json()["pending"]
    assert (pending["step"], pending["asked_by"], pending["approved_by"]) == ("activate", "ada", [])

    own = await step(client, "approve", 7)
    assert (own.status_code, own.json()["reason"]) == (403, "Denied")
    assert "who asks for it cannot approve it" in own.json()["detail"]
    (refused,) = (await client.get("/v1/decisions?refused=true")).json()["items"]
    assert (refused["id"], refused["rules"]) == (own.json()["decision_id"], ["approval.own"])
    assert refused["operation"] == "approve 7"
    assert await states(client) == {7: "Gated"}

    client.headers["authorization"] = "Bearer payments.bob"
    approved = await step(client, "approve", 7)
    assert (approved.status_code, approved.json()["state"], approved.json()["pending"]) == (
        200,
        "Active",
        None,
    )
    assert approved.json()["changed_by"] == "ada"
    acts = (await client.get("/v1/audit")).json()["items"]
    assert [(act["kind"], act["actor"], act["detail"].get("asked_by")) for act in acts[:3]] == [
        ("PolicyActivated", "bob", "ada"),
        ("PolicyApprovalRefused", "ada", "ada"),
        ("PolicyStepAsked", "ada", "ada"),
    ]


@pytest.mark.usefixtures("four_eyes")
async def test_an_approval_is_of_what_was_seen(client: httpx.AsyncClient, rules: Rules) -> None:
    """Two are two people, and a step that is taken meanwhile ends what waits."""
    rules.obligations = structs.replace(rules.obligations, approvals=2)
    await uploaded(client, 7)
    await step(client, "canary", 7, percent=5)
    client.headers["authorization"] = "Bearer payments.bob"
    assert (await step(client, "activate", 7)).status_code == 409
    assert (await step(client, "approve", 7)).status_code == 202
    assert (await step(client, "approve", 7)).status_code == 403
    seen = await etag(client)
    await uploaded(client, 8)
    client.headers["authorization"] = "Bearer payments.eve"
    stale = await client.post(f"{BUNDLES}/7/approve", headers={"if-match": seen})
    assert stale.status_code == 412
    assert (await step(client, "approve", 8)).status_code == 409
    done = (await step(client, "approve", 7)).json()
    assert (done["state"], done["percent"]) == ("Canary", 5)
    assert (await step(client, "approve", 7)).status_code == 409


@pytest.mark.usefixtures("four_eyes")
async def test_what_nobody_approves_in_time_expires(services: Services) -> None:
    """And can be asked for again, by anybody."""
    now = [1_764_000_000.0]
    async with caller(services, clock=lambda: now[0]) as ada:
        await uploaded(ada, 7)
        await step(ada, "activate", 7)
        now[0] += 61
        async with caller(services, "payments.bob", clock=lambda: now[0]) as bob:
            late = await step(bob, "approve", 7)
            assert (late.status_code, "has expired" in late.json()["detail"]) == (409, True)
            assert (await step(bob, "activate", 7)).status_code == 202
        assert (await step(ada, "approve", 7)).json()["state"] == "Active"


@pytest.mark.parametrize("name", ["shadow", "activate", "promote", "rollback", "approve"])
async def test_a_step_says_which_state_it_is_about(client: httpx.AsyncClient, name: str) -> None:
    """Without it 428, with another 412: nobody activates what was rolled back a moment ago."""
    seen = (await uploaded(client, 7)).headers["etag"]
    assert (await client.post(f"{BUNDLES}/7/{name}")).status_code == 428
    await uploaded(client, 8)
    for tag in (seen, "*", f"W/{seen}", "7", '""', '"1", "2"'):
        answer = await client.post(f"{BUNDLES}/7/{name}", headers={"if-match": tag})
        assert (answer.status_code, answer.json()["reason"]) == (412, "PreconditionFailed")
    assert await states(client) == {8: "Gated", 7: "Gated"}


async def test_a_step_that_is_not_possible_is_a_conflict(client: httpx.AsyncClient) -> None:
    """It says why."""
    await uploaded(client, 7)
    await uploaded(client, 8)
    await step(client, "activate", 8)
    older = await step(client, "activate", 7)
    assert (older.status_code, older.json()["detail"]) == (409, "bundle 7 is older than 8, which is active")
    await step(client, "rollback", 8)
    gone = (await step(client, "activate", 8)).json()
    said = "bundle 8 is RolledBack: it cannot be Activated. To release its rules again, build and upload them"
    assert (gone["status"], gone["detail"]) == (409, f"{said} with a higher sequence")


@pytest.mark.parametrize("name", ["9", "x", "1e3", "-1", "99999999999999999999"])
async def test_a_bundle_that_is_not_there(client: httpx.AsyncClient, name: str) -> None:
    """404, whatever it is called."""
    assert (await client.get(f"{BUNDLES}/{name}")).status_code == 404
    answer = await client.post(f"{BUNDLES}/{name}/activate", headers={"if-match": '"0"'})
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["", "/7/shadow", "/7/activate", "/7/promote", "/7/rollback", "/7/approve"])
async def test_every_change_takes_a_right(client: httpx.AsyncClient, rules: Rules, path: str) -> None:
    """Policy has the first word, also about bundles that are not there."""
    rules.refused[Action.POLICY_OPERATE] = Reason(rule="policy.security", message="not you")
    assert (await client.post(f"{BUNDLES}{path}", content=b"x")).status_code == 403


async def test_a_canary_is_for_tenants_that_are_named(client: httpx.AsyncClient, rules: Rules) -> None:
    """Policy sees for whom; the answer and the acts say it."""
    await uploaded(client, 7)
    answer = await step(client, "canary", 7, tenants=["payments"], percent=12.5)
    found = answer.json()
    assert (found["state"], found["tenants"], found["percent"]) == ("Canary", ["payments"], 12.5)
    operation = {"operation": "canary", "sequence": 7, "tenants": ["payments"], "percent": 12.5}
    assert {**rules.asked[-1].context["policy"]} == operation | {"tenants": ("payments",)}
    act = (await client.get("/v1/audit?kind=PolicyCanaried")).json()["items"][0]["detail"]
    assert (act["tenants"], act["percent"]) == (["payments"], 12.5)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"{}", ""),
        (b'{"percent": 101}', "/percent"),
        (b'{"percent": NaN}', ""),
        (b'{"tenants": "payments"}', "/tenants"),
        (b'{"tenants": [""]}', "/tenants/0"),
        (b'{"tenant": ["payments"]}', ""),
        (b"[]", ""),
        (b"\xff", ""),
    ],
)
async def test_a_canary_for_nobody_is_refused(client: httpx.AsyncClient, body: bytes, pointer: str) -> None:
    """With a pointer to what is wrong."""
    tag = (await uploaded(client, 7)).headers["etag"]
    answer = await client.post(f"{BUNDLES}/7/canary", content=body, headers={"if-match": tag})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert await states(client) == {7: "Gated"}


async def test_a_bundle_in_shadow_is_shown_with_what_it_would_change(
    client: httpx.AsyncClient, rollout: BundleRollout
) -> None:
    """Newest first, with the ids of decisions."""
    await uploaded(client, 7)
    assert (await client.get(f"{BUNDLES}/7")).json()["shadow"] is None
    assert (await step(client, "shadow", 7)).json()["state"] == "Shadow"
    counts = rollout.shadow_counts(7)
    assert counts is not None
    for name in ("d1", "d2"):
        counts.flips["refused"] += 1
        counts.latest.append(
            Flip(id=name, action=Action.RUNS_SUBMIT, tenant="payments", kind="refused", rules=("r",))
        )
    shadow = (await client.get(f"{BUNDLES}/7")).json()["shadow"]
    assert (shadow["compared"], shadow["skipped"], shadow["flips"]) == (0, 0, {"refused": 2})
    assert [flip["decision_id"] for flip in shadow["latest"]] == ["d2", "d1"]


async def test_reading_takes_a_right(client: httpx.AsyncClient, rules: Rules) -> None:
    """Of its own."""
    rules.refused[Action.POLICY_READ] = Reason(rule="scope.missing", message="needs policy:read")
    assert (await client.get(BUNDLES)).status_code == (await client.get(f"{BUNDLES}/7")).status_code == 403


async def test_a_bad_bundle_is_refused_with_every_line(client: httpx.AsyncClient) -> None:
    """As a problem document; nothing is kept."""
    bad = archive(7, rules("r") | {"x.rego": "package waypost.house\n\nx := input.y[\n"})
    answer = await client.post(BUNDLES, content=bad)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"].startswith("x.rego:4: ")
    for content, status in ((b"", 422), (b"garbage", 422), (archive(7, key=None), 422)):
        assert (await client.post(BUNDLES, content=content)).status_code == status
    too_large = bytes(ARCHIVE_MAXIMUM_BYTES + 1)
    assert (await client.post(BUNDLES, content=too_large)).status_code == 413
    assert await states(client) == {}


async def test_a_refused_upload_is_an_act_and_a_refusal(client: httpx.AsyncClient) -> None:
    """With who and why: somebody offers rules that must not rule."""
    assert (await client.post(BUNDLES, content=archive(7, key=None))).status_code == 422
    (act,) = (await client.get("/v1/audit")).json()["items"]
    assert (act["kind"], act["actor"]) == ("BundleRefused", "ada")
    assert "it is not signed" in act["detail"]["reason"]
    (refused,) = (await client.get("/v1/decisions?refused=true")).json()["items"]
    assert (refused["operation"], refused["rules"]) == ("upload", ["bundle.refused"])
    assert refused["id"] == act["detail"]["decision_id"]
    assert refused["reasons"][0]["message"] == act["detail"]["reason"]


@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD)
async def test_no_bad_bundle_that_has_a_name_is_taken(
    client: httpx.AsyncClient, services: Services, content: SupportsBytes, why: str
) -> None:
    """One sentence says what is wrong with it, an alarm counts it, and what is active stays."""
    await uploaded(client, 5)
    await step(client, "activate", 5)
    answer = await client.post(BUNDLES, content=bytes(content))
    too_large = len(bytes(content)) > ARCHIVE_MAXIMUM_BYTES
    assert answer.status_code == (413 if too_large else 422)
    assert too_large or why in answer.json()["detail"]
    assert await states(client) == {5: "Active"}
    registry = services.metrics.registry
    refused = registry.get_sample_value("waypost_policy_bundles_total", {"outcome": "Refused"})
    assert refused == (None if too_large else 1)
