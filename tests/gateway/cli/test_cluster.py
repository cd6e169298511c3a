"""Tests the checks of `waypost cluster` before the cluster runs."""

from pathlib import Path

import pytest

from clusters.embedded.artifacts.settings import ArtifactSettings, StorageSettings
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


def test_storages_of_artifacts_are_options_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, a cluster has none."""
    started: list[ClusterSettings] = []

    def run(settings: ClusterSettings) -> int:
        started.append(settings)
        return 0

    monkeypatch.setattr(cluster_command, "run_cluster", run)
    options = ("--storage.exports.folder=/srv/exports", "--storage.exports.write=true", "--artifacts.mib=5")
    app([*OPTIONS, *options], result_action="return_value")
    app(OPTIONS, result_action="return_value")
    assert started[0].artifacts == ArtifactSettings(
        storages={"exports": StorageSettings(folder="/srv/exports", write=True)}, mib=5
    )
    assert Path("/srv/exports") in started[0].own_folders
    assert started[1].artifacts.storages == {}


def test_a_storage_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = {"exports": {"folder": "exports"}}
    assert cluster(region="beijing", state=tmp_path / "state", pki=tmp_path, storage=storage) == 1
    assert "cannot run: the storage exports: folder is no absolute path" in capsys.readouterr().err


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
