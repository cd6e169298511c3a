"""Finds the rules, alerts and servers that ship for Prometheus and Alertmanager, and their programs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parent.parent.parent
PROMETHEUS: Final = ROOT / "observability" / "prometheus"
ALERTMANAGER: Final = ROOT / "observability" / "alertmanager" / "alertmanager.yml"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
RULE_FILES: Final = sorted((PROMETHEUS / "rules").glob("*.yml"))


def program(name: str) -> str:
    """Returns the path of the program `name`; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: apt-get install prometheus prometheus-alertmanager")
    return found


def rules() -> Iterator[dict[str, Any]]:
    """Yields every shipped recording and alerting rule."""
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def group_names(path: Path) -> list[str]:
    """Returns the names of the groups of rules in the file at `path`."""
    return [group["name"] for group in yaml.safe_load(path.read_text())["groups"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def metric_names(expression: str) -> set[str]:
    """Returns our metrics in a PromQL expression, without the suffixes of a histogram's series."""
    found = re.findall(r"\bwaypost_[a-z0-9_]+", expression)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def recorded_names(expression: str) -> set[str]:
    return set(re.findall(r"\bwaypost:[a-z0-9_:]+", expression))
