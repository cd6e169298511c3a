"""The types of a dashboard and its panels, and the PromQL expressions that most panels share."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

RATE: Final = "$__rate_interval"
"""The window that Grafana uses for rates: four scrapes, or the width of a pixel where that is more."""


class Panel(Struct, frozen=True, kw_only=True):
    """A graph on a dashboard: a title, a description, and lines as (PromQL expression, legend)."""

    title: str
    text: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    """The unit of the values, as Grafana names it: `s`, `reqps`, `percentunit`, `short`."""
    alerts: tuple[str, ...] = ()
    """The alerts whose rules link to this panel."""
    exemplars: bool = False
    """Whether slow calls are shown as dots that lead to their trace."""


class DashboardPage(Struct, frozen=True, kw_only=True):
    """A dashboard: its audience, and its rows of panels, each row under a heading."""

    uid: str
    title: str
    text: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    @property
    def panels(self) -> Sequence[Panel]:
        return [panel for _, panels in self.rows for panel in panels]


def p99(metric: str, *labels: str) -> str:
    """Returns the PromQL expression for the 99th percentile of a histogram, grouped by `labels`."""
    return f"histogram_quantile(0.99, sum by ({', '.join(['le', *labels])}) (rate({metric}_bucket[{RATE}])))"


def rate(metric: str, *labels: str, where: str = "") -> str:
    """Returns the PromQL expression for a counter's increase per second, grouped by `labels`."""
    return f"sum by ({', '.join(labels)}) (rate({metric}{where}[{RATE}]))"
