"""Tests for which tenants a canary bundle decides."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rollout.bundle_states import Share
from gateway.policy.rollout.tenant_share import TenantShare

TENANTS = [f"tenant-{number}" for number in range(2_000)]


def test_those_that_are_named_and_no_others() -> None:
    """Until a percentage is asked for."""
    share = TenantShare(Share(tenants=("payments",)))
    assert share.has("payments") and not any(map(share.has, TENANTS))


def test_about_as_many_as_were_asked_for() -> None:
    """And always the same: these were chosen when this was written."""
    found = [tenant for tenant in TENANTS if TenantShare(Share(percent=10)).has(tenant)]
    assert 150 < len(found) < 250
    assert found[:3] == ["tenant-0", "tenant-1", "tenant-10"]
    assert all(map(TenantShare(Share(percent=100)).has, TENANTS))


@given(st.text(max_size=20), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_share_has_all_of_a_smaller_one(tenant: str, one: float, other: float) -> None:
    """Nobody goes back and forth while it grows."""
    small, large = (TenantShare(Share(percent=percent)) for percent in sorted((one, other)))
    assert large.has(tenant) or not small.has(tenant)
