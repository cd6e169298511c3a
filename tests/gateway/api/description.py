"""Checks an answer of the API against the OpenAPI description that the gateway gives of itself."""

import re
from functools import cache
from typing import Any

import httpx
import msgspec
from jsonschema import Draft202012Validator

from gateway.api.routes import OPENAPI

PROBLEM = "application/problem+json"
DOCUMENT: dict[str, Any] = msgspec.json.decode(OPENAPI)


async def described(answer: httpx.Response) -> None:
    """Fails if the OpenAPI description does not contain this answer for this call."""
    await answer.aread()
    request, media_type = answer.request, answer.headers.get("content-type", "").partition(";")[0]
    operation = _operation(request.method, request.url.path)
    if operation is None:
        assert (answer.status_code, media_type) in ((404, PROBLEM), (405, PROBLEM))
        return
    if answer.is_success:
        assert set(request.url.params) <= {p["name"] for p in operation["parameters"] if p["in"] == "query"}
    expected = operation["responses"].get(str(answer.status_code)) or operation["responses"]["default"]
    assert answer.is_success == (str(answer.status_code) in operation["responses"]), (
        "a success that is not described, or a refusal that is"
    )
    assert not media_type or media_type in expected["content"]
    assert ("location" in answer.headers) <= ("Location" in expected["headers"])
    if media_type.endswith("json") and request.method != "HEAD":
        _validator(msgspec.json.encode(expected["content"][media_type]["schema"])).validate(answer.json())


def _operation(method: str, path: str) -> Any:
    for template, methods in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return methods.get(method.lower().replace("head", "get"))
    return None


@cache
def _validator(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(msgspec.json.decode(schema) | {"components": DOCUMENT["components"]})
