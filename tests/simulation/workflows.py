"""Generates random small workflows."""

import random
from typing import Any

from msgspec import UNSET, structs

from gateway.documents.workflow import Metadata, Shards, Spec, Workflow
from waypost.workflow.task import Retry, SideEffects, TaskSpec


def _stage(rng: random.Random, letter: str, outer: tuple[str, ...] = ()) -> tuple[TaskSpec, ...]:
    """Returns the tasks of a stage, mostly none; the first of them needs the tasks `outer`."""
    if rng.random() < 0.6:
        return ()
    return tuple(
        TaskSpec(
            name=f"{letter}{i}",
            type="delay",
            run={"seconds": rng.choice([0.2, 1.0, 4.0]), "failing": rng.choice([0.0, 0.0, 0.3])},
            needs=outer if i == 0 else (f"{letter}0",),
            retry=Retry(limit=rng.choice([0, 8]), backoff_seconds=0.0),
        )
        for i in range(rng.randint(1, 2))
    )


def _trigger(rng: random.Random, *, plain: bool, needs: tuple[str, ...]) -> dict[str, Any]:
    """Returns fields of a task that say what it does after a failure; none in a `plain` document."""
    if plain:
        return {}
    return {
        "runs": rng.choice([None, "onSuccess", "onFailure" if needs else None, "always"]),
        "when_skipped": rng.choice(["run", "run", "skip" if needs else "run"]),
        "continue_on_failure": rng.random() < 0.3,
    }


def _fan_out(rng: random.Random, task: TaskSpec, before: dict[str, TaskSpec]) -> TaskSpec:
    """Returns a task as it is, mostly, or once for each item of a list: its own, or one that it needs."""
    if rng.random() < 0.7:
        return task
    parallel = rng.choice([None, None, 1, 2])
    lists = [need for need in task.needs if before[need].for_each is None]
    if lists and rng.random() < 0.6:
        name = rng.choice(lists)
        before[name].run["items"] = (0, rng.randint(1, 4))
        return structs.replace(task, for_each=f"${{tasks.{name}.output}}", max_parallel=parallel)
    return structs.replace(task, for_each=tuple(range(rng.randint(0, 4))), max_parallel=parallel)


def random_workflow(rng: random.Random) -> Workflow:
    """Returns a small DAG of `delay` tasks, sometimes exclusive, failing, regional, or with a deadline.

    Half of them say what is done after a failure, and some tasks run once for each item of a list.
    """
    count, plain = rng.randint(1, 5), rng.random() < 0.5
    needs = [tuple(f"t{j}" for j in range(i) if rng.random() < 0.5) for i in range(count)]
    tasks = tuple(
        TaskSpec(
            name=f"t{i}",
            type="delay",
            run={"seconds": rng.choice([0.2, 1.0, 4.0, 12.0]), "failing": rng.choice([0.0, 0.0, 0.3])},
            needs=needs[i],
            retry=Retry(limit=rng.choice([2, 8] if plain else [0, 1, 8]), backoff_seconds=0.0),
            result_scope=rng.choice(["global", "global", "region"]),
            **_trigger(rng, plain=plain, needs=needs[i]),
        )
        for i in range(count)
    )
    by_name: dict[str, TaskSpec] = {}
    for task in tasks:
        by_name[task.name] = _fan_out(rng, task, by_name)
    collect, final = _stage(rng, "c", ("t0",)), _stage(rng, "f")
    spec = Spec(
        tasks=tuple(by_name.values()),
        fail_fast=plain or rng.random() < 0.5,
        collect=collect or UNSET,
        final=final or UNSET,
        finally_seconds=30.0 if final and rng.random() < 0.3 else UNSET,
        side_effects=rng.choice([SideEffects.IDEMPOTENT, SideEffects.IDEMPOTENT, SideEffects.EXCLUSIVE]),
        shards=Shards(count=rng.randint(1, 3)),
        deadline_seconds=rng.choice([None, None, None, 60.0]),
    )
    return Workflow(api_version="waypost/v1", kind="Workflow", metadata=Metadata(name="w"), spec=spec)
