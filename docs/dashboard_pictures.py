"""Draws a picture of each Grafana dashboard, from the real Prometheus of `make observe`: `make pictures`.

A stack under load gets two bad releases and loses a region (`examples/observe.py`). Then every expression of
every panel, as the JSON of the dashboards has it, is asked of Prometheus over that time, and drawn to
`docs/images/dashboard-*.png`. A panel without any data ends it with an error.
"""

import argparse
import asyncio
import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import yaml

from docs.dashboard_drawing import Event, Picture, Series, Span, draw
from examples.observe import observed
from gateway.cli.errors import CliError

DOCS: Final = Path(__file__).parent
IMAGES: Final = DOCS / "images"
OBSERVABILITY: Final = DOCS.parent / "observability"
SCRAPE_SECONDS: Final = 15.0
"""The longest of the shipped intervals of scrapes whose series are drawn, at a speed of 1."""
SCRAPES_IN_A_RATE: Final = 4
"""The scrapes in Grafana's `$__rate_interval`."""


def dashboards() -> dict[str, dict[str, Any]]:
    """Returns the dashboards as they ship, by uid."""
    paths = sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json"))
    return {path.stem: msgspec.json.decode(path.read_bytes()) for path in paths}


def picture_path(uid: str) -> Path:
    """Returns the path of the picture of the dashboard `uid`."""
    return IMAGES / f"dashboard-{uid.removeprefix('waypost-')}.png"


class PrometheusRange:
    """A client of Prometheus that asks for a span of time."""

    def __init__(self, client: httpx.AsyncClient, *, begin: float, end: float, speed: float) -> None:
        self._client, self._begin, self._end = client, begin, end
        self._step = SCRAPE_SECONDS / speed

    async def lines(self, target: Mapping[str, Any]) -> list[Series]:
        """Returns the lines of one query of a panel, without values that are not numbers."""
        window = f"{math.ceil(self._step * SCRAPES_IN_A_RATE * 1_000)}ms"
        found = await self._series(target["expr"].replace("$__rate_interval", window))
        lines = []
        for one in found:
            points = [(float(at), float(value)) for at, value in one["values"] if value != "NaN"]
            if points:
                lines.append(Series(legend=_legend(target["legendFormat"], one["metric"]), points=points))
        return lines

    async def watched(self) -> Span:
        """Returns the span from the first scrape to the last."""
        times = [float(at) for one in await self._series("up") for at, _ in one["values"]]
        return Span(begin=min(times), end=max(times))

    async def firing(self) -> dict[str, list[Span]]:
        """Returns the spans of time in which each alert fired."""
        spans: dict[str, list[Span]] = {}
        for one in await self._series('ALERTS{alertstate="firing"}'):
            of_alert = spans.setdefault(one["metric"]["alertname"], [])
            for at in (float(at) for at, _ in one["values"]):
                if of_alert and 0 <= at - of_alert[-1].end <= 2 * self._step:
                    of_alert[-1] = Span(begin=of_alert[-1].begin, end=at)
                else:
                    of_alert.append(Span(begin=at, end=at))
        return spans

    async def _series(self, expression: str) -> list[dict[str, Any]]:
        asked: dict[str, str | float] = {
            "query": expression,
            "start": self._begin,
            "end": self._end,
            "step": self._step,
        }
        answer = await self._client.get("/api/v1/query_range", params=asked)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found


def _legend(template: str, labels: Mapping[str, str]) -> str:
    """Fills the labels of a series into a legend such as `{{region}} started`, as Grafana does."""
    return re.sub(r"\{\{ *(\w+) *\}\}", lambda found: labels.get(found[1], ""), template).strip()


def alerts_of_panels() -> Iterator[tuple[str, tuple[str, int]]]:
    """Yields each shipped alert with the uid of the dashboard and the number of the panel that it links."""
    for path in sorted((OBSERVABILITY / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    link = rule["annotations"]["dashboard_url"]
                    uid, _, number = link.removeprefix("d/").partition("?viewPanel=")
                    yield rule["alert"], (uid, int(number))


async def pictures(prometheus: PrometheusRange, events: list[Event], note: str) -> list[Picture]:
    """Asks Prometheus for all that the dashboards show."""
    shown, firing, found = await prometheus.watched(), await prometheus.firing(), []
    for uid, dashboard in dashboards().items():
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        series = {
            panel["id"]: [line for target in panel["targets"] for line in await prometheus.lines(target)]
            for panel in panels
        }
        fired: dict[int, dict[str, list[Span]]] = {}
        for alert, (of, number) in alerts_of_panels():
            if of == uid and alert in firing:
                fired.setdefault(number, {})[alert] = firing[alert]
        found.append(
            Picture(
                uid=uid,
                dashboard=dashboard,
                series=series,
                firing=fired,
                events=events,
                note=note,
                shown=shown,
            )
        )
    return found


def without_data(picture: Picture) -> list[str]:
    """Returns the titles of the panels that have no line."""
    return [
        f"{picture.uid}: {panel['title']}"
        for panel in picture.dashboard["panels"]
        if panel["type"] != "row" and not picture.series[panel["id"]]
    ]


async def observed_pictures(speed: float) -> list[Picture]:
    """Runs the stack with its load and its faults, and returns all that is to be drawn."""
    with tempfile.TemporaryDirectory(prefix="waypost-") as folder:
        async with (
            observed(Path(folder), speed) as (servers, line),
            httpx.AsyncClient(base_url=servers.prometheus_url, timeout=30) as client,
        ):
            begin, end = line.began_at, time.time()
            events = [Event(at=at, text=text) for at, text in line.events]
            note = (
                f"A stack under load, drawn from its Prometheus. All times of scrapes and rules are the"
                f" shipped ones divided by {speed:g}: where a title or a legend says a minute, it is"
                f" {60 / speed:g} seconds."
            )
            prometheus = PrometheusRange(client, begin=begin, end=end, speed=speed)
            return await pictures(prometheus, events, note)


def main() -> int:
    """Draws all dashboards; returns 1 where a panel has no data, or a program is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=10.0)
    try:
        drawn = asyncio.run(observed_pictures(parser.parse_args().speed))
    except CliError as error:
        print(error, *error.lines, file=sys.stderr)
        return 1
    IMAGES.mkdir(exist_ok=True)
    for picture in drawn:
        draw(picture, picture_path(picture.uid))
    missing = [title for picture in drawn for title in without_data(picture)]
    print(*(f"no data: {title}" for title in missing), sep="\n", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
