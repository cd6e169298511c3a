"""Folds the instances of tasks (`forEach`) where they are shown: their task says how many are done."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from waypost.workflow.instances import instance_of, task_of

SHOWN: Final = 10
"""The most instances of one task that are shown one by one; of more, those that succeeded are folded."""


def folded_tasks(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the tasks to show one by one, those with instances with a summary as their reason.

    Of many instances only those that have not succeeded are left, and `SHOWN` of these.
    """
    tasks = list(tasks)
    phases: dict[tuple[int, str], Counter[str]] = {}
    for task in tasks:
        if instance_of(task["task"]) is not None:
            phases.setdefault((task["shard"], task_of(task["task"])), Counter())[task["phase"]] += 1
    shown: list[dict[str, Any]] = []
    left = dict.fromkeys(phases, SHOWN)
    for task in tasks:
        key = (task["shard"], task_of(task["task"]))
        if instance_of(task["task"]) is None:
            words = [summary(phases.get(key, Counter()), task.get("instances"))]
            shown.append(task | {"reason": "; ".join(filter(None, [task["reason"], *words]))})
        elif phases[key].total() <= SHOWN:
            shown.append(task)
        elif task["phase"] != "Succeeded" and left[key]:
            left[key] -= 1
            shown.append(task)
    return shown


def summary(phases: Mapping[str, int], instances: int | None) -> str:
    """Formats how many instances of a task are in which phase; empty for a task without instances."""
    if instances is None and not phases:
        return ""
    others = [f"{count} {phase.lower()}" for phase, count in phases.items() if phase != "Succeeded"]
    total = sum(phases.values()) if instances is None else instances
    return ", ".join([f"{phases.get('Succeeded', 0)} of {total} instances succeeded", *others])


def folded_history(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a run's history with many successes of one task's instances folded into the last."""
    keys = [_success_of_instance(entry) for entry in entries]
    left = Counter(key for key in keys if key is not None)
    many = {key: count for key, count in left.items() if count > SHOWN}
    shown: list[dict[str, Any]] = []
    for key, entry in zip(keys, entries, strict=True):
        if key is None or key not in many:
            shown.append(entry)
            continue
        left[key] -= 1
        if not left[key]:
            note = f"and {many[key] - 1} other instances before it"
            shown.append(entry | {"detail": entry["detail"] | {"reason": note}})
    return shown


def _success_of_instance(entry: dict[str, Any]) -> tuple[int | None, str] | None:
    task, phase = entry["detail"].get("task"), entry["detail"].get("phase")
    instance = instance_of(task) if isinstance(task, str) else None
    return None if instance is None or phase != "Succeeded" else (entry["shard"], instance[0])
