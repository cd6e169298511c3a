"""Tests that the OpenAPI description is valid and lists every operation."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.api.http.descriptions import SUCCESSES
from gateway.api.http.resource import Operation
from gateway.api.query_parameters import QUERY
from gateway.api.routes import OPERATIONS
from tests.gateway.api.description import DOCUMENT, described

ALL = [
    (path, method, operation) for path, methods in OPERATIONS.items() for method, operation in methods.items()
]


def parameters(path: str, method: str, place: str) -> dict[str, Any]:
    return {p["name"]: p for p in DOCUMENT["paths"][path][method.lower()]["parameters"] if p["in"] == place}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_the_description_is_valid_openapi() -> None:
    """Programs make clients of it."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_every_reference_leads_somewhere() -> None:
    """And every shape that is described is used."""
    defined = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers")
        for name in DOCUMENT["components"][kind]
    }
    assert set(references(DOCUMENT)) == defined


def test_every_path_and_method_is_described() -> None:
    """It is made from the routes."""
    found = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert found == {(path, method) for path, method, _ in ALL}


@pytest.mark.parametrize(
    ("path", "method", "operation"), ALL, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_parameter_is_described(path: str, method: str, operation: Operation) -> None:
    """With its type: those in the path and those in the query."""
    assert set(parameters(path, method, "path")) == set(re.findall(r"{(\w+)}", path))
    assert set(parameters(path, method, "query")) == operation.query_parameters
    assert all(
        parameter["schema"].get("type") for parameter in DOCUMENT["paths"][path][method.lower()]["parameters"]
    )


def test_nothing_is_described_that_is_not_there() -> None:
    """What was taken away must go from the description too."""
    assert set(SUCCESSES) == {operation.name for _, _, operation in ALL}
    assert set(QUERY) == {name for _, _, operation in ALL for name in operation.query_parameters}


@pytest.mark.parametrize(
    ("path", "name", "shape"),
    [
        ("/v1/runs", "limit", "integer"),
        ("/v1/runs", "label", "array"),
        ("/v1/runs/{id}", "outputs", "boolean"),
        ("/v1/runs/{id}/logs", "shard", "string"),
        ("/v1/runs/{id}/logs", "follow", "boolean"),
    ],
)
def test_parameters_have_their_types(path: str, name: str, shape: str) -> None:
    """A client that is made from it sends numbers as numbers."""
    assert parameters(path, "GET", "query")[name]["schema"]["type"] == shape


def test_what_must_be_sent_is_required() -> None:
    """Logs are of one task."""
    assert [
        name for name, p in parameters("/v1/runs/{id}/logs", "GET", "query").items() if p["required"]
    ] == ["task"]


def arrays(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("type") == "array":
            yield value
        for item in value.values():
            yield from arrays(item)
    elif isinstance(value, list):
        for item in value:
            yield from arrays(item)


def test_every_array_says_what_is_in_it() -> None:
    """A generator of clients leaves a call out whose body has an array of nothing known: it was `submit`."""
    assert [array for array in arrays(DOCUMENT) if not isinstance(array.get("items"), dict)] == []
    tuples = [array for array in arrays(DOCUMENT) if "prefixItems" in array]
    assert all(array["maxItems"] == len(array["prefixItems"]) for array in tuples)
    assert {} in [array["items"] for array in arrays(DOCUMENT["components"]["schemas"]["Shards"])]


def test_events_are_described_as_what_they_are() -> None:
    """Not as any text: each has an id, a kind, and an entry of the history as JSON."""
    stream = DOCUMENT["paths"]["/v1/runs/{id}/events"]["get"]["responses"]["200"]["content"]
    schema = stream["text/event-stream"]["schema"]
    event = schema["contentSchema"]["items"]

    assert (schema["type"], schema["contentMediaType"]) == ("string", "text/event-stream")
    assert set(event["properties"]) == {"id", "event", "data"}
    assert event["properties"]["data"]["contentSchema"] == {"$ref": "#/components/schemas/HistoryEntry"}


async def test_an_answer_that_is_not_described_is_found() -> None:
    """The client of these tests holds every answer against the description: this is what it would say."""
    request = httpx.Request("GET", "http://gateway/v1/regions")
    for answer in (
        httpx.Response(202, json={"items": []}),
        httpx.Response(200, text="none"),
        httpx.Response(200, json={}),
    ):
        answer.request = request
        with pytest.raises((AssertionError, ValidationError)):
            await described(answer)
