"""Checks the secrets of a workflow: their names, and which task gets which."""

from collections.abc import Iterator
from typing import Final

from gateway.documents.workflow import Workflow
from waypost.json_pointer import FieldError, below
from waypost.suggestions import closest
from waypost.workflow.run_types import DeclaredExecutors
from waypost.workflow.secrets import secrets_of
from waypost.workflow.task import TaskSpec

RESERVED: Final = ("WAYPOST_", "LD_", "BASH")
"""The beginnings of variables that Waypost sets, or that act on loader and shell before the task begins."""
RESERVED_NAMES: Final = frozenset({"PATH", "HOME", "ENV", "IFS", "UID", "EUID", "PPID", "PS4", "SHELLOPTS"})
"""Further variables of that kind."""


def secret_errors(workflow: Workflow, executors: DeclaredExecutors) -> Iterator[FieldError]:
    """Yields the errors in `spec.secrets` and in the `secrets` of the tasks, each with a JSON pointer."""
    names = [secret.name for secret in workflow.spec.secrets]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield FieldError(f"/spec/secrets/{index}/name", f"there is another secret {name}")
        if name.startswith(RESERVED) or name in RESERVED_NAMES:
            yield FieldError(f"/spec/secrets/{index}/name", f"{name} means something else: take another name")
    for at, task in workflow.spec.located_tasks:
        yield from _errors_of_task(task, at, names, executors)
        yield from _errors_of_environment(workflow, task, at, executors)


def _errors_of_task(
    task: TaskSpec, at: str, names: list[str], executors: DeclaredExecutors
) -> Iterator[FieldError]:
    if task.secrets and task.type in executors.run_types and task.type not in executors.secrets:
        able = ", ".join(sorted(executors.secrets)) or "none"
        yield FieldError(f"{at}/secrets", f"{task.type} gives no secrets to its tasks; those that do: {able}")
        return
    for place, name in enumerate(task.secrets or ()):
        if name not in names:
            alike = closest(name, names)
            known = f"did you mean {alike}?" if alike else f"there are {', '.join(names) or 'none'}"
            yield FieldError(f"{at}/secrets/{place}", f"spec.secrets has no {name[:80]}; {known}")


def _errors_of_environment(
    workflow: Workflow, task: TaskSpec, at: str, executors: DeclaredExecutors
) -> Iterator[FieldError]:
    """Yields an error for each variable in the task's own `env` that is a secret of it, too."""
    environment = task.run.get("env")
    if task.type not in executors.secrets or not isinstance(environment, dict):
        return
    for secret in secrets_of(task, workflow.spec.secrets):
        if secret.form == "env" and secret.name in environment:
            yield FieldError(below(at, "run", "env", secret.name), "is a secret of this task, too")
