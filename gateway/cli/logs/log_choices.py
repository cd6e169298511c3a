"""Chooses the shard whose log `waypost logs` prints, and checks the task's name."""

from typing import Any, Final

from gateway.cli.errors import CliError, Exit
from gateway.cli.output import console
from waypost.suggestions import closest
from waypost.workflow.instances import task_of
from waypost.workflow.stages import STAGE_SHARDS, Stage, shard_index, shard_name, stage_of

FAILED: Final = frozenset({"Failed", "Quarantined"})
SHOWN_SHARDS: Final = 5


def check_task(run: dict[str, Any], name: str | None) -> None:
    """Raises `CliError` if the run's document has no task `name`; suggests the most similar name."""
    names = [task for tasks in _tasks_by_stage(run).values() for task in tasks]
    if name is None or not names or task_of(name) in names:
        return
    near = closest(name, names)
    lines = (f"Did you mean {near}?" if near else f"`waypost describe {run.get('id', 'RUN')}` lists them.",)
    raise CliError(f"the run has no task {name}", lines=lines, code=Exit.NOT_FOUND)


def _tasks_by_stage(run: dict[str, Any]) -> dict[Stage, list[str]]:
    spec = run.get("workflow", {}).get("spec", {})
    fields = {stage: "tasks" if stage is Stage.MAIN else stage for stage in Stage}
    return {stage: [task["name"] for task in spec.get(field, ())] for stage, field in fields.items()}


def choose_shard(run: dict[str, Any], asked: str | None, task: str | None, *, is_failed_wanted: bool) -> str:
    """Returns the name of the shard whose log is printed: `asked`, else the task's, the first failed, or 0.

    A failed shard is preferred only if `is_failed_wanted` and no `task` is named. If none was asked for,
    prints on standard error which other shards failed. Raises `CliError` if the run has no shard `asked`.
    """
    if asked is not None:
        return _existing_shard(run, asked)
    document_task = None if task is None else task_of(task)
    stages = [stage for stage, names in _tasks_by_stage(run).items() if document_task in names]
    if stages and stages[0] is not Stage.MAIN:
        return str(stages[0])
    failed = [shard_name(shard["index"]) for shard in run.get("shards", ()) if shard["phase"] in FAILED]
    chosen = failed[0] if failed and task is None and is_failed_wanted else "0"
    if others := [name for name in failed if name != chosen]:
        more = f" and {len(others) - SHOWN_SHARDS} more" if len(others) > SHOWN_SHARDS else ""
        note = f"this is shard {chosen}; failed too, see --shard: {', '.join(others[:SHOWN_SHARDS])}{more}"
        # on standard error, so that standard output is the log alone
        console(stderr=True).print(
            note if chosen in failed else note.replace("failed too", "failed"), markup=False
        )
    return chosen


def _existing_shard(run: dict[str, Any], asked: str) -> str:
    """Returns the name of the shard `asked`; raises `CliError` if that is no name, or if there is none."""
    index = shard_index(asked)
    if index is None:
        raise CliError(f"--shard {asked}: write its number, collect or finally", code=Exit.USAGE)
    if index in STAGE_SHARDS:
        if not _tasks_by_stage(run)[stage_of(index)]:
            raise CliError(f"the run has no {asked}", code=Exit.NOT_FOUND)
        return asked
    count = run.get("shard_count", index + 1)
    if index >= count:
        raise CliError(f"the run has no shard {index}: it has {count}, counted from 0", code=Exit.NOT_FOUND)
    return str(index)
