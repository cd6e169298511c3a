"""Tests `waypost simulate`: its table, its values for programs, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.simulation.report import text_plot
from gateway.cli.simulation.simulate import arrivals, jobs, workflows


def test_periodic_jobs_are_shown_beside_theory(capsys: pytest.CaptureFixture[str]) -> None:
    """Measured and bound, for each job."""
    assert jobs("1/4", "2/6", seconds=100.0) == Exit.DONE
    out = capsys.readouterr().out
    assert "rate-monotonic, 1 worker: liu_layland: 0.8284" in out
    assert "worst responses (measured, bound): 1/4 1 3, 2/6 3 3" in out
    assert jobs(random_jobs=3, utilization=0.5, seconds=50.0) == Exit.DONE


def test_results_are_values_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same."""
    texts = []
    for _ in range(2):
        assert arrivals(runs=300, workers=(1, 3), output=Format.JSON) == Exit.DONE
        texts.append(capsys.readouterr().out)
    found = json.loads(texts[0])

    assert texts[0] == texts[1]
    assert [one["workers"] for one in found] == [1, 3]
    assert found[0]["theory"] == {"mean wait by M/M/c, Erlang C": pytest.approx(4.0)}
    assert found[0]["result"]["runs"] == 300


def test_a_recorded_workflow_keeps_its_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With workers enough a run takes as long as its longest path."""
    tasks = [("a", 1.0, []), ("b", 2.0, ["a"]), ("c", 5.0, ["a"]), ("d", 1.0, ["b", "c"])]
    specified = [{"id": name, "name": name, "parents": needs, "children": []} for name, _, needs in tasks]
    executed = [{"id": name, "runtimeInSeconds": seconds} for name, seconds, _ in tasks]
    recording = {
        "name": "small",
        "schemaVersion": "1.5",
        "workflow": {"specification": {"tasks": specified}, "execution": {"tasks": executed}},
    }
    file = tmp_path / "small.json"
    file.write_text(json.dumps(recording))
    assert workflows(file, runs=10, workers=(100,), output=Format.JSON, plot=True) == Exit.DONE
    (found,) = json.loads(capsys.readouterr().out)

    assert found["result"]["response"]["maximum"] == pytest.approx(7.0)
    assert found["result"]["tasks"] == 40


@pytest.mark.parametrize(
    ("names", "seconds", "said"),
    [
        (("0.001/0.001",), 1e6, "about 1,000,000,000 runs come"),
        (("1/999999", "0.0001/0.001"), 1.0, "the periods are too far apart"),
        (("1/1", "1/2"), 1e9, "write fewer --seconds"),
    ],
)
def test_what_would_take_hours_is_refused(
    names: tuple[str, ...], seconds: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, with what to change."""
    assert jobs(*names, seconds=seconds) == Exit.USAGE
    assert said in capsys.readouterr().err


def test_memory_bounds_how_many_run_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As so many workers would: in the same order, and by the same theory."""
    found = []
    small: dict[str, Any] = {"workers": (16,), "memory_mib": 8_000, "task_memory_mib": 2_000}
    for options in ({"workers": (4,)}, small):
        load = 3.2 / options["workers"][0]
        assert arrivals(load=load, runs=2_000, output=Format.JSON, **options) == Exit.DONE
        found.append(json.loads(capsys.readouterr().out)[0])
    four, bounded = found
    assert bounded["result"]["wait"] == four["result"]["wait"]
    assert bounded["theory"] == four["theory"]

    assert arrivals(memory_mib=1_000, task_memory_mib=1_001) == Exit.USAGE
    assert workflows(tmp_path / "none", memory_mib=1, task_memory_mib=2) == Exit.USAGE
    assert "--task-memory-mib 2: the cluster has 1" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["1", "0/4", "1/0", "x/4", "-1/4", "nan/4"])
def test_what_is_no_job_is_refused(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With how one is written."""
    assert jobs(bad) == Exit.USAGE
    assert f"{bad} is no job: write SECONDS/PERIOD" in capsys.readouterr().err


def test_no_jobs_and_no_files_are_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than an empty table."""
    assert (jobs(), workflows()) == (Exit.USAGE, Exit.USAGE)
    assert jobs("1/4", random_jobs=3) == Exit.USAGE
    capsys.readouterr()


def test_a_plot_has_a_bar_for_each_part() -> None:
    """The longest is the most frequent."""
    lines = text_plot([1.0] * 90 + [2.0] * 10)
    assert max(lines, key=lambda line: line.count("#")).endswith("90.0%")
    assert text_plot([]) == []
    assert len(text_plot([0.0])) == 21
