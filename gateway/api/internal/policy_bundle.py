"""The routes of the internal port for OPA: download of its policy bundle, and its status reports."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.policy.opa.bundle_status import StatusError, trouble_of

PATH: Final = "/bundles/policy.tar.gz"
CANDIDATE_PATH: Final = "/bundles/candidate.tar.gz"
STATUS_PATH: Final = "/status"
CANDIDATE_STATUS_PATH: Final = "/status/candidate"
"""The path of the candidate OPA's status reports; below `/status` stands the partition's name."""
REPORT_MAXIMUM: Final = 1_048_576
CONTENT_TYPE: Final = "application/vnd.openpolicyagent.bundles"
"""The media type that tells OPA that it may long-poll."""
WAIT_MAXIMUM_SECONDS: Final = 60
WAIT: Final = re.compile(r"(?:^|[;,\s])wait=(\d{1,6})(?:$|[;,\s])")


def bundle_route(feed: BundleFeed, path: str = PATH) -> Route:
    """Builds the route `path` from which OPA downloads the policy bundle that `feed` holds.

    With `If-None-Match` and `Prefer: wait=N` the route waits for another bundle, up to N seconds, then
    responds with 304.
    """

    async def bundle(request: Request) -> Response:
        tag = request.headers.get("if-none-match", "")
        wait = WAIT.search(request.headers.get("prefer", ""))
        seconds = min(int(wait[1]), WAIT_MAXIMUM_SECONDS) if wait else 0
        if feed.current is None:
            return PlainTextResponse("this gateway has no bundle\n", 404)
        found = await feed.other_than(tag, seconds=seconds)
        if found is None:
            return Response(status_code=304, headers={"etag": tag, "content-type": CONTENT_TYPE})
        return Response(found.archive, headers={"etag": found.tag, "content-type": CONTENT_TYPE})

    return Route(path, bundle)


def status_route(feed: BundleFeed, path: str = STATUS_PATH) -> Route:
    """Builds the route `path` to which an OPA reports whether it has activated the bundle of `feed`."""

    async def status(request: Request) -> Response:
        report = bytearray()
        async for part in request.stream():
            report += part
            if len(report) > REPORT_MAXIMUM:
                return PlainTextResponse("the report is too large\n", 413)
        try:
            feed.trouble = trouble_of(bytes(report))
        except StatusError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return Response(status_code=204)

    return Route(path, status, methods=["POST"])
