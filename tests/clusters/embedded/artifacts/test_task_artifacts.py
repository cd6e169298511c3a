"""Tests artifacts of real tasks: fetched before a try, stored after it, recorded in its output."""

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clusters.embedded.artifacts.settings import ArtifactSettings, StorageSettings
from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.protocol import AttemptEndKind, TaskChanged
from tests.clusters.embedded.working_node import ended, finished, process, start
from waypost.workflow.task import Retry, TaskSpec
from waypost.workflow.task_phase import TaskPhase

pytestmark = pytest.mark.integration

ROWS = "1;2;3\n"
SUM = hashlib.sha256(ROWS.encode()).hexdigest()


@pytest.fixture
def storages(tmp_path: Path) -> Path:
    folder = tmp_path / "storages"
    for name in ("exports", "results"):
        (folder / name).mkdir(parents=True)
    (folder / "exports" / "orders.csv").write_text(ROWS)
    return folder


@pytest.fixture(params=["none", "sandbox"])
async def node(tmp_path: Path, storages: Path, request: pytest.FixtureRequest) -> AsyncIterator[ClusterNode]:
    if request.param == "sandbox" and shutil.which("bwrap") is None:
        pytest.skip("there is no bubblewrap here")
    settings = ClusterNodeSettings(
        region="beijing",
        state=str(tmp_path / "state"),
        cpu=4.0,
        artifacts=ArtifactSettings(
            storages={
                "exports": StorageSettings(folder=str(storages / "exports")),
                "results": StorageSettings(folder=str(storages / "results"), write=True),
            },
            mib=1,
        ),
        executors={"process": {"isolation": request.param}},
    )
    async with ClusterNode(settings) as running:
        yield running


def shell(name: str, script: str, **more: Any) -> TaskSpec:
    return process(name, "/bin/sh", "-c", script, **more)


def from_exports(path: str = "orders.csv", **more: str) -> dict[str, Any]:
    return {"file": {"storage": "exports", "path": path, **more}}


def to_results(path: str, **more: str) -> dict[str, Any]:
    return {"file": {"storage": "results", "path": path, **more}}


async def test_a_task_finds_its_source_and_leaves_its_target(node: ClusterNode, storages: Path) -> None:
    """In a folder that it may change, whoever it runs as; what was moved is in its output."""
    script = (
        'tr ";" "," < in/rows.csv > out.csv; echo >> in/rows.csv; echo "{\\"rows\\": 3}" > $WAYPOST_OUTPUT'
    )
    await start(
        node,
        shell(
            "convert",
            script,
            source=from_exports(workspace="in/rows.csv", sha256=SUM),
            target=to_results("day/orders.csv", workspace="out.csv"),
        ),
    )
    done = (await finished(node))["convert"]

    stored = storages / "results" / "day" / "orders.csv"
    assert done.phase is TaskPhase.SUCCEEDED, done.reason
    assert stored.read_text() == "1,2,3\n"
    assert done.output == {
        "rows": 3,
        "artifacts": {
            "source": {"address": f"file://{storages}/exports/orders.csv", "sha256": SUM, "bytes": 6},
            "target": {
                "address": f"file://{stored}",
                "sha256": hashlib.sha256(b"1,2,3\n").hexdigest(),
                "bytes": 6,
            },
        },
    }


async def test_artifacts_are_counted_by_direction_and_outcome(node: ClusterNode) -> None:
    """A storage that is slow, or not reached from one region alone, is seen."""
    await start(node, shell("a", "true", source=from_exports(), target=to_results("a", workspace="nothing")))
    await ended(node)

    def value(name: str, **labels: str) -> float | None:
        return node.metrics.registry.get_sample_value(f"waypost_cluster_artifact_{name}", labels)

    assert value("bytes_total", direction="fetch") == len(ROWS)
    assert value("seconds_count", direction="fetch", outcome="Succeeded") == 1
    assert value("seconds_count", direction="store", outcome="Failed") == 1


async def test_a_later_task_checks_what_an_earlier_one_has_stored(node: ClusterNode, storages: Path) -> None:
    """The second finds folder and files of the first, which another user may own by then."""
    await start(
        node,
        shell("make", "echo made > out.csv", target=to_results("out.csv")),
        shell(
            "read",
            "cat deep/er/again.csv > copy.csv && echo >> deep/er/again.csv && touch deep/er/more",
            needs=("make",),
            source=to_results(
                "out.csv",
                workspace="deep/er/again.csv",
                sha256="${tasks.make.output.artifacts.target.sha256}",
            ),
            target=to_results("copy-${shard.index}.csv", workspace="copy.csv"),
        ),
    )
    done = await finished(node)
    assert done["read"].phase is TaskPhase.SUCCEEDED, done["read"].reason
    assert (storages / "results" / "copy-0.csv").read_text() == "made\n"


async def one(node: ClusterNode, script: str = "true", **task: Any) -> TaskChanged:
    """Runs one task, and returns its end."""
    await start(node, shell("a", script, **task))
    return (await finished(node))["a"]


async def test_a_source_that_is_missing_fails_the_try_before_it_runs(
    node: ClusterNode, tmp_path: Path
) -> None:
    done = await one(node, f"touch {tmp_path}/ran", source=from_exports("nothing.csv"))
    assert done.phase is TaskPhase.FAILED
    assert done.reason.endswith("exports/nothing.csv was not fetched: No such file or directory")
    assert not (tmp_path / "ran").exists()


async def test_a_source_that_comes_is_found_by_a_retry(node: ClusterNode, storages: Path) -> None:
    await start(
        node,
        shell("a", "cat late.csv", source=from_exports("late.csv"), retry=Retry(limit=100, max_seconds=0.1)),
    )
    async for event in node.watch(0, ""):
        if isinstance(event, TaskChanged) and event.phase is TaskPhase.RETRYING:
            (storages / "exports" / "late.csv").write_text(ROWS)
        if isinstance(event, TaskChanged) and event.phase is TaskPhase.SUCCEEDED:
            break
    assert (await ended(node)).end is AttemptEndKind.SUCCEEDED


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"source": {"file": {"storage": "else", "path": "a"}}},
            "source: this region has no file storage else",
        ),
        (
            {"source": {"s3": {"storage": "exports", "path": "a"}}},
            "source: this region has no s3 storage exports",
        ),
        (
            {"target": {"file": {"storage": "exports", "path": "a"}}},
            "target: this region has no file storage exports that may be written to",
        ),
    ],
)
async def test_a_storage_that_the_cluster_does_not_permit_loses_the_attempt(
    node: ClusterNode, fields: dict[str, Any], why: str
) -> None:
    """Another region may have it. Nothing is run before."""
    await start(node, shell("a", "true", **fields))
    end = await ended(node)
    assert (end.end, end.reason) == (AttemptEndKind.LOST, f"task a: {why}")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 3 > $WAYPOST_OUTPUT", "the output is no object, to which its artifacts could be added"),
        (
            'echo "{\\"artifacts\\": 1}" > $WAYPOST_OUTPUT',
            "the output has a field artifacts, in which its artifacts would be recorded",
        ),
        (
            'echo "{\\"rows\\": \\"x\\"}" > $WAYPOST_OUTPUT',
            "the output does not fit its schema: /rows 'x' is not of type 'integer'",
        ),
        (
            'printf \'{"a": "%060000d"}\' 1 > $WAYPOST_OUTPUT',
            "the output of a task with artifacts has more than 56 KiB",
        ),
        ("exit 3", "exit code 3"),
        ("rm out.csv", "{results}/a was not stored: out.csv in the workspace: No such file or directory"),
        ("truncate -s 2M out.csv", "{results}/a was not stored: it has more than 1 MiB"),
    ],
)
async def test_a_try_that_fails_stores_nothing(
    node: ClusterNode, storages: Path, script: str, why: str
) -> None:
    done = await one(
        node,
        f"echo > out.csv; {script}",
        target=to_results("a", workspace="out.csv"),
        outputs={"properties": {"rows": {"type": "integer"}}},
    )
    assert done.phase is TaskPhase.FAILED
    assert done.reason == why.format(results=f"file://{storages}/results")
    assert list((storages / "results").iterdir()) == []


async def test_a_path_that_an_output_leads_out_of_its_storage_fails_for_good(node: ClusterNode) -> None:
    """The document and policy saw a placeholder only."""
    write = 'echo "{\\"path\\": \\"../../etc/passwd\\"}" > $WAYPOST_OUTPUT'
    await start(
        node,
        shell("a", write),
        shell(
            "b", "true", needs=("a",), source=from_exports("x/${tasks.a.output.path}"), retry=Retry(limit=9)
        ),
    )
    done = (await finished(node))["b"]
    assert (done.phase, done.tries) == (TaskPhase.FAILED, 1)
    assert done.reason == "source.file.path has an empty part, `.` or `..`"


async def test_an_output_makes_no_artifact(node: ClusterNode, tmp_path: Path) -> None:
    """Policy saw a placeholder, and no storage."""
    write = 'echo "{\\"storage\\": \\"exports\\", \\"path\\": \\"orders.csv\\"}" > $WAYPOST_OUTPUT'
    await start(
        node,
        shell("a", write),
        shell("b", f"touch {tmp_path}/ran", needs=("a",), source={"file": "${tasks.a.output}"}),
    )
    done = (await finished(node))["b"]
    assert done.reason == "an artifact stands in the document as one: policy sees no more than a placeholder"
    assert not (tmp_path / "ran").exists()


async def test_each_instance_has_its_own_target(node: ClusterNode, storages: Path) -> None:
    await start(
        node,
        shell("a", "echo $0 > out-${index}.csv", for_each=("x", "y"), target=to_results("out-${index}.csv")),
    )
    done = (await finished(node))["a"]
    assert done.phase is TaskPhase.SUCCEEDED, done.reason
    assert sorted(path.name for path in (storages / "results").iterdir()) == ["out-0.csv", "out-1.csv"]


async def test_other_sources_and_targets_are_data_for_the_task(node: ClusterNode) -> None:
    """Documents have had them from the beginning."""
    done = await one(
        node,
        'cp "$WAYPOST_INPUT" "$WAYPOST_OUTPUT"',
        source={"s3": {"path": "backup"}},
        target={"file": "../x"},
    )
    assert (done.output["source"], done.output["target"]) == ({"s3": {"path": "backup"}}, {"file": "../x"})
    assert "artifacts" not in done.output


async def test_no_task_sees_a_storage_but_through_its_artifacts(
    node: ClusterNode, storages: Path, request: pytest.FixtureRequest
) -> None:
    """Else what policy permits of it would be of no use."""
    done = await one(node, f"cat {storages}/exports/orders.csv")
    sandboxed = request.node.callspec.params["node"] == "sandbox"
    assert (done.phase is TaskPhase.FAILED) is sandboxed
