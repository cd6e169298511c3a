"""The policy bundle on the internal port, as OPA's bundle service protocol asks for it, with long polling."""

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.policy.opa.bundle_feed import BundleFeed

PATH: Final = "/bundles/policy.tar.gz"
CANDIDATE_PATH: Final = "/bundles/candidate.tar.gz"
CONTENT_TYPE: Final = "application/vnd.openpolicyagent.bundles"
"""OPA polls long only where the answer says so."""
WAIT_MAXIMUM_SECONDS: Final = 60
WAIT: Final = re.compile(r"(?:^|[;,\s])wait=(\d{1,6})(?:$|[;,\s])")


def bundle_route(feed: BundleFeed, path: str = PATH) -> Route:
    """The route `path` that gives OPA the bundle of `feed`.

    With `If-None-Match` and `Prefer: wait=N` it answers when there is another one, or 304 after N seconds.
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
