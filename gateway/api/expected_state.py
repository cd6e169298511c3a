"""Optimistic concurrency of the API: entity tags from revision numbers, and what `If-Match` expects."""

import re
from typing import Final

from gateway.api.http.call import Call
from gateway.core.errors import PreconditionFailed, PreconditionRequired

NUMBER: Final = re.compile(r"[0-9]{1,16}")
ETAG: Final = re.compile(r'"([0-9]{1,16})"')


def etag(revision: int) -> str:
    """Returns the entity tag of what is at this revision."""
    return f'"{revision}"'


def expected_revision(call: Call, of: str) -> int:
    """Returns the revision from the `If-Match` header of the request. `of` says what has it, for people.

    Raises `PreconditionRequired` without the header, `PreconditionFailed` where it is no tag of ours.
    """
    text = call.header(b"if-match")
    if text is None:
        raise PreconditionRequired(f"say in If-Match which state of the {of} you have seen: its ETag")
    found = ETAG.fullmatch(text)
    if found is None:
        raise PreconditionFailed(f"If-Match: {text!r:.50} is no ETag of the {of}")
    return int(found[1])


def path_number(call: Call, name: str) -> int:
    """Returns the number that stands in the path as `name`; -1, which nothing has, for what is none."""
    text = call.path_parameters[name]
    return int(text) if NUMBER.fullmatch(text) else -1
