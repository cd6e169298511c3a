"""External deployments as a kind of release: implements `Releases` by Prometheus and signed HTTP requests."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from gateway.core.errors import Conflict
from gateway.core.history import DeploymentDetail, HistoryEntry, HistoryKind
from gateway.core.rollback import Alert, Rollback
from gateway.rollback.deployments.queries import queries, queries_after
from gateway.rollback.deployments.versions import latest_version, named, unknown_version
from gateway.rollback.evidence import NoEvidence
from gateway.rollback.interface import ACTOR, Counted, LatestRelease, Queries, Standing
from gateway.rollback_settings import ExternalDeployment
from gateway.store.rollbacks import KeepsRollbacks

PAST_MAXIMUM: Final = 200
NO_ANSWER: Final = "vector(0) > 1"
UNANSWERED: Final = Queries(
    release=NO_ANSWER, release_bad=NO_ANSWER, baseline=NO_ANSWER, baseline_bad=NO_ANSWER
)
"""Queries without an answer: whether the rollback has helped cannot be known, and a person is paged."""

Send = Callable[[ExternalDeployment, Rollback], Awaitable[int]]
"""Sends the request for a rollback, and returns the status of the answer; see `sender.send_rollback`."""


class KnowsVersions(Protocol):
    """The interface of a source of deployed versions, such as `Prometheus`."""

    async def versions(self, query: str) -> Mapping[str, float] | NoEvidence:
        """Returns the time of deployment of each version, or the reason why it is not known."""
        ...


class ExternalDeployments:
    """The deployments in the settings as releases, named as `shop@1.4.2`. Implements `Releases`."""

    counted: Final = Counted(total="results", bad="bad")

    def __init__(
        self,
        deployments: Sequence[ExternalDeployment],
        store: KeepsRollbacks,
        prometheus: KnowsVersions,
        send: Send,
    ) -> None:
        self._deployments = {one.name: one for one in deployments}
        self._store, self._prometheus, self._send = store, prometheus, send

    def __repr__(self) -> str:
        return f"<ExternalDeployments {', '.join(self._deployments)}>"

    async def latest(self, alert: Alert) -> LatestRelease | None:
        name, _, version = alert.subject.partition("@")
        deployment = self._deployments.get(name)
        if deployment is None:
            return None
        release = await self._latest(deployment)
        about = version in ("", release.revision) or bool(release.unknown)
        return release if about else None

    def queries(self, release: LatestRelease, *, window_seconds: int, now: float) -> Queries:
        deployment = self._deployments[release.owner]
        return queries(deployment, release, window_seconds=window_seconds, now=now)

    def queries_after(self, rollback: Rollback, *, window_seconds: int) -> Queries:
        deployment = self._deployments.get(rollback.owner)
        if deployment is None:
            return UNANSWERED
        return queries_after(deployment, rollback.release, rollback.returns_to, window_seconds=window_seconds)

    async def standing(self, rollback: Rollback) -> Standing:
        deployment = self._deployments.get(rollback.owner)
        if deployment is None:
            return Standing.REPLACED
        release = await self._latest(deployment)
        if release.name == rollback.returns_to:
            return Standing.ROLLED_BACK
        # Where it cannot be known, nothing is sent: a newer version might be taken back.
        return Standing.IN_FORCE if release.name == rollback.release else Standing.REPLACED

    async def take_back(self, rollback: Rollback, *, at: float) -> None:
        deployment = self._deployments.get(rollback.owner)
        if deployment is None:
            raise Conflict(f"the settings have no deployment {rollback.owner} any more")
        status = await self._send(deployment, rollback)
        detail = DeploymentDetail(
            deployment=deployment.name,
            version=rollback.revision,
            returns_to=rollback.returns_to.removeprefix(named(deployment.name, "")),
            status=status,
            reason=f"{rollback.alert}: {rollback.steps[0].detail}",
        )
        kind = HistoryKind.DEPLOYMENT_ROLLED_BACK
        await self._store.record_act(HistoryEntry(run="", kind=kind, at=at, actor=ACTOR, detail=detail))

    async def _latest(self, deployment: ExternalDeployment) -> LatestRelease:
        found = await self._prometheus.versions(deployment.deployed)
        if isinstance(found, NoEvidence):
            return unknown_version(deployment, found.why)
        return latest_version(deployment, found, await self._store.acted_rollbacks(limit=PAST_MAXIMUM))
