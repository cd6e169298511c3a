"""Tests the checks of `waypost cluster` before the cluster runs."""

from pathlib import Path

import pytest

from clusters.embedded.main import ClusterSettings
from gateway.__main__ import app
from gateway.cli import cluster as cluster_command
from gateway.cli.cluster import cluster

OPTIONS = ("cluster", "--region", "beijing", "--state", "state", "--pki", "pki")


def test_a_cluster_without_slots_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster(region="beijing", state=tmp_path / "state", pki=tmp_path, slots=0) == 1
    said = capsys.readouterr().err
    assert "the cluster of beijing cannot run: a cluster needs processors and slots" in said
    assert not (tmp_path / "state").exists()


def test_the_settings_of_executors_are_options_of_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor that is added brings its settings: no command names them."""
    started: list[ClusterSettings] = []

    def run(settings: ClusterSettings) -> int:
        started.append(settings)
        return 0

    monkeypatch.setattr(cluster_command, "run_cluster", run)
    app([*OPTIONS, "--executor.process.grace_seconds=10"], result_action="return_value")
    app(OPTIONS, result_action="return_value")
    assert [settings.executors for settings in started] == [{"process": {"grace_seconds": "10"}}, {}]


@pytest.mark.parametrize(
    ("executors", "why"),
    [
        ({"abacus": {}}, "there is no executor abacus; there are: delay"),
        (
            {"process": {"grace": "1"}},
            "executor process: there is no setting grace; did you mean grace_seconds?",
        ),
        (
            {"process": {"grace_seconds": "-1"}},
            "executor process: grace_seconds: Expected `float` >= 0.0",
        ),
        (
            {"delay": {"grace_seconds": "1"}},
            "executor delay: there is no setting grace_seconds; there are: none",
        ),
    ],
)
def test_a_setting_that_no_executor_can_use_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], executors: dict[str, dict[str, str]], why: str
) -> None:
    """Before anything is made."""
    assert cluster(region="beijing", state=tmp_path / "state", pki=tmp_path, executor=executors) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
