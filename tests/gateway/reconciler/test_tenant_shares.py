"""Tests how much of one placing pass a single tenant may use."""

from gateway.core.instant import Instant
from gateway.reconciler.tenant_shares import (
    ASKED_BYTES,
    ASKED_MAXIMUM,
    CONTENDED_PART,
    CONTENDED_SECONDS,
    PassShares,
)
from tests.gateway.reconciler.under_way import NOW, loaded_run


def test_passes_are_short_while_two_tenants_have_shards_to_place() -> None:
    """Whoever comes second waits for the whole pass of the first."""
    shares = PassShares()
    shares.observe("a", NOW)
    shares.observe("a", NOW)
    assert shares.begin(100, NOW) == 100

    shares.observe("b", NOW)
    assert shares.begin(100, NOW) == 100 // CONTENDED_PART
    later = Instant(NOW.monotonic + CONTENDED_SECONDS, NOW.wall)
    assert shares.begin(100, later) == 100


def test_a_pass_has_a_turn_for_each_of_many_tenants() -> None:
    """A pass takes as long as a call to a region: who is left out of it waits for the next."""
    shares = PassShares()
    for n in range(40):
        shares.observe(f"t{n}", NOW)
    assert shares.begin(100, NOW) == 41, "and one for who comes new"
    assert shares.begin(30, NOW) == 30
    shares.observe("a", Instant(NOW.monotonic + CONTENDED_SECONDS, NOW.wall))
    assert shares.begin(100, Instant(NOW.monotonic + CONTENDED_SECONDS, NOW.wall)) == 100 // CONTENDED_PART


def test_policy_is_asked_about_a_few_runs_of_each_tenant_in_a_pass() -> None:
    """A backlog that has grown old would be asked about at once, and everybody would wait."""
    shares = PassShares()
    small = [loaded_run(f"run-{n}", tenant="a").stored for n in range(99)]
    assert sum(shares.may_ask(run) for run in small) == ASKED_MAXIMUM
    assert shares.may_ask(loaded_run(tenant="b").stored)

    shares.begin(100, NOW)
    large = [loaded_run(f"run-{n}", tenant="a", size=ASKED_BYTES).stored for n in range(2)]
    assert [shares.may_ask(run) for run in large] == [True, False]
