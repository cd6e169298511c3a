"""Tests the registry of kinds of clusters, and the executors that documents may use."""

import re
import ssl
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Struct, structs

from clusters import registry
from clusters.checked_cluster import CheckedCluster
from clusters.embedded.executors.registry import EXECUTORS
from clusters.embedded.http.client import EmbeddedCluster
from clusters.errors import ClusterError
from clusters.interface import RegionConnection
from clusters.plugin_settings import NoSettings
from clusters.protocol import ClusterStatus, Hello
from clusters.registry import ClusterKind, all_executors, cluster_adapter, executors_at
from clusters.transport import Timeouts
from tests.clusters.embedded.scripted_cluster import HELLO, STATUS, ScriptedCluster
from waypost.workflow.run_types import DeclaredExecutors, DelayRun, ProcessRun

EMBEDDED = "embedded+https://10.1.0.5:7101"


class ImageRun(Struct, frozen=True, kw_only=True):
    """The `run` of a task that another engine might define."""

    image: str


def adapter_at(url: str, settings: Mapping[str, Any] | None = None) -> CheckedCluster:
    tls, store = ssl.create_default_context(), "store.0"
    connection = RegionConnection(region="beijing", url=url, mutual_tls=lambda: tls, store=lambda: store)
    return cluster_adapter(connection, settings or {})


def declared(run_types: Mapping[str, type[Struct]], *exclusive: str) -> DeclaredExecutors:
    return DeclaredExecutors(run_types=run_types, exclusive=frozenset(exclusive))


@pytest.fixture
def another_kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """Registers a second kind of cluster, which runs `image` but not exclusively; returns its URL."""
    kind = ClusterKind(
        executors=lambda: declared({"image": ImageRun, "delay": DelayRun}),
        settings=NoSettings,
        adapter=registry.CLUSTER_KINDS["embedded+https"].adapter,
    )
    # These two alone, whatever other kinds there are.
    both = {"embedded+https": registry.CLUSTER_KINDS["embedded+https"], "other+https": kind}
    monkeypatch.setattr(registry, "CLUSTER_KINDS", both)
    return "other+https://10.1.0.6"


def test_a_scheme_picks_the_kind_of_cluster() -> None:
    """And an unknown one is named, with those that there are."""
    assert isinstance(adapter_at(EMBEDDED).adapter, EmbeddedCluster)
    for url in ("unheard-of+https://10.1.0.5", "10.1.0.5:7101", "embedded+https://"):
        with pytest.raises(ValueError, match=r"there are: .*embedded\+https"):
            adapter_at(url)
        with pytest.raises(ValueError, match=r"there are: .*embedded\+https"):
            executors_at([url])


@pytest.mark.parametrize(
    "url", ["embedded+https://ada:swordfish@h:1", "https://ada:swordfish@h", "swordfish"]
)
def test_a_url_with_a_password_is_refused_and_not_shown(url: str) -> None:
    """URLs are logged, and shown by whatever is made with them."""
    with pytest.raises(ValueError, match="its URL") as refused:
        adapter_at(url)
    assert "swordfish" not in str(refused.value)


def test_a_region_has_the_settings_that_its_kind_of_cluster_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-outs of an embedded one; by default its own."""
    made: list[Timeouts] = []
    monkeypatch.setattr(registry, "EmbeddedCluster", lambda _, *, timeouts, **_others: made.append(timeouts))
    adapter_at(EMBEDDED)
    adapter_at(EMBEDDED, {"connect_seconds": 10})
    assert made == [Timeouts(), Timeouts(connect_seconds=10.0)]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"token": "swordfish"}, "there is no setting token; there are: connect_seconds,"),
        ({"read_second": 1}, "there is no setting read_second; did you mean read_seconds?"),
        ({"read_seconds": "swordfish"}, "read_seconds: Expected `float`, got `str`"),
        ({"read_seconds": 0}, "read_seconds: Expected `float` > 0.0"),
        ({"read_seconds": float("inf")}, "read_seconds: expected a finite number"),
    ],
)
def test_a_setting_that_its_kind_of_cluster_cannot_use_is_named(
    settings: Mapping[str, Any], why: str
) -> None:
    """Its value is not: it may be a secret that somebody has put in the wrong place."""
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        adapter_at(EMBEDDED, settings)
    assert "swordfish" not in str(refused.value)


def test_the_embedded_cluster_declares_what_it_can_run() -> None:
    """Once for each of its regions: the same."""
    assert executors_at([EMBEDDED]).run_types == {name: entry.run_type for name, entry in EXECUTORS.items()}
    assert executors_at([EMBEDDED]).exclusive == {
        name for name, entry in EXECUTORS.items() if entry.exclusive
    }
    assert executors_at([EMBEDDED, EMBEDDED]) == executors_at([EMBEDDED])


def test_documents_may_use_what_some_cluster_of_the_configured_kinds_can_run(another_kind: str) -> None:
    """A kind that no region uses adds nothing; without any region whatever some kind can run is taken."""
    assert executors_at([another_kind]) == declared({"image": ImageRun, "delay": DelayRun})
    both = executors_at([EMBEDDED, another_kind])
    embedded = executors_at([EMBEDDED])
    assert both.run_types == {**embedded.run_types, "image": ImageRun}
    assert both.exclusive == embedded.exclusive
    assert executors_at([]) == both


def test_one_executor_has_one_type_of_run() -> None:
    """Else a document would be right for one region and wrong for another."""
    with pytest.raises(ValueError, match="executor process"):
        all_executors([declared({"process": ProcessRun}), declared({"process": ImageRun})])


class Forgetful(ScriptedCluster):
    """An adapter that passes on whatever its engine reports."""

    async def probe(self) -> ClusterStatus:
        return structs.replace(STATUS, slots=0)

    async def attempts(self) -> Hello:
        return structs.replace(HELLO, status=structs.replace(STATUS, region="shanghai"))


async def test_what_an_adapter_forgets_to_check_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its kind: here both the bounds of a field and the region."""
    kind = ClusterKind(executors=lambda: declared({}), settings=NoSettings, adapter=lambda *_: Forgetful())
    monkeypatch.setattr(registry, "CLUSTER_KINDS", {"argo": kind})
    async with adapter_at("argo://10.1.0.6") as cluster:
        for call in (cluster.probe(), cluster.attempts()):
            with pytest.raises(ClusterError, match="BadAnswer"):
                await call
