"""What the tasks of a run wait for, as its regions say, for the commands that show a run."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from gateway.cli.client import api_path
from waypost.workflow.stages import shard_name

NAMED: Final = 10
"""The maximum number of waiting tasks that one line names."""
NOT_YET: Final = "Needs"
"""The reason of tasks that wait for others: of these `describe` names the others."""


def waits_of(client: httpx.Client, run: str) -> Mapping[tuple[int, str], dict[str, Any]]:
    """Returns what the run's tasks wait for, by shard and name; nothing where no region says it.

    A gateway of an older version does not know the call.
    """
    response = client.get(api_path("runs", run, "waits"))
    if not response.is_success:
        return {}
    return {(item["shard"], item["task"]): item for item in response.json().get("items", ())}


def waiting_lines(waits: Mapping[tuple[int, str], dict[str, Any]]) -> list[str]:
    """Returns a line for each thing that tasks wait for, with the first tasks that wait for it."""
    by_text: dict[str, list[str]] = {}
    for (shard, task), wait in waits.items():
        if wait["reason"] != NOT_YET:
            by_text.setdefault(f"{wait['text']} in {wait['region']}", []).append(
                f"{task} of shard {shard_name(shard)}"
            )
    return [f"{text}: {_listed(tasks)}" for text, tasks in by_text.items()]


def _listed(tasks: list[str]) -> str:
    more = f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else ""
    return ", ".join(tasks[:NAMED]) + more
