"""Tests that a kind of release with checks, a connection and a loop of its own needs only its entry."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec import structs

from gateway.app import compose
from gateway.composition import rollback as composition
from gateway.core.rollback import ReleaseKind
from gateway.rollback.interface import Releases
from gateway.rollback.registry import RELEASES, AsksPrometheus, RegisteredKind, Sources
from gateway.rollback.routing.releases import RoutingRevisions
from gateway.rollback_settings import LaterKindSettings
from gateway.settings import GatewaySettings, RollbackSettings, Secret
from gateway.start_error import StartError


class FeatureFlags(RoutingRevisions):
    """An example kind of release whose releases are with a service of flags, to which it has a connection."""

    opened = 0

    async def __aenter__(self) -> Self:
        FeatureFlags.opened += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        FeatureFlags.opened -= 1


def releases_of(sources: Sources, _: AsksPrometheus) -> AbstractAsyncContextManager[Releases]:
    return FeatureFlags(sources.store)


async def stages() -> None: ...


def loops_of(sources: Sources, _: AsksPrometheus) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
    """Returns a loop of shares, which needs what decides on them, and what may explain bad numbers."""
    assert sources.policy is not None
    assert (sources.cut_off(), list(sources.regions())) == (False, [])
    return {"staged flags": stages}


def mistakes_of(settings: RollbackSettings) -> Iterator[str]:
    if settings.requests == 13:
        yield "rollback.requests: flags are not judged by 13"


@pytest.fixture(autouse=True)
def flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the example kind in the place of another: the enum of kinds cannot grow in a test."""
    entry = RegisteredKind(releases=releases_of, loops=loops_of, mistakes=mistakes_of)
    monkeypatch.setattr(composition, "RELEASES", {**RELEASES, ReleaseKind.EXTERNAL: entry})


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    rollback = RollbackSettings(
        prometheus_url="http://127.0.0.1:1", external=LaterKindSettings(mode="dry-run")
    )
    return GatewaySettings(store=Secret(f"sqlite:{tmp_path / 'gateway.db'}"), rollback=rollback)


async def test_a_kind_with_a_connection_and_a_loop_is_one_entry(settings: GatewaySettings) -> None:
    """The gateway runs its loop, and closes its connection when it stops."""
    async with compose(settings) as gateway:
        assert gateway.loops["staged flags (external)"] is stages
        assert {"rollbacks", "staged releases (workflow)", "controller"} < gateway.loops.keys()
        assert FeatureFlags.opened == 1
    assert FeatureFlags.opened == 0


async def test_a_loop_runs_where_nothing_is_rolled_back(settings: GatewaySettings) -> None:
    """Shares advance where somebody asks for it, also where rollbacks are off; nothing else is opened."""
    rollback = structs.replace(settings.rollback, external=LaterKindSettings())
    async with compose(structs.replace(settings, rollback=rollback)) as gateway:
        assert "staged flags (external)" in gateway.loops
        assert "rollbacks" not in gateway.loops
        assert FeatureFlags.opened == 0


async def test_a_mistake_in_its_settings_stops_the_start(settings: GatewaySettings) -> None:
    """Else the rollback would fail when it is needed."""
    rollback = structs.replace(settings.rollback, requests=13)
    with pytest.raises(StartError, match="flags are not judged by 13"):
        await compose(structs.replace(settings, rollback=rollback)).__aenter__()
