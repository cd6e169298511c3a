"""Shows the rules the tasks of all stages of a document in `spec.tasks`, and finds what they see there in it.

So a rule about tasks holds for those of `collect` and `finally`, whether its author knew of stages or not.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

STAGES: Final = ("collect", "finally")
"""The names of the stages of a document that have tasks of their own, beside `spec.tasks`."""

# Undecoded: a document may have a megabyte.
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list = msgspec.json.Decoder(list[Raw]).decode


def with_all_tasks(workflow: bytes) -> bytes:
    """Returns a document with the tasks of `collect` and `finally` also among those of `spec.tasks`."""
    if b'"collect"' not in workflow and b'"finally"' not in workflow:
        return workflow
    try:
        document = _decode_fields(workflow)
        spec = _decode_fields(document["spec"])
        tasks = [task for stage in ("tasks", *STAGES) if stage in spec for task in _decode_list(spec[stage])]
    except (msgspec.DecodeError, KeyError):
        return workflow  # it is no workflow, whose spec has lists of tasks
    spec["tasks"] = Raw(msgspec.json.encode(tasks))
    document["spec"] = Raw(msgspec.json.encode(spec))
    return msgspec.json.encode(document)


def places_in_document(path: Sequence[str], workflow: Any) -> list[Sequence[str]]:
    """Returns the paths in a document of what the rules see at `path` in it.

    They see the tasks of all stages in `spec.tasks`.
    """
    spec = workflow.get("spec") if isinstance(workflow, dict) else None
    if list(path[:2]) != ["spec", "tasks"] or not isinstance(spec, dict):
        return [path]
    stages = [stage for stage in ("tasks", *STAGES) if isinstance(spec.get(stage), list)]
    if len(path) == 2:
        return [["spec", stage] for stage in stages]
    if not (path[2].isascii() and path[2].isdigit() and len(path[2]) < 10):
        return [path]
    index = int(path[2])
    for stage in stages:
        if index < len(spec[stage]):
            return [["spec", stage, str(index), *path[3:]]]
        index -= len(spec[stage])
    return [path]
