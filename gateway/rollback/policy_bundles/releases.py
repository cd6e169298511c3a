"""Policy bundles as a kind of release: implements `Releases` by the rollout of bundles."""

from typing import Final

from gateway.core.rollback import Alert, Rollback
from gateway.policy.rollout.acts import Act
from gateway.policy.rollout.bundle_states import BundleState, Step
from gateway.policy.rollout.rollout import BundleRollout
from gateway.rollback.interface import ACTOR, Counted, LatestRelease, Queries, Standing
from gateway.rollback.policy_bundles.latest_bundle import latest_bundle
from gateway.rollback.policy_bundles.queries import queries, queries_after


class PolicyBundles:
    """The policy bundles of a gateway as releases, named by sequence number. Implements `Releases`."""

    counted: Final = Counted(total="submissions", bad="refused")

    def __init__(self, bundles: BundleRollout) -> None:
        self._bundles = bundles

    def __repr__(self) -> str:
        return f"<PolicyBundles of {self._bundles}>"

    async def latest(self, alert: Alert) -> LatestRelease | None:  # noqa: ARG002
        return latest_bundle(self._bundles.current, may_return=self._bundles.may_return)

    def queries(self, release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
        return queries(release, window_seconds=window_seconds, now=now)

    def queries_after(self, rollback: Rollback, *, window_seconds: int) -> Queries:
        return queries_after(rollback.revision, window_seconds=window_seconds)

    async def standing(self, rollback: Rollback) -> Standing:
        rollout = self._bundles.current
        release = rollout.release(int(rollback.release))
        if release is not None and release.state is BundleState.ROLLED_BACK:
            return Standing.ROLLED_BACK
        ruling = release is not None and release in (rollout.active, rollout.candidate)
        return Standing.IN_FORCE if ruling else Standing.REPLACED

    async def take_back(self, rollback: Rollback, *, at: float) -> None:
        act = Act(by=ACTOR, at=at, decision_id="")
        generation = self._bundles.current.generation
        await self._bundles.take(Step.ROLL_BACK, int(rollback.release), act, expected=generation)
