"""Tests that uploaded bundles are checked in a process of their own, also when that takes long."""

import pytest

from gateway.core.errors import Invalid
from gateway.policy.opa.bundle_archive import manifest_of, unpack
from gateway.policy.rollout.bundle_gate import BundleGate
from gateway.policy.rollout.gate_process import GateProcess
from tests.gateway.policy.opa.keys import VERIFIES
from tests.gateway.policy.rollout.releases import archive, rules

pytestmark = pytest.mark.integration

GATE = BundleGate(key=VERIFIES, unsigned=False, opa=False)
BROKEN = rules("broken") | {"access.rego": "package waypost.access\n\ndecision := {\n"}


async def test_the_gateways_own_process_checks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event loop would stand still meanwhile."""
    monkeypatch.delattr(BundleGate, "check")
    good, broken = archive(1), archive(2, BROKEN)
    process = GateProcess(GATE)
    assert await process.check(good) == manifest_of(unpack(good))
    with pytest.raises(Invalid, match="the rules cannot be used") as refused:
        await process.check(broken)
    assert refused.value.errors[0].detail.startswith("access.rego:4:")
    with pytest.raises(Invalid, match="the bundle is not taken: it is not signed"):
        await process.check(archive(1, key=None))


async def test_what_takes_longer_than_its_budget_is_refused() -> None:
    """Its process is killed."""
    with pytest.raises(Invalid, match=r"cannot be checked in 0\.001 s"):
        await GateProcess(GATE, budget_seconds=0.001).check(archive(1))
