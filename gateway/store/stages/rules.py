"""The decisions about the stages of a run that every store must make alike: which begins, and how a run ends.

A run's main shards come first, then `collect`, once all of them have succeeded, then `finally`, once all else
has ended. Each of the two is one more shard, which is Waiting until a commit that ends the shard before it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from gateway.core.history import HistoryEntry, HistoryKind, TransitionDetail
from gateway.core.run import Run, RunPhase
from gateway.core.shard_states import TERMINAL, Event, Phase, Shard, advance
from gateway.store.interface import ShardWrite
from gateway.store.rules import run_phase, shard_after_retry
from waypost.workflow.stages import COLLECT_SHARD, FINALLY_SHARD

BAD_ENDS: Final = (Phase.FAILED, Phase.QUARANTINED)
"""The phases of shards that count as failures in the input of `finally`."""


class RunStages(Struct, frozen=True, kw_only=True):
    """The phases of a run's main shards, and its shards of the other stages."""

    main: frozenset[Phase]
    collect: Shard | None = None
    final: Shard | None = None

    @property
    def rest(self) -> frozenset[Phase]:
        """The phases of all shards but that of `finally`."""
        return self.main | ({self.collect.phase} if self.collect else frozenset())


def stages_of(main: Iterable[Phase], others: Iterable[Shard]) -> RunStages:
    """Returns a run's stages, from the phases of its main shards and from its other shards."""
    by_index = {shard.index: shard for shard in others}
    return RunStages(
        main=frozenset(main), collect=by_index.get(COLLECT_SHARD), final=by_index.get(FINALLY_SHARD)
    )


def next_stage(stages: RunStages, *, cancelled: bool, at: float) -> ShardWrite | None:
    """Returns the write by which the run goes on to its next stage, or passes over one; None: not now.

    To be asked again after that write: where `collect` is passed over `finally` begins at once.
    """
    if not stages.main <= TERMINAL:
        return None
    collect, final = stages.collect, stages.final
    if collect is not None and collect.phase is Phase.WAITING:
        if stages.main != {Phase.SUCCEEDED}:
            return _write(collect, Event.OMITTED, at, reason="not all shards have succeeded")
        if cancelled:
            return _write(collect, Event.OMITTED, at, reason="the run is cancelled")
        return _write(collect, Event.BEGUN, at)
    if final is not None and final.phase is Phase.WAITING and stages.rest <= TERMINAL:
        return _write(final, Event.BEGUN, at)
    return None


def _write(shard: Shard, event: Event, at: float, *, reason: str = "") -> ShardWrite:
    after = advance(shard, event, reason=reason, not_before=0.0).with_rev(shard.rev + 1)
    detail = TransitionDetail(
        reason=reason, before=shard.phase, after=after.phase, epoch=after.epoch, region=None
    )
    entry = HistoryEntry(run=shard.run, shard=shard.index, kind=HistoryKind(event), at=at, detail=detail)
    return ShardWrite(shard=after, history=(entry,))


def staged_run_phase(stages: RunStages, *, cancelled: bool) -> tuple[RunPhase, str]:
    """Returns the phase of a run that has stages, and why, where its shards do not say it.

    It has ended when `finally` has. It ends as the rest did, or as `finally` if the rest has succeeded.
    """
    rest = run_phase(dict.fromkeys(stages.rest, 1), cancelled=cancelled)
    if stages.final is None or not rest.terminal:
        return rest, ""
    final = stages.final.phase
    if final not in TERMINAL:
        return (RunPhase.CANCELLING if cancelled else RunPhase.RUNNING), ""
    if rest is not RunPhase.SUCCEEDED or final is Phase.SUCCEEDED:
        return rest, ""
    return run_phase({final: 1}, cancelled=cancelled), f"all else succeeded, but finally is {final}"


def ending_status(stages: RunStages) -> str:
    """Returns the word for how all but `finally` has ended: Succeeded, Failed, Quarantined or Cancelled."""
    rest = stages.rest
    ends = (*BAD_ENDS, Phase.CANCELLED)
    return next((str(phase) for phase in ends if phase in rest), str(Phase.SUCCEEDED))


def shards_after_retry(shards: Iterable[Shard]) -> Mapping[int, tuple[Shard, bool]]:
    """Returns a run's shards that a retry changes, by index, each with whether its results are kept.

    `collect` waits again unless it has succeeded. So does `finally`; where anything else runs again its tasks
    all run again too, since the end may be another one, and else only those that have not succeeded.
    """
    changed: dict[int, tuple[Shard, bool]] = {}
    for shard in sorted(shards, key=lambda one: one.index):
        if shard.index == FINALLY_SHARD:
            afresh = bool(changed)
            if shard.phase in TERMINAL and (afresh or shard.phase is not Phase.SUCCEEDED):
                changed[shard.index] = (_rearmed(shard), not afresh)
        elif shard.index == COLLECT_SHARD:
            if shard.phase in TERMINAL - {Phase.SUCCEEDED}:
                changed[shard.index] = (_rearmed(shard), True)
        elif (after := shard_after_retry(shard)) is not None:
            changed[shard.index] = (after, True)
    return changed


def _rearmed(shard: Shard) -> Shard:
    return advance(
        shard, Event.REARMED, attempts_lost=0, failovers=0, regions_lost=0, not_before=0.0
    ).with_rev(shard.rev + 1)


def after_cancellation(run: Run, at: float) -> Run | None:
    """Returns the run as a request to cancel it changes it; None if it was requested before, or is over.

    The first request ends all but `finally`, which runs afterwards; one that comes while `finally` is under
    way ends that too.
    """
    if run.phase.terminal:
        return None
    ends_finally = run.finally_deadline_at is not None and run.finally_cancelled_at is None
    if run.cancel_requested_at is not None and not ends_finally:
        return None
    return structs.replace(
        run,
        cancel_requested_at=run.cancel_requested_at if run.cancel_requested_at is not None else at,
        finally_cancelled_at=at if ends_finally else run.finally_cancelled_at,
    )
