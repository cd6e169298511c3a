"""Tests the table of a shard's states and transitions."""

import itertools

import pytest

from gateway.core.shard_states import (
    LEAVES_ORPHAN,
    PLACED,
    TERMINAL,
    TRANSITIONS,
    Event,
    InvalidTransition,
    Orphan,
    Phase,
    Shard,
    advance,
)


def shard(phase: Phase, *, region: str | None = "beijing", epoch: int = 3) -> Shard:
    return Shard(run="r", index=0, phase=phase, region=region, epoch=epoch)


@pytest.mark.parametrize(
    ("phase", "event"), [pair for pair in itertools.product(Phase, Event) if pair not in TRANSITIONS]
)
def test_what_is_not_in_the_table_is_refused(phase: Phase, event: Event) -> None:
    """No event may move a shard on the side: a Succeeded shard never comes back to life (invariant I2)."""
    with pytest.raises(InvalidTransition, match=f"{event} while {phase}"):
        advance(shard(phase), event)


def test_succeeded_is_final() -> None:
    """No transition leads out of Succeeded, except that a stage waits again where its run is retried."""
    assert [event for phase, event in TRANSITIONS if phase is Phase.SUCCEEDED] == [Event.REARMED]


@pytest.mark.parametrize(
    ("phase", "event"), [pair for pair in TRANSITIONS if pair[1] in LEAVES_ORPHAN and pair[0] in PLACED]
)
def test_an_attempt_that_may_still_run_is_listed(phase: Phase, event: Event) -> None:
    """Every running attempt is current or a listed orphan (I3): to leave a region lists the attempt."""
    after = advance(shard(phase), event)

    assert after.orphans == (Orphan(region="beijing", epoch=3),)
    assert after.region is None
    assert after.fence is None


@pytest.mark.parametrize("phase", sorted(TERMINAL - {Phase.SUCCEEDED}))
def test_only_a_retry_opens_what_ended(phase: Phase) -> None:
    """A shard that ended without success moves by an operator's retry alone, under its old epoch (T13)."""
    assert {event for start, event in TRANSITIONS if start is phase} == {Event.RETRIED, Event.REARMED}
    assert advance(shard(phase, region=None), Event.RETRIED).epoch == 3


def test_a_completion_behind_a_lost_road_counts() -> None:
    """Only the network path was lost: the work is done, and doing it again would be waste (T8)."""
    after = advance(shard(Phase.SUSPECT), Event.COMPLETED)

    assert (after.phase, after.region, after.orphans) == (Phase.SUCCEEDED, "beijing", ())


def test_a_region_that_comes_back_keeps_the_epoch() -> None:
    """The same attempt is confirmed again (T6), so what it finished meanwhile still counts."""
    after = advance(shard(Phase.SUSPECT), Event.REGION_BACK)

    assert (after.phase, after.epoch, after.region) == (Phase.DISPATCHING, 3, "beijing")
