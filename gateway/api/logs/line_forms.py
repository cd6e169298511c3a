"""Forms the lines of a task's log that comes in pieces: puts the time or the task's name before each."""

from datetime import UTC, datetime


def format_written_at(at: float | None) -> str:
    """Formats when a line was written, in seconds since 1970: RFC 3339 in UTC; `-` where it is not known."""
    if at is None:
        return "-"
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class LinePrefixes:
    """Puts a prefix before each line of a text that comes in pieces, which need not end with a line.

    Only a newline ends a line: Python also takes other characters, which tasks may write, for line ends.
    """

    def __init__(self) -> None:
        self.within_line = False

    def __repr__(self) -> str:
        return f"LinePrefixes(within_line={self.within_line})"

    def add(self, text: str, prefix: str) -> str:
        """Returns the next piece, `prefix` before each line that begins in it."""
        if not text:
            return ""
        begin = "" if self.within_line else prefix
        self.within_line = not text.endswith("\n")
        lines, end = (text, "") if self.within_line else (text[:-1], "\n")
        return begin + lines.replace("\n", f"\n{prefix}") + end
