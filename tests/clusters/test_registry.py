"""Which kinds of cluster there are, and what documents may ask of them."""

import ssl
from collections.abc import Mapping

import pytest
from msgspec import Struct

from clusters import registry
from clusters.embedded.executors.registry import EXECUTORS
from clusters.embedded.http.client import EmbeddedCluster
from clusters.registry import ClusterKind, all_executors, cluster_adapter, executors_at
from waypost.workflow.run_types import DeclaredExecutors, DelayRun, ProcessRun

EMBEDDED = "embedded+https://10.1.0.5:7101"


class ImageRun(Struct, frozen=True, kw_only=True):
    """What another engine might take."""

    image: str


def declared(run_types: Mapping[str, type[Struct]], *exclusive: str) -> DeclaredExecutors:
    return DeclaredExecutors(run_types=run_types, exclusive=frozenset(exclusive))


@pytest.fixture
def another_kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a cluster of a second kind, which runs `image` but no exclusive tasks of it."""
    kind = ClusterKind(
        executors=declared({"image": ImageRun, "delay": DelayRun}),
        adapter=registry.CLUSTER_KINDS["embedded+https"].adapter,
    )
    monkeypatch.setattr(registry, "CLUSTER_KINDS", {**registry.CLUSTER_KINDS, "other+https": kind})
    return "other+https://10.1.0.6"


def test_a_scheme_picks_the_kind_of_cluster() -> None:
    """And an unknown one is named, with those that there are."""
    tls = ssl.create_default_context()
    adapter = cluster_adapter(EMBEDDED, region="beijing", tls=tls, store=lambda: "store.0")
    assert isinstance(adapter, EmbeddedCluster)
    for url in ("unheard-of+https://10.1.0.5", "10.1.0.5:7101", "embedded+https://"):
        with pytest.raises(ValueError, match=r"there are: embedded\+https"):
            cluster_adapter(url, region="beijing", tls=tls, store=lambda: "store.0")
        with pytest.raises(ValueError, match=r"there are: embedded\+https"):
            executors_at([url])


def test_the_embedded_cluster_declares_what_it_can_run() -> None:
    """Once for each of its regions, or for none: the same."""
    assert executors_at([EMBEDDED]).run_types == {name: entry.run_type for name, entry in EXECUTORS.items()}
    assert executors_at([EMBEDDED]).exclusive == {
        name for name, entry in EXECUTORS.items() if entry.exclusive
    }
    assert executors_at([EMBEDDED, EMBEDDED]) == executors_at([EMBEDDED]) == executors_at([])


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
