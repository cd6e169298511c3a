"""Every path of the API, in one list."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response
from starlette.routing import Route, Router

from gateway.api.calls import Call, Front, Operation, Resource, encode, nowhere
from gateway.api.events import events, explain
from gateway.api.logs import logs
from gateway.api.openapi import describing, workflow_schema
from gateway.api.regions import cordon, drain, forget, regions, replace, uncordon
from gateway.api.runs import cancel, describe, listing, retry, submit

LISTING: Final = frozenset({"tenant", "phase", "label", "limit", "continue"})
LOGS: Final = frozenset({"task", "shard", "follow", "offset"})


async def openapi(_: Call) -> Response:
    """This description."""
    return Response(OPENAPI, media_type="application/json")


OPERATIONS: Final[Mapping[str, Mapping[str, Operation]]] = {
    "/v1/runs": {
        "POST": Operation(handler=submit, query=frozenset({"dryRun"})),
        "GET": Operation(handler=listing, query=LISTING),
    },
    "/v1/runs/{id}": {"GET": Operation(handler=describe, query=frozenset({"shard", "outputs"}))},
    "/v1/runs/{id}/events": {"GET": Operation(handler=events)},
    "/v1/runs/{id}/logs": {"GET": Operation(handler=logs, query=LOGS)},
    "/v1/runs/{id}/explain": {"GET": Operation(handler=explain)},
    "/v1/runs/{id}/cancel": {"POST": Operation(handler=cancel)},
    "/v1/runs/{id}/retry": {"POST": Operation(handler=retry)},
    "/v1/regions": {"GET": Operation(handler=regions)},
    "/v1/regions/{region}/cordon": {"POST": Operation(handler=cordon)},
    "/v1/regions/{region}/drain": {"POST": Operation(handler=drain)},
    "/v1/regions/{region}/uncordon": {"POST": Operation(handler=uncordon)},
    "/v1/regions/{region}/forget": {"POST": Operation(handler=forget)},
    "/v1/regions/{region}/replace": {"POST": Operation(handler=replace)},
    "/v1/schema/workflow.json": {"GET": Operation(handler=workflow_schema, open=True)},
    "/openapi.json": {"GET": Operation(handler=openapi, open=True)},
}

OPENAPI: Final = encode(describing(OPERATIONS))


def api(front: Front) -> Router:
    """The application that callers reach."""
    routes = [
        Route(path, Resource(front=front, operations=operations)) for path, operations in OPERATIONS.items()
    ]
    return Router(routes, redirect_slashes=False, default=nowhere)
