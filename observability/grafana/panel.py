"""What a panel and a dashboard are, and the expressions that most panels are made of."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

RATE: Final = "$__rate_interval"
"""Grafana's own window for rates: four scrapes, or the width of a pixel where that is more."""


class Panel(Struct, frozen=True, kw_only=True):
    """One graph: a title, a sentence about what it says, and lines as (PromQL expression, legend)."""

    title: str
    text: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    """A unit of Grafana: `s`, `reqps`, `percentunit`, `short`."""
    alerts: tuple[str, ...] = ()
    """The alerts whose rules link this panel."""
    exemplars: bool = False
    """Whether slow calls are shown as dots that lead to their trace."""


class DashboardPage(Struct, frozen=True, kw_only=True):
    """One dashboard: who it is for, and its rows of panels, each under a heading."""

    uid: str
    title: str
    text: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    @property
    def panels(self) -> Sequence[Panel]:
        return [panel for _, panels in self.rows for panel in panels]


def p99(metric: str, *labels: str) -> str:
    """The 99th percentile of a histogram, by `labels`."""
    return f"histogram_quantile(0.99, sum by ({', '.join(['le', *labels])}) (rate({metric}_bucket[{RATE}])))"


def rate(metric: str, *labels: str, where: str = "") -> str:
    """What a counter grows by in a second, by `labels`."""
    return f"sum by ({', '.join(labels)}) (rate({metric}{where}[{RATE}]))"
