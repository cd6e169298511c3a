"""The type of a test case of an alert: when it fires, and when it nearly does."""

from collections.abc import Mapping
from typing import Final, NamedTuple

DAY: Final = 86_400


class AlertCase(NamedTuple):
    """A test case of one alert: series that make it fire at the time `at`, and series that do not."""

    alert: str
    at: str
    fires: Mapping[str, str]
    silent: Mapping[str, str]
    step: str = "15s"
    """The time between two samples, and between two evaluations."""


def gauge(name: str, fires: str, silent: str, at: str, alert: str) -> AlertCase:
    return AlertCase(alert, at, {name: fires}, {name: silent})
