"""The exit codes of the command line, and `CliError`, which ends a command with one of them."""

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """The exit codes of all commands. The table for people is in `docs/operating.md`."""

    DONE = 0
    FAILED = 1
    """The run did not succeed, a check failed, or the present state does not allow the request."""
    USAGE = 2
    """An argument, a file or a document is wrong, whether the command line or the gateway found it."""
    REFUSED = 3
    """The token is not acceptable, or policy denied the request."""
    NOT_FOUND = 4
    UNAVAILABLE = 5
    """No gateway answers, or the gateway cannot serve the call now: try again."""
    NOT_FOLLOWED = 6
    """The run was accepted, but its end is not known, since it cannot be followed."""
    WAITING = 7
    """The request was accepted, and waits for the approval of others."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """The reader of the output has closed it, as `head` does."""


EXIT_BY_STATUS: Final = {
    **dict.fromkeys((400, 413, 415, 422, 431), Exit.USAGE),
    **dict.fromkeys((401, 403), Exit.REFUSED),
    **dict.fromkeys((404, 410), Exit.NOT_FOUND),
    **dict.fromkeys((429, 502, 503, 504), Exit.UNAVAILABLE),
}
"""The exit code for each HTTP status of a gateway's error response; any other status is `FAILED`."""


class CliError(Exception):
    """Ends a command with an error: `message` is printed, `lines` below it; `code` is the exit code."""

    def __init__(self, message: str, *, lines: tuple[str, ...] = (), code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message, self.lines, self.code = message, lines, code
