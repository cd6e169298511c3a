"""Tests the monitoring servers that are started beside a demonstration stack."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from gateway.cli.dev import monitoring
from gateway.cli.errors import CliError
from tests.observability.prometheus_files import program


def test_a_machine_without_the_programs_is_told_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CliError) as refused:
        monitoring.monitoring_programs()
    assert "make prometheus" in refused.value.lines[0]


def test_the_configuration_of_a_stack_is_valid_and_has_all_of_its_processes(tmp_path: Path) -> None:
    """What ships, but for the addresses; nothing is written to servers that are not there."""
    ready = {"beijing": {"metrics_port": 9101}, "shanghai": {"metrics_port": 9102}}
    stack = SimpleNamespace(metrics_url="http://127.0.0.1:9090", ready=ready, regions=tuple(ready))
    found = monitoring._configuration(cast(Any, stack), "127.0.0.1:9093")
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(found))
    checked = subprocess.run(
        [program("promtool"), "check", "config", file], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    scraped = {job["job_name"]: job["static_configs"] for job in found["scrape_configs"]}
    assert [one["labels"]["region"] for one in scraped.pop("waypost-clusters")] == list(ready)
    assert set(map(str, scraped.values())) == {"[{'targets': ['127.0.0.1:9090']}]"}
    assert "remote_write" not in found
