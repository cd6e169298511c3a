"""Reads the header `tracestate`, in which tracing systems keep what only they understand."""

import re
from collections.abc import Sequence
from typing import Final

MEMBER: Final = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=([ -+\--<>-~]{0,255}[!-+\--<>-~])")
MEMBERS_MAXIMUM: Final = 32
LENGTH_MAXIMUM: Final = 512
"""The characters that are sent on; W3C asks for at least as many."""
LONG_MEMBER: Final = 128
"""The length above which a member is the first to go where all together are too long."""


def read_tracestate(values: Sequence[bytes]) -> str:
    """Returns the members of all `tracestate` headers of a request, in order; empty if one is malformed.

    What is too long loses its long members first, then its last.
    """
    given = [member.strip(" \t") for value in values for member in value.decode("latin-1").split(",")]
    found = [MEMBER.fullmatch(member) for member in given if member]
    members = [member for member in found if member is not None]
    # Two of one key: nobody can say which one is meant.
    if len(members) < len(found) or len({member[1] for member in members}) < len(members):
        return ""
    if len(members) > MEMBERS_MAXIMUM:
        return ""
    kept = [member[0] for member in members]
    if len(",".join(kept)) > LENGTH_MAXIMUM:
        kept = [member for member in kept if len(member) <= LONG_MEMBER]
    while len(",".join(kept)) > LENGTH_MAXIMUM:
        kept.pop()
    return ",".join(kept)
