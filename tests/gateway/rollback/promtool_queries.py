"""Runs PromQL queries about releases in promtool, a real Prometheus engine, and compares their numbers."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.observability.prometheus_files import program


def expected(
    queries: Mapping[str, str], values: Mapping[str, float | None], history: Sequence[Any]
) -> dict[str, Any]:
    """Returns a promtool test that expects `values` of `queries` at 20 minutes; None for no answer."""
    return {
        "interval": "15s",
        "input_series": history,
        "promql_expr_test": [
            {
                # Extrapolation makes halves of counts.
                "expr": f"round({queries[name]}, 10)",
                "eval_time": "20m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for name, value in values.items()
        ],
    }


def check(folder: Path, tests: Sequence[dict[str, Any]]) -> None:
    """Runs promtool's tests with a file in `folder`, and fails with what it says."""
    file = folder / "queries.yml"
    file.write_bytes(msgspec.yaml.encode({"rule_files": [], "evaluation_interval": "15s", "tests": tests}))
    arguments = [program("promtool"), "test", "rules", str(file)]
    checked = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
