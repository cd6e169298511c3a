"""Finds likely mistakes in a valid workflow document, which is accepted with a warning for each.

They are placeholders in another product's syntax, a variable of Waypost's own in `env`, a delay that is
longer than the task's time-out, and a source or target that is nearly an artifact.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.documents.workflow import Workflow
from waypost.workflow.artifacts import KINDS, is_artifact
from waypost.workflow.run_types import OWN_VARIABLES
from waypost.workflow.task import TaskSpec

FOREIGN: Final = re.compile(
    rb"\{\{\s*[A-Za-z_][A-Za-z0-9_.-]*\s*\}\}"
    rb"|\$\((?:params|inputs|outputs|tasks|steps|shard|context|workspaces)\.[A-Za-z0-9_.-]+\)"
)
"""Matches a placeholder in the syntax of Argo, Airflow or Tekton.

A template of a command's own, such as docker's `{{.ID}}`, and a shell's `$(cat params)` do not match.
"""
BRACES: Final = re.compile(rb"\{\{")
"""Matches two braces in half the time of `in`, to which every brace looks like the first of them."""


def likely_mistakes(workflow: Workflow, canonical: bytes) -> Iterator[str]:
    """Yields a warning, one ASCII sentence, for each kind of likely mistake in a valid workflow.

    It names the first task with that mistake. `canonical` is the workflow as JSON: a search in it shows
    quickly which mistakes it cannot contain.
    """
    looks = []
    # The search is slow where it finds nothing, as in nearly every document.
    if (b"$" in canonical or BRACES.search(canonical)) and FOREIGN.search(canonical):
        looks.append(_foreign_placeholder)
    if b'"WAYPOST_' in canonical:
        looks.append(_own_variable)
    if any(task.type == "delay" for task in workflow.spec.all_tasks):
        looks.append(_delay_beyond_timeout)
    if b'"source":{"' in canonical or b'"target":{"' in canonical:
        looks.append(_no_storage)
    for look in looks:
        found = (f"task {task.name}: {text}" for task in workflow.spec.all_tasks if (text := look(task)))
        yield from list(found)[:1]


def _foreign_placeholder(task: TaskSpec) -> str | None:
    match = FOREIGN.search(msgspec.json.encode((task.run, task.source, task.target)))
    if match is None:
        return None
    return f"{match[0][:80].decode()} is not filled in: placeholders are ${{params.NAME}} and ${{shard.item}}"


def _own_variable(task: TaskSpec) -> str | None:
    env: Any = task.run.get("env")
    names = sorted(OWN_VARIABLES.intersection(env)) if isinstance(env, dict) else []
    return f"{names[0]} in env has no effect: Waypost sets it" if names else None


def _no_storage(task: TaskSpec) -> str | None:
    for name, data in (("source", task.source), ("target", task.target)):
        if data is None or is_artifact(data):
            continue
        for kind in KINDS:
            if isinstance(data.get(kind), dict):
                return f"{name}.{kind} names no storage: it is data for the task, and no file is moved"
    return None


def _delay_beyond_timeout(task: TaskSpec) -> str | None:
    seconds, timeout = task.run.get("seconds"), task.timeout_seconds
    if task.type != "delay" or timeout is None or not isinstance(seconds, int | float) or seconds < timeout:
        return None
    return f"it waits {seconds:g} s and is ended after {timeout:g} s (timeoutSeconds): it will fail"
