"""The stages of a run: its main shards, then `collect`, then `finally`, each of these two one more shard.

To a cluster a stage is a run of its own with one shard, under a name that follows from the run's id. So no
cluster has to know of stages, and the stages of a run never share a workspace.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Stage(StrEnum):
    """A stage of a run; `collect` and `finally` are also what people call its shard."""

    MAIN = "main"
    COLLECT = "collect"
    FINALLY = "finally"


COLLECT_SHARD: Final = 1_000_000
"""The index of a run's shard of the stage `collect`. Main shards have smaller ones, so there are fewer."""
FINALLY_SHARD: Final = 1_000_001
"""The index of a run's shard of the stage `finally`."""

STAGE_SHARDS: Final = {COLLECT_SHARD: Stage.COLLECT, FINALLY_SHARD: Stage.FINALLY}
"""The stage of each shard that is not a main one, by the shard's index."""
_INDICES: Final = {stage: index for index, stage in STAGE_SHARDS.items()}
_SUFFIXES: Final = {f".{stage}": index for index, stage in STAGE_SHARDS.items()}


def stage_of(index: int) -> Stage:
    """Returns the stage of a run's shard with this index."""
    return STAGE_SHARDS.get(index, Stage.MAIN)


def shard_name(index: int) -> str:
    """Returns what people call a shard: its number, or the name of its stage."""
    return str(STAGE_SHARDS.get(index, index))


def shard_index(name: str) -> int | None:
    """Returns the index of the shard that people call `name`; None if that is no name of a shard."""
    if name in (Stage.COLLECT, Stage.FINALLY):
        return _INDICES[Stage(name)]
    return int(name) if name.isascii() and name.isdigit() and len(name) < 19 else None


def name_in_cluster(run: str, index: int) -> tuple[str, int]:
    """Returns the run's name and the shard's index under which a cluster knows a shard."""
    return (f"{run}.{STAGE_SHARDS[index]}", 0) if index in STAGE_SHARDS else (run, index)


def name_in_gateway(run: str, shard: int) -> tuple[str, int]:
    """Returns the id of the run, and the index of its shard, that a cluster knows as `shard` of `run`."""
    suffix = run[-8:]
    return (run[:-8], _SUFFIXES[suffix]) if suffix in _SUFFIXES else (run, shard)


class FailedTask(Struct, frozen=True, kw_only=True):
    """One failure in the input of `finally`: which task of which shard failed, and why."""

    shard: int | str
    """The shard's number, or `collect`."""
    task: str | None
    """The task's name; None where the shard ended without a failed task, as at its deadline."""
    reason: str


class Ending(Struct, frozen=True, kw_only=True):
    """How all of a run but `finally` has ended: an input of the tasks of `finally`."""

    status: str
    """Succeeded, Failed, Quarantined or Cancelled."""
    reason: str = ""
    failed: tuple[FailedTask, ...] = ()
    """The first failures, in the order of the shards."""
