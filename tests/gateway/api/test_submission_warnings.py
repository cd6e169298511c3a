"""Tests the warnings about a workflow that is accepted although no region could run it now."""

from typing import Any, cast

import httpx
import pytest
from msgspec import structs

from gateway.api.http.services import Services
from gateway.core.decision import Obligations
from gateway.regions.region_view import RegionView
from tests.gateway.api.conftest import Rules

Document = dict[str, Any]


def with_processors(views: list[RegionView], *processors: float | None) -> list[RegionView]:
    return [
        structs.replace(view, status=view.status and structs.replace(view.status, cpu=cpu))
        for view, cpu in zip(views, processors, strict=True)
    ]


@pytest.mark.parametrize(
    ("processors", "asked", "warned"),
    [((8.0, 4.0), 64, True), ((8.0, 64.0), 64, False), ((8.0, None), 64, False), ((8.0, 4.0), 8, False)],
)
async def test_a_task_too_large_for_every_region_is_warned_of(
    client: httpx.AsyncClient,
    views: list[RegionView],
    document: Document,
    processors: tuple[float | None, ...],
    asked: int,
    *,
    warned: bool,
) -> None:
    """It would wait for ever, and nobody would know before asking; a region may still grow."""
    views[:] = with_processors(views, *processors)
    document["spec"]["tasks"][0]["resources"] = {"cpu": asked}
    answer = await client.post("/v1/runs", json=document)
    assert answer.status_code == 202
    assert ("64 processors" in answer.headers.get("warning", "")) == warned


@pytest.mark.parametrize("stage", ["tasks", "finally"])
async def test_a_task_that_asks_for_more_memory_than_any_region_has_is_named(
    client: httpx.AsyncClient, views: list[RegionView], document: Document, stage: str
) -> None:
    """By where the document asks for it. A region that does not say how much it has may have enough."""
    large = {"name": "large", "type": "delay", "run": {"seconds": 1}, "resources": {"memoryMiB": 4_096}}
    document["spec"].setdefault(stage, []).append(large)
    index = len(document["spec"][stage]) - 1
    for memory, warned in (((2_048, 1_024), True), ((2_048, 4_096), False), ((2_048, None), False)):
        views[:] = [
            structs.replace(view, status=view.status and structs.replace(view.status, memory_mib=mib))
            for view, mib in zip(views, memory, strict=True)
        ]
        warning = (await client.post("/v1/runs", json=document)).headers.get("warning", "")
        text = f"4096 MiB of memory (/spec/{stage}/{index}/resources/memoryMiB); no permitted region"
        assert (text in warning) == warned, warning


async def test_secrets_that_no_region_has_are_warned_of(
    client: httpx.AsyncClient, views: list[RegionView], document: Document
) -> None:
    """The run would wait, until a region's settings say where secrets are."""
    document["spec"]["secrets"] = [{"name": "TOKEN", "from": "token"}]
    for features, warned in ((("secrets",), False), ((), True)):
        views[:] = [
            structs.replace(view, status=view.status and structs.replace(view.status, features=features))
            for view in views
        ]
        answer = await client.post("/v1/runs", json=document)
        assert answer.status_code == 202
        said = "no permitted region gives secrets to tasks" in answer.headers.get("warning", "")
        assert said == (warned and all(view.status for view in views))


async def test_regions_that_the_workflow_does_not_take_do_not_count(
    client: httpx.AsyncClient, views: list[RegionView], document: Document
) -> None:
    """The large one is not among those it names."""
    views[:] = with_processors(views, 8.0, 64.0)
    document["spec"]["tasks"][0]["resources"] = {"cpu": 64}
    document["spec"]["placement"] = {"regions": ["beijing"]}
    answer = await client.post("/v1/runs", json=document)
    assert "more than 8" in answer.headers["warning"]


@pytest.mark.parametrize("label", ["${params.x}", "a-${shard.item}"])
async def test_a_placeholder_in_a_label_that_cannot_be_filled_in_is_refused(
    client: httpx.AsyncClient, document: Document, label: str
) -> None:
    """It would stand there as it is, and no filter would find the run."""
    document["metadata"]["labels"] = {"team": label}
    refused = await client.post("/v1/runs", json=document)
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/metadata/labels/team"]


@pytest.mark.parametrize("name", ["tasks.a.outputs.parameters.x", "steps.a.output"])
async def test_a_placeholder_for_an_output_is_led_to_how_it_is_written_here(
    client: httpx.AsyncClient, document: Document, name: str
) -> None:
    """Argo's users write it so."""
    document["spec"]["tasks"][0]["run"] = {"command": ["echo", f"${{{name}}}"]}
    refused = await client.post("/v1/runs", json=document)
    assert "tasks.NAME.output" in refused.json()["errors"][0]["detail"]


async def test_a_workflow_that_policy_permits_in_no_region_is_warned_of(
    client: httpx.AsyncClient, services: Services, document: Document
) -> None:
    """It would wait until the policy changes, and nobody would say so."""
    clusters = cast("dict[str, Any]", services.clusters)
    clusters["solo"] = None
    expected = '299 - "policy permits none of the regions that there are (solo): the run waits"'
    for query in ({}, {"dryRun": "true"}):
        answer = await client.post("/v1/runs", json=document, params=query)
        assert (answer.is_success, answer.headers["warning"]) == (True, expected)
    clusters["beijing"] = None
    assert "warning" not in (await client.post("/v1/runs", json=document)).headers


async def test_what_policy_warns_of_comes_with_the_acceptance_and_with_a_dry_run(
    client: httpx.AsyncClient, rules: Rules, document: Document
) -> None:
    """In any language, on one line, and never so many that clients drop the answer."""
    texts = ('labels.team: "team" is missing', "地区 上海\r\nSet-Cookie: x", *["more"] * 30)
    rules.obligations = Obligations(regions=("beijing",), warnings=texts)

    for query in ("", "?dryRun=true"):
        answer = await client.post(f"/v1/runs{query}", json=document)
        warnings = [value.decode() for name, value in answer.headers.raw if name.lower() == b"warning"]
        assert warnings[0] == '299 - "labels.team: \\"team\\" is missing"'
        assert warnings[1] == '299 - "地区 上海  Set-Cookie: x"'
        assert warnings[-1] == '299 - "and 12 more warnings"'
