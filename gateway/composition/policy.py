"""Builds the policy parts of a gateway: engine, bundle rollout, and the records of policy decisions.

In a running gateway only this module and the packages in `gateway.policy` name concrete policy engines.
"""

import math
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec import Struct, structs
from starlette.routing import Route

from gateway.api.internal.decision_logs import decision_log_route
from gateway.api.internal.policy_bundle import (
    CANDIDATE_PATH,
    CANDIDATE_STATUS_PATH,
    bundle_route,
    status_route,
)
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.interface import PolicyEngine
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.policy.opa.bundle_signature import BundleKeyError, read_verification_key
from gateway.policy.opa.factory import opa_engine
from gateway.policy.rollout.bundle_engines import (
    BundleEngines,
    EmbeddedEngines,
    FedOpa,
    NoBundles,
    OpaEngines,
)
from gateway.policy.rollout.bundle_gate import BundleGate
from gateway.policy.rollout.bundle_place import BundlePlace
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.policy.rollout.gate_process import GateProcess
from gateway.policy.rollout.held_bundle import HeldBundleWatch
from gateway.policy.rollout.rollout import BundleRollout
from gateway.policy.rollout.shadow import Shadow
from gateway.settings import GatewaySettings, PolicySettings
from gateway.start_error import StartError
from gateway.steady_clock import steady_time
from gateway.store.interface import Store
from gateway.submission.recorded_policy import RecordedPolicy
from observability.metrics import Metrics


def _embedded_policy(policies: PolicySettings) -> PolicyEngine:
    folder = SHIPPED_POLICIES if policies.folder is None else Path(policies.folder)
    return EmbeddedPolicyEngine(folder, None if policies.data is None else Path(policies.data))


class PolicyEngineKind(Struct, frozen=True, kw_only=True):
    """A kind of policy engine that the settings can choose: the factories that make its engines."""

    make: Callable[[PolicySettings], PolicyEngine]
    """The factory of the engine that decides from the start. Raises `ValueError` for unusable settings."""
    bundles: Callable[[FedOpa, FedOpa | None], BundleEngines] = lambda deciding, _: NoBundles(deciding.engine)
    """The factory of the engines for bundles, from the engine with its feed and the one for trials.

    By default nothing evaluates a bundle: the engine has rules of its own.
    """
    is_opa: bool = False
    """Whether the engine is OPA, which takes bundles for OPA alone and sends its decision logs here."""


_EMBEDDED: Final = PolicyEngineKind(
    make=_embedded_policy, bundles=lambda deciding, _: EmbeddedEngines(deciding.engine)
)
_OPA: Final = PolicyEngineKind(make=opa_engine, bundles=OpaEngines, is_opa=True)

POLICY_ENGINES: Final[Mapping[str, PolicyEngineKind]] = {
    "embedded": _EMBEDDED,
    "opa+http": _OPA,
    "opa+https": _OPA,
    "opa+unix": _OPA,
}
"""The kinds of policy engines, by the scheme of the setting `policy.engine`."""


Loops: TypeAlias = Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
"""The background loops of a gateway (coroutine functions), by the name that is logged if one fails."""


class PolicyParts(Struct, frozen=True, kw_only=True):
    """The policy parts of a gateway: engine, rollout, feed of bundles, routes and background loops."""

    engine: RecordedPolicy
    rollout: BundleRollout
    feed: BundleFeed
    routes: tuple[Route, ...]
    """The routes on the internal port from which OPAs fetch their bundles."""
    loops: Loops


@asynccontextmanager
async def policy_composition(
    settings: GatewaySettings, store: Store, metrics: Metrics
) -> AsyncIterator[PolicyParts]:
    """Builds the policy parts of a gateway, as an async context that opens and closes them.

    Parts are opened in order and closed in reverse. If a part cannot start, raises `StartError`,
    `BundleError` or `ArchiveError`.
    """
    policies = settings.policy
    async with AsyncExitStack() as exits:
        # Without an OPA nothing fetches from the feeds, and they have no bundle.
        opa = FedOpa(_at_start(policies), await exits.enter_async_context(BundleFeed()))
        trials = FedOpa(_candidate_opa(policies) or opa.engine, await exits.enter_async_context(BundleFeed()))
        chosen = _chosen(policies, opa, trials, metrics)
        engine = await exits.enter_async_context(
            RecordedPolicy(
                chosen,
                store,
                policies,
                on_decision=metrics.count_decision,
                on_unrecorded=metrics.unrecorded_decisions.inc,
            )
        )
        gate = _gate(settings)
        rollout = await exits.enter_async_context(
            BundleRollout(
                store,
                gate,
                uploads=GateProcess(gate),
                engines=_engines(policies, opa, trials),
                chosen=chosen,
                make_shadow=partial(_shadow, policies, metrics),
                approval_seconds=policies.approval_seconds,
            )
        )
        place = await exits.enter_async_context(
            BundlePlace(
                None if policies.bundle is None else Path(policies.bundle),
                rollout,
                clock=steady_time,
                on_outcome=lambda outcome: metrics.policy_bundles.labels(outcome).inc(),
            )
        )
        routes = _opa_routes(policies, store, opa.feed, trials.feed)
        loops = {"policy bundle": place.run, "recording of refusals": engine.run, **_of_opas(opa, trials)}
        yield PolicyParts(engine=engine, rollout=rollout, feed=opa.feed, routes=routes, loops=loops)


def _of_opas(opa: FedOpa, trials: FedOpa) -> Loops:
    return {
        "watch over OPA's bundle": HeldBundleWatch(opa).run,
        "waits of OPA": opa.feed.run,
        "waits of the OPA for trials": trials.feed.run,
    }


def _chosen(policies: PolicySettings, opa: FedOpa, trials: FedOpa, metrics: Metrics) -> ChosenEngine:
    return ChosenEngine(
        opa.engine,
        () if policies.candidate_engine is None else (trials.engine,),
        since=steady_time(),
        maximum_age_seconds=policies.bundle_maximum_age_seconds or math.inf,
        on_in_force=metrics.policy_in_force.set,
    )


def _engines(policies: PolicySettings, opa: FedOpa, trials: FedOpa) -> BundleEngines:
    return _kind_of(policies).bundles(opa, None if policies.candidate_engine is None else trials)


def _opa_routes(
    policies: PolicySettings, store: Store, feed: BundleFeed, candidate_feed: BundleFeed
) -> tuple[Route, ...]:
    """Builds the internal port's routes for OPA: bundle downloads, status reports, decision logs."""
    logs = [decision_log_route(store, kept=policies.opa_records)] if _kind_of(policies).is_opa else []
    return (
        *logs,
        *(bundle_route(feed), status_route(feed)),
        bundle_route(candidate_feed, CANDIDATE_PATH),
        status_route(candidate_feed, CANDIDATE_STATUS_PATH),
    )


def _kind_of(policies: PolicySettings) -> PolicyEngineKind:
    kind = POLICY_ENGINES.get(_scheme(policies.engine))
    if kind is None:
        raise StartError(
            f"the setting policy.engine names no policy engine; there are: {', '.join(POLICY_ENGINES)}"
        )
    return kind


def _scheme(engine: str) -> str:
    return engine.partition(":")[0]


def _at_start(policies: PolicySettings) -> PolicyEngine:
    try:
        return _kind_of(policies).make(policies)
    except ValueError as error:
        raise StartError(f"the setting policy.engine: {error}") from error


def _candidate_opa(policies: PolicySettings) -> PolicyEngine | None:
    """Builds the client of the OPA that evaluates candidate bundles; None if the settings name none."""
    if policies.candidate_engine is None:
        return None
    candidate = POLICY_ENGINES.get(_scheme(policies.candidate_engine))
    if candidate is None or not (candidate.is_opa and _kind_of(policies).is_opa):
        raise StartError("the setting policy.candidate_engine names an OPA, beside one in policy.engine")
    try:
        return candidate.make(structs.replace(policies, engine=policies.candidate_engine))
    except ValueError as error:
        raise StartError(f"the setting policy.candidate_engine: {error}") from error


def _shadow(policies: PolicySettings, metrics: Metrics, engine: PolicyEngine) -> Shadow:
    return Shadow(
        engine,
        per_second=policies.shadow_per_second,
        on_flip=lambda kind, rule: metrics.shadow_flips.labels(kind, rule).inc(),
        on_skipped=metrics.shadow_skipped.inc,
    )


def _gate(settings: GatewaySettings) -> BundleGate:
    policies, development = settings.policy, settings.development is not None
    key = policies.bundle_key
    if policies.bundle is not None and key is None and not development:
        raise StartError("policy.bundle_key is missing: without --dev a bundle must be signed")
    try:
        return BundleGate(
            key=None if key is None else read_verification_key(Path(key), policies.bundle_key_id),
            unsigned=development,
            opa=_kind_of(policies).is_opa,
        )
    except BundleKeyError as error:
        raise StartError(f"the setting policy.bundle_key: {error}") from error
