"""ETags and `If-Match` of the API: clients change a resource only in the state that they have seen."""

import re
from typing import Final

from gateway.api.http.call import Call
from gateway.core.errors import PreconditionFailed, PreconditionRequired

NUMBER: Final = re.compile(r"[0-9]{1,16}")
ETAG: Final = re.compile(r'"([0-9]{1,16})"')


def etag(revision: int) -> str:
    """Returns the value of the `ETag` header for a resource with this revision number."""
    return f'"{revision}"'


def expected_revision(call: Call, of: str) -> int:
    """Returns the revision number in the request's `If-Match` header.

    `of` names the resource in error texts. Raises `PreconditionRequired` without the header,
    `PreconditionFailed` where its value is no ETag of this API.
    """
    text = call.header(b"if-match")
    if text is None:
        raise PreconditionRequired(f"say in If-Match which state of the {of} you have seen: its ETag")
    found = ETAG.fullmatch(text)
    if found is None:
        raise PreconditionFailed(f"If-Match: {text!r:.50} is no ETag of the {of}")
    return int(found[1])


def path_number(call: Call, name: str) -> int:
    """Returns the number in the path parameter `name`; -1, which no resource has, if it is not a number."""
    text = call.path_parameters[name]
    return int(text) if NUMBER.fullmatch(text) else -1
