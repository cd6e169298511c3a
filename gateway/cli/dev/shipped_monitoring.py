"""Fits the shipped configuration of Prometheus and Alertmanager to a stack of `waypost up`.

It can also divide the times of both, and of the gateway's automatic rollbacks, by one number, to make a demo
faster.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

import observability
from gateway.core.rollback import ReleaseKind
from gateway.settings import RollbackSettings

SHIPPED: Final = Path(observability.__file__).parent
RULES: Final = SHIPPED / "prometheus" / "rules"
RECEIVER: Final = "http://127.0.0.1:9099"
"""The address in Alertmanager's shipped configuration of the receivers that an operator replaces."""
GATEWAY: Final = "http://127.0.0.1:8080"
"""The address in Alertmanager's shipped configuration of the gateway."""
TOKEN_FILE: Final = "waypost-alerts.token"  # noqa: S105 - a name of a file
DIVIDED: Final = (
    *("released_seconds", "released_seconds_maximum", "verify_seconds"),
    *("pass_seconds", "pause_seconds"),
)
"""The times among the settings of rollbacks that are divided, beside the window, a whole number."""
UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = r"(?P<number>\d+)(?P<unit>ms|s|m|h|d)"
_KEYS = "for|(?:scrape|evaluation|group|repeat)_interval|group_wait|resolve_timeout"
_TIMES = re.compile(rf"(?P<before>\[|\b(?:{_KEYS}): ){_DURATION}\b")


def divide_times(text: str, speed: float) -> str:
    """Divides each time in a text of Prometheus rules or configuration by `speed`, to make a demo faster.

    The names of recorded series stay as they are, and so do time-outs: the machine gets no faster.
    """
    return _TIMES.sub(
        lambda found: (
            f"{found['before']}{math.ceil(int(found['number']) * UNITS[found['unit']] * 1_000 / speed)}ms"
        ),
        text,
    )


def routes_configuration(*, gateway: str, receiver: str, speed: float) -> str:
    """Returns Alertmanager's shipped configuration with a stack's addresses, and times divided by `speed`."""
    text = (SHIPPED / "alertmanager" / "alertmanager.yml").read_text()
    return divide_times(text.replace(RECEIVER, receiver).replace(GATEWAY, gateway), speed)


def prometheus_configuration(
    *, gateway: str, clusters: Mapping[str, str], alerts: str, rules: Path, speed: float
) -> dict[str, Any]:
    """Returns Prometheus' shipped configuration, changed to scrape the processes of a stack.

    `gateway` and `clusters` (by region) are the addresses (HOST:PORT) that serve metrics, `alerts` the
    address of Alertmanager, `rules` the folder of the rules. All times are divided by `speed`.
    """
    text = divide_times((SHIPPED / "prometheus" / "prometheus.yml").read_text(), speed)
    found: dict[str, Any] = yaml.safe_load(text)
    if speed > 1:
        # Prometheus takes no time-out that is longer than the interval; without one that is the interval.
        del found["global"]["scrape_timeout"]
    found["rule_files"] = [str(rules / "*.yml")]
    found["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alerts]}]}]
    del found["remote_write"]
    regions = [{"targets": [at], "labels": {"region": region}} for region, at in clusters.items()]
    for job in found["scrape_configs"]:
        del job["file_sd_configs"]
        of_clusters = job["job_name"] == "waypost-clusters"
        job["static_configs"] = regions if of_clusters else [{"targets": [gateway]}]
    return found


def rollback_variables(*, prometheus: str, token: str, speed: float) -> dict[str, str]:
    """Returns the environment variables that turn a gateway's automatic rollbacks on, with shorter times.

    The times, and the number of results that count as evidence, are divided by `speed`.
    """
    usual = RollbackSettings()
    values: dict[str, object] = {name: getattr(usual, name) / speed for name in DIVIDED}
    values |= {
        "mode": "on",
        **{f"{kind}__mode": "on" for kind in ReleaseKind},
        "prometheus_url": prometheus,
        "alerts_token": token,
        "window_seconds": math.ceil(usual.window_seconds / speed),
        "requests": math.ceil(usual.requests / speed),
    }
    return {f"WAYPOST_ROLLBACK__{name.upper()}": str(value) for name, value in values.items()}
