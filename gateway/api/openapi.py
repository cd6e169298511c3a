"""Builds the API's OpenAPI document from its list of routes and the types of its responses."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from gateway.api.explanations.task_waits import WaitingTasks
from gateway.api.http.call import Call
from gateway.api.http.descriptions import EVENTS, HEADERS, JSON, REQUESTS, SUCCESSES, Success
from gateway.api.http.problems import Problem
from gateway.api.http.resource import Operation
from gateway.api.http.responses import JsonResponse
from gateway.api.logs.lines import LogLine
from gateway.api.policy.exceptions import ExceptionPage, ExceptionRecord, ExceptionRequest
from gateway.api.policy.views import BundleDetail, BundleList, BundleView, StepResult
from gateway.api.query_parameters import QUERY, REQUIRED, TEXT
from gateway.api.records.retention import RetentionStatus
from gateway.api.records.trail import TrailPage
from gateway.api.records.views import DecisionPage, DecisionRecord
from gateway.api.rollbacks.alerts import AlertsTaken
from gateway.api.rollbacks.rollbacks import RollbackPage, RollbackView
from gateway.api.views import (
    ActPage,
    CordonStatus,
    DryRun,
    JournalRelease,
    RegionList,
    RunDetail,
    RunPage,
    RunStory,
    RunSummary,
)
from gateway.api.workflows.releases import CanaryShare, WorkflowPage
from gateway.core.workflow_release import ReleasedWorkflow
from gateway.documents.parsing import document_schema
from gateway.policy.rollout.bundle_states import Share
from gateway.regions.routing import Routing, RoutingDocument
from gateway.rollback.webhook import Notification
from gateway.submission.released_workflows import RunOfRelease
from waypost.problem_documents import MEDIA_TYPE

VERSION: Final = "3.1.0"
BODIES: Final = (
    Problem,
    ActPage,
    AlertsTaken,
    BundleDetail,
    BundleList,
    BundleView,
    CanaryShare,
    CordonStatus,
    DecisionPage,
    DecisionRecord,
    DryRun,
    ExceptionPage,
    ExceptionRecord,
    ExceptionRequest,
    JournalRelease,
    LogLine,
    Notification,
    RegionList,
    ReleasedWorkflow,
    RollbackPage,
    RollbackView,
    Routing,
    RoutingDocument,
    RunDetail,
    RunOfRelease,
    RunPage,
    RunStory,
    RetentionStatus,
    RunSummary,
    Share,
    StepResult,
    TrailPage,
    WorkflowPage,
    WaitingTasks,
)
"""The types of all response bodies of the API; types inside them are found through them."""


async def workflow_schema(_: Call) -> Response:
    """Get the JSON Schema of a workflow document."""
    return JsonResponse(document_schema())


def openapi_document(operations: Mapping[str, Mapping[str, Operation]]) -> dict[str, Any]:
    """Builds the OpenAPI document of the operations, given by path, then HTTP method."""
    _, components = msgspec.json.schema_components(BODIES, ref_template="#/components/schemas/{name}")
    components |= {
        name: _with_component_references(value) for name, value in document_schema()["$defs"].items()
    }
    return {
        "openapi": VERSION,
        "info": {
            "title": "Waypost",
            "version": "1",
            "description": "Submit workflows and follow them across regions.",
        },
        "paths": {
            path: {m.lower(): _operation(path, o) for m, o in methods.items()}
            for path, methods in operations.items()
        },
        "components": {
            "schemas": _with_items(components),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "headers": {
                "Location": {"description": "The path of the run", "schema": TEXT},
                "Warning": {
                    "description": "What is accepted and would not run as things stand: 299 - TEXT",
                    "schema": TEXT,
                },
                "Retry-After": {
                    "description": "Where the same call may succeed later: seconds until then",
                    "schema": {"type": "integer"},
                },
                "traceparent": {
                    "description": "The caller's trace, or a new one, as W3C writes it: the log names it",
                    "schema": TEXT,
                },
            },
        },
    }


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    summary = " ".join((operation.handler.__doc__ or "").split())
    refused = {
        "description": "Refused",
        "content": _content(MEDIA_TYPE, "Problem"),
        "headers": _headers("Retry-After"),
    }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "parameters": list(_parameters(path, operation)),
        "responses": {
            **{str(success.status): _response(success) for success in SUCCESSES[operation.name]},
            "default": refused,
        },
        "security": [] if operation.public else [{"bearer": []}],
    }
    if (body := REQUESTS.get(operation.name)) is not None:
        described["requestBody"] = {"required": True, "content": _contents(body)}
    return described


def _response(success: Success) -> dict[str, Any]:
    content = _contents(success.content)
    headers = _headers(*(["Location", "Warning"] if success.location else []))
    return {"description": success.description, "headers": headers} | (
        {"content": content} if content else {}
    )


def _parameters(path: str, operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": TEXT}
    for name in sorted(operation.query_parameters):
        yield {"name": name, "in": "query", "required": name in REQUIRED, "schema": QUERY[name]}
    for name, header_schema in HEADERS.get(operation.name, {}).items():
        yield {"name": name, "in": "header", "schema": header_schema}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "traceparent")}


def _with_items(value: Any) -> Any:
    """Returns a copy of a JSON schema in which each array without an `items` object gets `items: {}`.

    JSON Schema permits arrays without `items`, but client generators leave out the operations that have such
    arrays. It also permits `items: false` for a tuple, at which openapi-python-client (0.29) fails; the
    tuple's `maxItems` says the same.
    """
    if isinstance(value, dict):
        described = {key: _with_items(item) for key, item in value.items()}
        if described.get("type") == "array" and not isinstance(described.get("items"), dict):
            described["items"] = {}
        return described
    return [_with_items(item) for item in value] if isinstance(value, list) else value


def _contents(bodies: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {name: body for one in bodies for name, body in _content(one, *bodies[one]).items()}


def _content(media_type: str, *schemas: str) -> dict[str, Any]:
    """Returns the OpenAPI description of a body of `media_type` that matches one of `schemas`.

    Without schemas the body is any object if the media type is JSON, else text.
    """
    if media_type == EVENTS:
        return {media_type: {"schema": _event_stream(*schemas)}}
    references = [{"$ref": f"#/components/schemas/{schema}"} for schema in schemas]
    if not references:
        return {media_type: {"schema": {"type": "object"} if media_type == JSON else TEXT}}
    return {media_type: {"schema": references[0] if len(references) == 1 else {"anyOf": references}}}


def _event_stream(data: str) -> dict[str, Any]:
    """Returns the schema of server-sent events: the text, and the decoded events with `data` as JSON."""
    json_text = {"contentMediaType": JSON, "contentSchema": {"$ref": f"#/components/schemas/{data}"}}
    event = {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": {**TEXT, "pattern": "^[0-9]{1,18}$", "description": "To be sent as Last-Event-ID"},
            "event": {**TEXT, "description": "The entry's kind"},
            "data": {**TEXT, **json_text},
        },
    }
    return {**TEXT, "contentMediaType": EVENTS, "contentSchema": {"type": "array", "items": event}}


def _with_component_references(value: Any) -> Any:
    """Returns a copy of a JSON schema whose references point to OpenAPI's `components`, not to `$defs`."""
    if isinstance(value, dict):
        return {
            k: v.replace("#/$defs/", "#/components/schemas/")
            if k == "$ref"
            else _with_component_references(v)
            for k, v in value.items()
        }
    return [_with_component_references(item) for item in value] if isinstance(value, list) else value
