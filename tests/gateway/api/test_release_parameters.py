"""Tests the parameters of submissions by name."""

from typing import Any

import httpx
import msgspec
import pytest

from gateway.store.interface import Store
from tests.gateway.api.release_steps import WORKFLOWS, applied, document, ran


async def test_params_are_set_where_the_version_has_them(client: httpx.AsyncClient, store: Store) -> None:
    await applied(client, 1, day="today", depth=3)
    run = await store.run((await ran(client, params={"day": "monday"}))["id"])
    assert run is not None
    assert b'"day":"monday"' in run.workflow
    assert b'"depth":3' in run.workflow
    refused = await client.post("/v1/runs", json={"workflow": "nightly", "params": {"dya": 1, "a/b": 2}})
    assert refused.status_code == 422
    errors = [(one["pointer"], one["detail"]) for one in refused.json()["errors"]]
    assert errors == [("/params/a~1b", "there are: day, depth"), ("/params/dya", "there are: day, depth")]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("day", [5], "a string"), ("day", None, "a string"), ("depth", "3", "a number")),
        *(("depth", True, "a number"), ("a/b", {}, "an array"), ("manifest", [], "an object")),
        ("dry", 0, "true or false"),
    ],
)
async def test_a_parameter_of_another_type_is_refused_where_it_was_sent(
    client: httpx.AsyncClient, name: str, value: Any, expected: str
) -> None:
    """Not below /spec, which the sender never saw; nor accepted, and then another text in a command."""
    defaults = {"day": "today", "depth": 3, "a/b": [1], "manifest": {}, "dry": False, "any": None}
    await applied(client, 1, **defaults)
    refused = await client.post("/v1/runs", json={"workflow": "nightly", "params": {name: value}})
    (error,) = refused.json()["errors"]
    where = name.replace("/", "~1")
    assert error == {"pointer": f"/params/{where}", "detail": f"must be {expected}, as in the workflow"}
    await ran(client, params={"depth": 1.5, "any": [value], "dry": True})


async def test_a_number_is_text_for_a_parameter_that_is_one(client: httpx.AsyncClient, store: Store) -> None:
    """A build 1.10 has no quotes on a command line, and is no 1.1."""
    await applied(client, 1, build="0", tag="0", flag="0", depth=3)
    texts = b'"tag": 1e5, "flag":true , "build" : 1.10, "depth": 4'
    body = b'{"workflow": "nightly", "params": {%b}}' % texts
    accepted = await client.post("/v1/runs", content=body, headers={"content-type": "application/json"})
    assert accepted.status_code == 202
    run = await store.run(accepted.json()["id"])
    assert run is not None
    params = msgspec.json.decode(run.workflow)["spec"]["params"]
    assert params == {"build": "1.10", "tag": "1e5", "flag": "true", "depth": 4}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"workflow: nightly\nparams: {day: monday}\n", "application/yaml"),
        (b'{"workflow": "nightly", "params": {"day": "%b"}}' % (b"x" * 70_000), "application/json"),
        (b'{"params": {}, "workflow": "nightly"}', "text/yaml; charset=utf-8"),
    ],
    ids=["yaml", "large", "JSON as YAML"],
)
async def test_a_submission_by_name_that_is_read_as_a_document_is_told_so(
    client: httpx.AsyncClient, body: bytes, media_type: str
) -> None:
    """The errors of a document, `apiVersion` is missing, would lead its sender nowhere."""
    await applied(client, 1, day="today")
    refused = await client.post("/v1/runs", content=body, headers={"content-type": media_type})
    assert (refused.status_code, [one["pointer"] for one in refused.json()["errors"]]) == (422, ["/workflow"])
    assert refused.json()["detail"].startswith("a submission by name is JSON of at most 64 KiB")


async def test_a_parameter_may_be_a_manifest(client: httpx.AsyncClient) -> None:
    """One of Kubernetes has an apiVersion, as a document of ours has."""
    await applied(client, 1, manifest={})
    assert (await ran(client, params={"manifest": {"apiVersion": "v1", "kind": "Pod"}}))["name"] == "nightly"


async def test_labels_have_the_parameters_of_each_submission(client: httpx.AsyncClient, store: Store) -> None:
    """A version keeps the placeholder: its default is that of no run in particular."""
    labelled = document(day="today")
    labelled["metadata"]["labels"] = {"day": "${params.day}"}
    assert (await client.post(WORKFLOWS, json=labelled)).status_code == 201
    for params in ({"day": "monday"}, {}):
        run = await store.run((await ran(client, params=params))["id"])
        assert run is not None
        assert run.labels == {"day": params.get("day", "today")}
