"""Reads the log of a task from the gateway: as text, or in pieces with the places where they end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from msgspec import Struct

from gateway.api.logs.line_forms import format_written_at
from gateway.cli.client import api_path, read_answer
from waypost.workflow.stages import shard_name

UNDER_WAY = ("Running", "Retrying")
"""The phases of a task that may still write output."""


class LogOptions(Struct, frozen=True, kw_only=True):
    """What is asked of each log: of which attempt, the last lines, those since a time, with their times."""

    attempt: int | None = None
    tail: int | None = None
    since: int | None = None
    timestamps: bool = False

    @property
    def query(self) -> dict[str, str]:
        """Returns the query parameters of the first reading of a log."""
        asked = {"tail": self.tail, "since": self.since}
        return self.later_query | {name: str(value) for name, value in asked.items() if value is not None}

    @property
    def later_query(self) -> dict[str, str]:
        """Returns the query parameters of a reading that goes on where another one has ended."""
        attempt = {} if self.attempt is None else {"attempt": str(self.attempt)}
        return attempt | ({"timestamps": "true"} if self.timestamps else {})

    def is_over(self, task: dict[str, Any]) -> bool:
        """Returns whether the log of a task, as the gateway shows it, grows no more."""
        is_other = self.attempt is not None and task["epoch"] != self.attempt
        return is_other or task["phase"] not in UNDER_WAY

    def prefix_of(self, line: dict[str, Any]) -> str:
        """Returns what is printed before each line of a piece of a log."""
        return f"{format_written_at(line.get('written_at'))} " if self.timestamps else ""


NO_OPTIONS = LogOptions()


@contextmanager
def log_text(client: httpx.Client, run: str, query: dict[str, str]) -> Iterator[Iterator[str]]:
    """Opens a task's log up to its present end, as pieces of text. Raises `CliError` if it is refused."""
    with client.stream("GET", api_path("runs", run, "logs"), params=query) as response:
        _raise_for_refusal(response)
        yield filter(None, response.iter_text())


def log_lines(client: httpx.Client, run: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yields the pieces of a task's log, each with its text and where it ends.

    Raises `CliError` if the log is refused.
    """
    headers = {"accept": "application/x-ndjson"}
    # no read timeout: a task may write nothing for hours
    timeout = httpx.Timeout(30, read=None)
    with client.stream(
        "GET", api_path("runs", run, "logs"), params=query, headers=headers, timeout=timeout
    ) as response:
        _raise_for_refusal(response)
        rest = b""
        # Not `iter_lines`: httpx 0.28 also breaks lines at U+2028 and the like, inside of JSON text.
        for piece in response.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            yield from (json.loads(line) for line in lines if line)


def tasks_of(client: httpx.Client, run: str, shard: str) -> list[dict[str, Any]]:
    """Returns the tasks of a shard that have started, as the gateway shows them."""
    found = read_answer(client.get(api_path("runs", run), params={"shard": shard}), "tasks")
    return [task for task in found["tasks"] if shard_name(task["shard"]) == shard]


def _raise_for_refusal(response: httpx.Response) -> None:
    if not response.is_success:
        response.read()
        read_answer(response)
