"""Tests the shipped rules and alerts: promtool accepts them, they fire, and each has a runbook."""

import re
import subprocess
from collections.abc import Container, Mapping
from pathlib import Path

import pytest
import yaml

from gateway.core.errors import GatewayError
from gateway.core.rollback import ReleaseKind, RollbackPhase
from gateway.core.shard_states import Phase
from gateway.regions.region_condition import RegionCondition
from observability.cluster_metrics import ClusterMetrics
from observability.metrics import Metrics
from tests.observability.alert_case import AlertCase
from tests.observability.alert_cases import CASES
from tests.observability.prometheus_files import (
    PROMETHEUS,
    RULE_FILES,
    RUNBOOKS,
    alerts,
    group_names,
    metric_names,
    program,
    recorded_names,
    rules,
)

DECLARED = Metrics().registry.declared.keys() | ClusterMetrics().registry.declared.keys()
ALERT_FILES = [path for path in RULE_FILES if "alert: " in path.read_text()]
SECTIONS = ["What it means", "What to look at", "What to do"]


@pytest.mark.integration
def test_what_ships_is_valid() -> None:
    """By Prometheus' own words: configuration, rules, and the templates of the annotations."""
    promtool = program("promtool")
    for arguments in (
        ["check", "config", PROMETHEUS / "prometheus.yml"],
        ["check", "config", PROMETHEUS / "stored.yml"],
        ["check", "rules", *RULE_FILES],
    ):
        checked = subprocess.run(
            [promtool, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.integration
@pytest.mark.parametrize("path", ALERT_FILES, ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_not_before(tmp_path: Path, path: Path) -> None:
    """An alert that cannot fire is worse than none: somebody relies on it. Each has a near miss, too."""
    promtool, text = program("promtool"), path.read_text()
    files = []
    for step in sorted({case.step for case in CASES}):
        tests = [
            _promtool_test(case, series, fires=series is case.fires)
            for case in CASES
            if case.step == step and f"alert: {case.alert}\n" in text
            for series in (case.fires, case.silent)
        ]
        # What an alert does not need would be evaluated for each test.
        needed = [path] if not recorded_names(text) else [path, PROMETHEUS / "rules" / "recording.yml"]
        content = {
            "rule_files": [str(one) for one in needed],
            # Without it promtool takes the groups in another order each time it runs, and an alert at a
            # boundary sees what was recorded now, or a step before.
            "group_eval_order": [name for one in reversed(needed) for name in group_names(one)],
            "evaluation_interval": step,
            "tests": tests,
        }
        files.append(tmp_path / f"{step}.yml")
        files[-1].write_text(yaml.safe_dump(content))
    tested = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def _promtool_test(case: AlertCase, series: Mapping[str, str], *, fires: bool) -> dict[str, object]:
    firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "interval": case.step,
        "name": f"{case.alert} {'fires' if fires else 'is silent'}",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": case.at, "exp_samples": samples}],
    }


def test_each_alert_has_been_seen_to_fire() -> None:
    """Whoever adds one shows when it fires."""
    assert {case.alert for case in CASES} == alerts().keys()


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """Who is woken at 3 a.m. gets a sentence and a page, not a formula."""
    for name, alert in alerts().items():
        assert alert["labels"].keys() - {"rollback"} == {"severity"}, name
        assert alert["labels"]["severity"] in ("page", "ticket"), name
        parts = {"summary", "description", "runbook_url", "dashboard_url"}
        assert alert["annotations"].keys() == parts, name
        page = RUNBOOKS.parent.parent / alert["annotations"]["runbook_url"]
        assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == SECTIONS, page


def test_an_alert_that_triggers_rollbacks_names_a_kind_of_release() -> None:
    """The gateway passes over a kind that it does not know: nothing would ever be taken back.

    Alerts about external deployments are those of their owners.
    """
    named = {alert["labels"]["rollback"] for alert in alerts().values() if "rollback" in alert["labels"]}
    assert named == set(ReleaseKind) - {ReleaseKind.EXTERNAL}


def test_each_runbook_belongs_to_an_alert() -> None:
    """A page that no alert leads to is out of date before anybody notices."""
    linked = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts().values()}
    assert {page.name for page in RUNBOOKS.glob("*.md")} == linked


def test_every_metric_in_rules_and_runbooks_exists() -> None:
    """A rule on a metric that was renamed never fires, and nobody is told."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    texts = [rule["expr"] for rule in rules()] + [page.read_text() for page in RUNBOOKS.glob("*.md")]
    assert {name for text in texts for name in metric_names(text)} <= DECLARED
    used = {name for text in texts for name in recorded_names(text)}
    assert used <= recorded


def test_the_values_of_labels_in_rules_exist() -> None:
    """`condition="Down"` never matches. Errors are exactly the reasons whose status says that it is ours."""
    text = "\n".join(rule["expr"] for rule in rules())
    assert set(re.findall(r'condition="(\w+)"', text)) <= {condition.value for condition in RegionCondition}
    assert set(re.findall(r'phase="(\w+)"', text)) <= {*Phase, *RollbackPhase}
    ours, *others = sorted(
        set(re.findall(r'outcome=~"([^"]+)"', text)), key=lambda found: "Internal" not in found
    )
    assert ours == "|".join(sorted(_errors(GatewayError)))
    assert {word for found in others for word in found.split("|")} <= _errors(GatewayError, range(400, 500))


def _errors(kind: type[GatewayError], statuses: Container[int] = range(500, 600)) -> set[str]:
    own = {kind.reason} if kind.status in statuses else set()
    return own.union(*(_errors(child, statuses) for child in kind.__subclasses__()))


@pytest.mark.parametrize(
    ("job", "interval", "server", "retention"),
    [
        ("waypost-latency", "15s", "latency", "30d"),
        ("waypost-errors", "10s", "main", "7d"),
        ("waypost-pools", "30s", "pools", "14d"),
    ],
)
def test_metrics_are_scraped_and_kept_as_the_owner_asked(
    job: str, interval: str, server: str, retention: str
) -> None:
    """Request latency every 15 s for 30 days, error counts every 10 s for 7, pools every 30 s for 14."""
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (scraped,) = [one for one in configuration["scrape_configs"] if one["job_name"] == job]
    written = [
        one["name"]
        for one in configuration["remote_write"]
        if one["write_relabel_configs"][0]["regex"] == job
    ]

    assert scraped["scrape_interval"] == interval
    assert written == ([] if server == "main" else [server])
    assert f"--storage.tsdb.retention.time={retention} " in (PROMETHEUS / f"{server}.default").read_text()


def test_each_metric_of_a_gateway_is_scraped_by_one_job() -> None:
    """The jobs share one address: what two of them took would be counted twice, what none took is lost."""
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    for name in Metrics().registry.declared:
        series = (
            f"{name}_bucket"
            if name.endswith("_seconds") and "expiry" not in name and "age" not in name
            else name
        )
        taken = [
            job["job_name"]
            for job in configuration["scrape_configs"]
            for relabel in job.get("metric_relabel_configs", ())
            if bool(re.fullmatch(relabel["regex"], series)) is (relabel["action"] == "keep")
        ]
        assert len(taken) == 1, (series, taken)
