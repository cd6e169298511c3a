"""Follows the log of one task until the task has ended."""

import sys
import time
from typing import Final

import httpx

from gateway.api.logs.line_forms import LinePrefixes
from gateway.cli.connection.retries import attempts
from gateway.cli.logs.log_request import NO_OPTIONS, LogOptions, log_lines, tasks_of

RECONNECT_SECONDS = 0.2
"""The seconds between the end of a stream whose task still runs and the next stream."""
NO_EPOCH: Final = -1


def follow_log(
    client: httpx.Client, run: str, shard: str, task: str, options: LogOptions = NO_OPTIONS
) -> None:
    """Prints a task's log as it grows, until the task has ended, across gateway restarts and failovers.

    Each stream goes on at the byte where the previous one ended; another attempt's log is printed from its
    beginning. `tail` and `since` are for the first.
    """
    query = {"task": task, "shard": shard, "follow": "true"}
    epoch, offset, prefixes = NO_EPOCH, 0, LinePrefixes()
    over = False
    while not over:
        if epoch != NO_EPOCH:
            time.sleep(RECONNECT_SECONDS)
        for attempt in attempts():
            with attempt:
                now = next((t for t in tasks_of(client, run, shard) if t["task"] == task), None)
                # Asked before the stream is read: one that begins after the task's end surely has it all.
                over = now is not None and options.is_over(now)
                if now is not None and options.attempt is None and now["epoch"] != epoch:
                    offset = 0
                asked = options.query if epoch == NO_EPOCH else options.later_query
                for line in log_lines(client, run, query | asked | {"offset": str(offset)}):
                    if line["epoch"] != epoch:
                        prefixes = LinePrefixes()
                    epoch, offset = line["epoch"], line["offset"]
                    sys.stdout.write(prefixes.add(line["text"], options.prefix_of(line)))
                    sys.stdout.flush()
