"""Tests when a shard may leave its region."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.failover_rules import (
    backoff_seconds,
    failover_event,
    loss_event,
    suspect_wait_is_over,
    suspect_wait_seconds,
)
from gateway.core.shard_states import Event
from gateway.settings import FailoverSettings
from waypost.workflow.task import SideEffects

SETTINGS = FailoverSettings()
times = st.floats(0, 1e6, allow_nan=False)


def test_young_tasks_are_moved_soon_and_old_ones_are_waited_for() -> None:
    """Waiting as long as the tasks have run costs at most twice the best choice (ski rental): 2 to 10 s."""

    def wait(*ran: float) -> float:
        return suspect_wait_seconds(
            SideEffects.IDEMPOTENT, ran_seconds=ran, deadline_in_seconds=None, settings=SETTINGS
        )

    assert [wait(), wait(0.5), wait(0.5, 7.0), wait(3600.0)] == [2.0, 2.0, 7.0, 10.0]


def test_a_near_deadline_cuts_the_waiting_short() -> None:
    wait = suspect_wait_seconds(
        SideEffects.IDEMPOTENT, ran_seconds=[60.0], deadline_in_seconds=8.0, settings=SETTINGS
    )

    assert wait == 4.0


@given(ran=st.lists(times), deadline=st.none() | times)
def test_nothing_shortens_the_wait_of_an_exclusive_shard(ran: list[float], deadline: float | None) -> None:
    """Its lease may run to the end: never two at once (I4) comes before any deadline."""
    assert (
        suspect_wait_seconds(
            SideEffects.EXCLUSIVE, ran_seconds=ran, deadline_in_seconds=deadline, settings=SETTINGS
        )
        == 17.0
    )


def test_an_exclusive_shard_counts_from_its_fence_too() -> None:
    """Until the fence a create that is still on its way may be taken, and its lease begins only then."""
    wait = SETTINGS.exclusive_wait_seconds

    assert not suspect_wait_is_over(
        SideEffects.EXCLUSIVE, now=117.0, suspected_at=100.0, fenced_until=104.0, wait_seconds=wait
    )
    assert suspect_wait_is_over(
        SideEffects.EXCLUSIVE, now=121.0, suspected_at=100.0, fenced_until=104.0, wait_seconds=wait
    )
    assert suspect_wait_is_over(
        SideEffects.IDEMPOTENT, now=102.0, suspected_at=100.0, fenced_until=104.0, wait_seconds=2.0
    )


def test_the_fifth_lost_attempt_is_the_last() -> None:
    """A poison document must not move for ever (fault 37); failovers, not its fault, are counted apart."""
    assert [loss_event(lost, SETTINGS) for lost in range(5)] == [Event.LOST] * 4 + [Event.EXHAUSTED]
    assert failover_event(18, SETTINGS) is Event.ABANDONED
    assert failover_event(19, SETTINGS) is Event.EXHAUSTED


def test_back_off_doubles_to_its_cap() -> None:
    assert [backoff_seconds(lost, SETTINGS) for lost in (1, 2, 3, 10)] == [1.0, 2.0, 4.0, 30.0]
