"""The description of the API, made from its own list of routes and its own types."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from gateway.api.calls import Call, Operation, Reply
from gateway.api.logs import NDJSON, OFFSET_MAXIMUM, LogLine
from gateway.api.problems import Problem
from gateway.api.views import DryRun, Ordered, RegionList, Released, RunDetail, RunPage, RunStory, RunSummary
from gateway.core.run import RunPhase
from gateway.documents.parsing import document_schema
from waypost.problems import MEDIA_TYPE

VERSION: Final = "3.1.0"
SHOWN: Final = (
    DryRun,
    LogLine,
    Ordered,
    Problem,
    RegionList,
    Released,
    RunDetail,
    RunPage,
    RunStory,
    RunSummary,
)
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

TEXT: Final = {"type": "string"}
FLAG: Final = {"type": "boolean", "default": False}
QUERY: Final[Mapping[str, Mapping[str, Any]]] = {
    "continue": TEXT,
    "dryRun": FLAG,
    "follow": FLAG,
    "label": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}},
    "limit": {"type": "integer", "minimum": 1, "default": 50},
    "offset": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAXIMUM, "default": 0},
    "outputs": FLAG,
    "phase": {"type": "string", "enum": list(RunPhase)},
    "shard": {"type": "integer", "minimum": 0},
    "task": TEXT,
    "tenant": TEXT,
}
REQUIRED: Final = frozenset({"task"})
HEADERS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "submit": {
        "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    },
    "events": {"Last-Event-ID": {"type": "string", "pattern": "^[0-9]{1,18}$"}},
}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One status that a call gives where it is not refused: the shapes of its body by media type, none for no body."""

    status: int = 200
    what: str
    content: Mapping[str, tuple[str, ...]] = {}
    location: bool = False


def _json(what: str, *shapes: str, status: int = 200, location: bool = False) -> Answer:
    return Answer(status=status, what=what, content={JSON: shapes}, location=location)


ANSWERS: Final[Mapping[str, tuple[Answer, ...]]] = {
    "submit": (
        _json("Accepted: it is durable", "RunSummary", status=202, location=True),
        _json(
            "The run that this Idempotency-Key made before, or what would become of a dry run",
            "RunSummary",
            "DryRun",
            location=True,
        ),
    ),
    "listing": (_json("A page of runs", "RunPage"),),
    "describe": (_json("The run", "RunDetail"),),
    "events": (
        Answer(
            what="One event for each entry of the run's history, as JSON: `AuditEntry`", content={EVENTS: ()}
        ),
        Answer(what="The run is over, and everything was told: do not come back", status=204),
    ),
    "logs": (
        Answer(
            what="What the task wrote; as NDJSON each line is a `LogLine`",
            content={"text/plain": (), NDJSON: ("LogLine",)},
        ),
    ),
    "explain": (_json("The story of the run", "RunStory"),),
    "cancel": (
        _json("The wish is durable", "RunSummary", status=202),
        _json("It was cancelled before", "RunSummary"),
    ),
    "retry": (_json("Opened again", "RunSummary", status=202),),
    "regions": (_json("The regions", "RegionList"),),
    "cordon": (_json("No new work is placed there", "Ordered"),),
    "drain": (_json("No new work is placed there", "Ordered"),),
    "uncordon": (_json("Work is placed there", "Ordered"),),
    "forget": (_json("It is given up from the controller's next pass on", "Ordered", status=202),),
    "replace": (_json("The next journal that answers is admitted", "Released"),),
    "workflow_schema": (_json("A JSON Schema"),),
    "openapi": (_json("An OpenAPI document"),),
}


async def workflow_schema(_: Call) -> Response:
    """The JSON Schema of a workflow document."""
    return Reply(document_schema())


def describing(operations: Mapping[str, Mapping[str, Operation]]) -> dict[str, Any]:
    """The OpenAPI document of `operations` (by path, then method)."""
    _, components = msgspec.json.schema_components(SHOWN, ref_template="#/components/schemas/{name}")
    document = document_schema()
    components |= {name: _moved(value) for name, value in document["$defs"].items()}
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
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "headers": {
                "Location": {"description": "The path of the run", "schema": TEXT},
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
    summary = (operation.handler.__doc__ or "").strip().partition("\n")[0]
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
            **{str(answer.status): _answer(answer) for answer in ANSWERS[operation.name]},
            "default": refused,
        },
        "security": [] if operation.open else [{"bearer": []}],
    }
    if operation.name == "submit":
        described["requestBody"] = {
            "required": True,
            "content": _content(JSON, "Workflow") | _content("application/yaml", "Workflow"),
        }
    return described


def _answer(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media_type, shapes in answer.content.items():
        content |= _content(media_type, *shapes)
    headers = _headers(*(["Location"] if answer.location else []))
    return {"description": answer.what, "headers": headers} | ({"content": content} if content else {})


def _parameters(path: str, operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": TEXT}
    for name in sorted(operation.query):
        yield {"name": name, "in": "query", "required": name in REQUIRED, "schema": QUERY[name]}
    for name, shape in HEADERS.get(operation.name, {}).items():
        yield {"name": name, "in": "header", "schema": shape}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "traceparent")}


def _content(media_type: str, *shapes: str) -> dict[str, Any]:
    """The media type with the one of `shapes` that it holds; none: an object of JSON, or else text."""
    named = [{"$ref": f"#/components/schemas/{shape}"} for shape in shapes]
    if not named:
        return {media_type: {"schema": {"type": "object"} if media_type == JSON else TEXT}}
    return {media_type: {"schema": named[0] if len(named) == 1 else {"anyOf": named}}}


def _moved(value: Any) -> Any:
    """The same schema with its references under `components`."""
    if isinstance(value, dict):
        return {
            k: v.replace("#/$defs/", "#/components/schemas/") if k == "$ref" else _moved(v)
            for k, v in value.items()
        }
    return [_moved(item) for item in value] if isinstance(value, list) else value
