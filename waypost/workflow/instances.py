"""Names the instances of a task with `forEach`: `export[0]` is the first of the task `export`."""

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

INSTANCES_MAXIMUM: Final = 1_000
"""The most instances of all tasks of one shard, over its whole life."""
TASK_NAME_CHARACTERS: Final = 128 - len(f"[{INSTANCES_MAXIMUM - 1}]")
"""The most characters of the name of a task with `forEach`: names of its instances have 128 at most."""
Instances: TypeAlias = Annotated[int, Meta(ge=0, le=INSTANCES_MAXIMUM)]
"""The type of a number of instances of a task."""
INSTANCE: Final = re.compile(r"(.*)\[(0|[1-9][0-9]{0,2})\]", re.S)
"""Matches the name of an instance; no task has brackets in its name."""
RunTaskName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}(?:\[(?:0|[1-9][0-9]{0,2})\])?$(?!\n)")
]
"""The name of a task or of one of its instances, as a region runs and logs it."""


def instance_name(task: str, index: int) -> str:
    """Returns the name of an instance of a task with `forEach`; `index` counts from 0."""
    return f"{task}[{index}]"


def instance_of(name: str) -> tuple[str, int] | None:
    """Returns the task and the index of the instance called `name`; None if that is no instance's name."""
    match = INSTANCE.fullmatch(name) if name.endswith("]") else None
    return None if match is None else (match[1], int(match[2]))


def task_of(name: str) -> str:
    """Returns the task of the document that `name` is, or is an instance of."""
    instance = instance_of(name)
    return name if instance is None else instance[0]
