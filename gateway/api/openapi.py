"""The description of the API, made from its own list of routes and its own types."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from gateway.api.problems import MEDIA_TYPE, Problem
from gateway.api.views import DryRun, Ordered, RegionList, Released, RunDetail, RunPage, RunStory, RunSummary
from gateway.api.wire import Call, Operation, Reply
from gateway.core.document import schema

VERSION = "3.1.0"
SHOWN = (DryRun, Ordered, Problem, RegionList, Released, RunDetail, RunPage, RunStory, RunSummary)
ANSWERS: Mapping[str, tuple[str, str]] = {
    "submit": ("202", "RunSummary"),
    "listing": ("200", "RunPage"),
    "describe": ("200", "RunDetail"),
    "explain": ("200", "RunStory"),
    "cancel": ("202", "RunSummary"),
    "retry": ("202", "RunSummary"),
    "regions": ("200", "RegionList"),
    "cordon": ("200", "Ordered"),
    "drain": ("200", "Ordered"),
    "uncordon": ("200", "Ordered"),
    "forget": ("202", "Ordered"),
    "replace": ("200", "Released"),
}
STREAMS: Mapping[str, str] = {"events": "text/event-stream", "logs": "text/plain"}


async def workflow_schema(_: Call) -> Response:
    """The JSON Schema of a workflow document."""
    return Reply(schema())


def describing(operations: Mapping[str, Mapping[str, Operation]]) -> dict[str, Any]:
    """The OpenAPI document of `operations` (by path, then method)."""
    _, components = msgspec.json.schema_components(SHOWN, ref_template="#/components/schemas/{name}")
    document = schema()
    components |= {name: _moved(value) for name, value in document["$defs"].items()}
    return {
        "openapi": VERSION,
        "info": {"title": "Waypost", "version": "1", "description": "Submit workflows and follow them across regions."},
        "paths": {path: {m.lower(): _operation(path, o) for m, o in methods.items()} for path, methods in operations.items()},
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    summary = (operation.handler.__doc__ or "").strip().partition("\n")[0]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "parameters": list(_parameters(path, operation)),
        "responses": {**_answer(operation.name), "default": {"description": "Refused", "content": _content(MEDIA_TYPE, "Problem")}},
        "security": [] if operation.open else [{"bearer": []}],
    }
    if operation.name == "submit":
        content = _content("application/json", "Workflow") | _content("application/yaml", "Workflow")
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(name: str) -> dict[str, Any]:
    if name in STREAMS:
        return {"200": {"description": "Streams", "content": {STREAMS[name]: {"schema": {"type": "string"}}}}}
    status, shape = ANSWERS.get(name, ("200", ""))
    content = _content("application/json", shape) if shape else {"application/json": {"schema": {"type": "object"}}}
    return {status: {"description": "Done", "content": content}}


def _parameters(path: str, operation: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in path:
        yield {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    for name in sorted(operation.query):
        yield {"name": name, "in": "query", "schema": {"type": "string"}}
    if operation.name == "submit":
        yield {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255}}
    if operation.name == "events":
        yield {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}


def _content(media_type: str, shape: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{shape}"}}}


def _moved(value: Any) -> Any:
    """The same schema with its references under `components`."""
    if isinstance(value, dict):
        return {k: v.replace("#/$defs/", "#/components/schemas/") if k == "$ref" else _moved(v) for k, v in value.items()}
    return [_moved(item) for item in value] if isinstance(value, list) else value
