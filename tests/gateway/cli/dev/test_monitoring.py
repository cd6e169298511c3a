"""Tests the monitoring servers that are started beside a demonstration stack."""

import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.cli.dev import monitoring
from gateway.cli.dev.shipped_monitoring import (
    RULES,
    divide_times,
    prometheus_configuration,
    rollback_variables,
)
from gateway.cli.errors import CliError
from gateway.core.rollback import ReleaseKind
from gateway.settings_loading import load_settings
from tests.observability.prometheus_files import program


def test_a_machine_without_the_programs_is_told_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is started."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CliError) as refused:
        monitoring.monitoring_programs()
    assert "make prometheus" in refused.value.lines[0]


@pytest.mark.integration
def test_the_configuration_of_a_stack_is_valid_and_has_all_of_its_processes(tmp_path: Path) -> None:
    """What ships, but for addresses and times; nothing is written to servers that are not there."""
    clusters = {"beijing": "127.0.0.1:9101", "shanghai": "127.0.0.1:9102"}
    found = prometheus_configuration(
        gateway="127.0.0.1:9090", clusters=clusters, alerts="127.0.0.1:9093", rules=tmp_path, speed=30
    )
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(found))
    for path in RULES.glob("*.yml"):
        (tmp_path / path.name).write_text(divide_times(path.read_text(), 30))
    checked = subprocess.run(
        [program("promtool"), "check", "config", file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    scraped = {job["job_name"]: job["static_configs"] for job in found["scrape_configs"]}
    assert [one["labels"]["region"] for one in scraped.pop("waypost-clusters")] == list(clusters)
    assert set(map(str, scraped.values())) == {"[{'targets': ['127.0.0.1:9090']}]"}
    assert "remote_write" not in found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("for: 5m", "for: 10000ms"),
        ("group_wait: 0s", "group_wait: 0ms"),
        ("scrape_interval: 10s", "scrape_interval: 334ms"),
        ("rate(a_total[1h]) or rate(a_total[5m])", "rate(a_total[120000ms]) or rate(a_total[10000ms])"),
        ("scrape_timeout: 5s", "scrape_timeout: 5s"),
        ("waypost:p99_5m > 0.8  # for 5m", "waypost:p99_5m > 0.8  # for 5m"),
    ],
)
def test_every_time_is_divided_by_one_number(before: str, after: str) -> None:
    """Time-outs stay, and what only looks like a time."""
    assert divide_times(before, 30) == after


def test_a_gateway_takes_the_divided_settings() -> None:
    """Fewer results in a shorter window, the same shares; every kind of release is rolled back."""
    variables = rollback_variables(prometheus="http://127.0.0.1:9", token="t", speed=30)
    settings = load_settings(None, variables).rollback
    assert {settings.of(kind).mode for kind in ReleaseKind} == {"on"}
    assert (settings.window_seconds, settings.requests) == (10, 7)
    assert (settings.released_seconds, settings.bad_share) == (4.0, 0.05)
