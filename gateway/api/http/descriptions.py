"""Tables of API operations' request bodies, headers and successful responses, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"

WORKFLOW_STEPS: Final = ("canary_workflow", "promote_workflow", "abort_workflow", "rollback_workflow")
POLICY_STEPS: Final = ("shadow", "canary", "activate", "promote", "rollback", "approve")

HEADERS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "submit": {
        "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    },
    "events": {"Last-Event-ID": {"type": "string", "pattern": "^[0-9]{1,18}$"}},
    **{
        step: {"If-Match": {"type": "string", "pattern": '^"[0-9]+"$'}}
        for step in (*POLICY_STEPS, *WORKFLOW_STEPS, "rollback_routing")
    },
}
"""The schemas of the request headers that an operation reads, by operation name, then header."""


class Success(Struct, frozen=True, kw_only=True):
    """One successful response of an API operation, as the OpenAPI document describes it.

    `content` has the schemas of its body by media type, and is empty where there is no body. `location`: the
    response has a `Location` header.
    """

    status: int = 200
    description: str
    content: Mapping[str, tuple[str, ...]] = {}
    location: bool = False


def _json(description: str, *schemas: str, status: int = 200, location: bool = False) -> Success:
    return Success(status=status, description=description, content={JSON: schemas}, location=location)


SUCCESSES: Final[Mapping[str, tuple[Success, ...]]] = {
    "submit": (
        _json("Accepted: it is durable", "RunSummary", status=202, location=True),
        _json(
            "The run that this Idempotency-Key made before, or what a dry run found",
            "RunSummary",
            "DryRun",
            location=True,
        ),
    ),
    "listing": (_json("A page of runs", "RunPage"),),
    "describe": (_json("The run", "RunDetail"),),
    "events": (
        Success(
            description="One event for each entry of the run's history, as JSON: `HistoryEntry`",
            content={EVENTS: ("HistoryEntry",)},
        ),
        Success(
            description="The run is over, and all its events were sent: do not connect again", status=204
        ),
    ),
    "logs": (
        Success(
            description="What the task wrote; as NDJSON each line is a `LogLine`",
            content={"text/plain": (), NDJSON: ("LogLine",)},
        ),
    ),
    "explain": (_json("The story of the run", "RunStory"),),
    "waits": (_json("What tasks wait for, as their regions say", "WaitingTasks"),),
    "cancel": (
        _json("The request is durable", "RunSummary", status=202),
        _json("It was cancelled before", "RunSummary"),
    ),
    "retry": (_json("Opened again", "RunSummary", status=202),),
    "regions": (_json("The regions", "RegionList"),),
    "cordon": (_json("No new work is placed there", "CordonStatus"),),
    "drain": (_json("No new work is placed there", "CordonStatus"),),
    "uncordon": (_json("Work is placed there", "CordonStatus"),),
    "forget": (_json("It is given up from the controller's next pass on", "CordonStatus", status=202),),
    "replace": (_json("The next journal that answers is admitted", "JournalRelease"),),
    "routing": (_json("The routing revisions", "Routing"),),
    "apply_routing": (
        _json("It is in force within a second, and durable", "Routing", status=201),
        _json("The revision in force has this content", "Routing"),
    ),
    "rollback_routing": (_json("It is done, and durable", "Routing"),),
    "audit": (_json("A page of what people had done", "ActPage"),),
    "retention": (_json("What is due", "RetentionStatus"),),
    "begin_retention": (
        _json("What was due when it was asked; a pass begins", "RetentionStatus", status=202),
        _json("What is due (dryRun)", "RetentionStatus"),
    ),
    "trail": (_json("A stretch of the trail", "TrailPage"),),
    "ask_exception": (_json("Stored, and not approved yet", "ExceptionRecord", status=201, location=True),),
    "exceptions": (_json("A page of exceptions", "ExceptionPage"),),
    "exception": (_json("The exception", "ExceptionRecord"),),
    "approve_exception": (_json("The exception with this approval", "ExceptionRecord"),),
    "revoke_exception": (_json("It counts no more", "ExceptionRecord"),),
    "decisions": (_json("A page of decisions", "DecisionPage"),),
    "decision": (_json("The decision with its input", "DecisionRecord"),),
    "bundles": (_json("The policy bundles", "BundleList"),),
    "bundle": (_json("The bundle", "BundleDetail"),),
    "upload": (_json("It is kept, and decides nothing yet", "BundleView", status=201, location=True),),
    **dict.fromkeys(
        POLICY_STEPS,
        (
            _json("It is done, and durable", "StepResult"),
            _json("It waits for the approval of others", "StepResult", status=202),
        ),
    ),
    "apply_workflow": (
        _json("It is stored, and stable if it is the first", "ReleasedWorkflow", status=201, location=True),
        _json("The newest version has this content", "ReleasedWorkflow", location=True),
    ),
    "workflows": (_json("A page of released workflows", "WorkflowPage"),),
    "workflow": (_json("The workflow with its versions", "ReleasedWorkflow"),),
    **dict.fromkeys(WORKFLOW_STEPS, (_json("It is done, and durable", "ReleasedWorkflow"),)),
    "receive_alerts": (_json("They are stored", "AlertsTaken"),),
    "rollbacks": (_json("A page of rollbacks", "RollbackPage"),),
    "describe_rollback": (_json("The rollback", "RollbackView"),),
    "workflow_schema": (_json("A JSON Schema"),),
    "openapi": (_json("An OpenAPI document"),),
}
"""The successful responses of each operation, by operation name; every refusal is a `Problem`."""


REQUESTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "submit": {JSON: ("Workflow", "RunOfRelease"), "application/yaml": ("Workflow",)},
    "ask_exception": {JSON: ("ExceptionRequest",)},
    "canary": {JSON: ("Share",)},
    "canary_workflow": {JSON: ("CanaryShare",)},
    "apply_routing": {JSON: ("RoutingDocument",)},
    "apply_workflow": {JSON: ("Workflow",), "application/yaml": ("Workflow",)},
    "receive_alerts": {JSON: ("Notification",)},
    "upload": {"application/gzip": ()},
}
"""The schemas of the request bodies that operations read, by operation name, then media type."""
