"""Draws a Grafana dashboard of time series with matplotlib: its grid, titles, units, legends and alerts."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FuncFormatter, MaxNLocator
from msgspec import Struct
from PIL import Image

COLUMNS: Final = 24
INCHES_ACROSS: Final = 12.0
INCHES_OF_A_UNIT: Final = 0.31
"""The height of one unit of Grafana's grid."""
HEAD_INCHES: Final = 1.25
DOTS: Final = 90
COLORS_OF_A_FILE: Final = 128
LEGENDS: Final = 9
"""The lines of a panel that its legend names, the highest ones."""
LEGENDS_ACROSS: Final = 3
COLORS: Final = (
    *("#4f9a3a", "#d99e0b", "#3d8fb3", "#d9641b", "#c8302a", "#2a5ea8", "#a3479b", "#5c4a94", "#7a8f2a"),
    *("#8c6d1f", "#2f7f7a", "#b5651d"),
)
INK, FAINT, BACK, FRAME, ALARM = "#24292e", "#8e8e8e", "#f4f5f5", "#ffffff", "#e02f44"


class Series(Struct, frozen=True, kw_only=True):
    """A line of a panel: its legend, and its points as (Unix time, value)."""

    legend: str
    points: list[tuple[float, float]]


class Span(Struct, frozen=True, kw_only=True):
    """A span of Unix time."""

    begin: float
    end: float


class Event(Struct, frozen=True, kw_only=True):
    """What was done to the stack at a Unix time."""

    at: float
    text: str


class Picture(Struct, frozen=True, kw_only=True):
    """A dashboard with all that it shows. `series` and `firing` (spans, by alert) are by panel number."""

    uid: str
    dashboard: dict[str, Any]
    series: Mapping[int, Sequence[Series]]
    firing: Mapping[int, Mapping[str, Sequence[Span]]]
    events: Sequence[Event]
    note: str
    shown: Span
    """The span of time that all panels show."""


def draw(picture: Picture, path: Path) -> None:
    """Draws a dashboard into a PNG file of few colors."""
    panels = picture.dashboard["panels"]
    units = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    height = HEAD_INCHES + units * INCHES_OF_A_UNIT
    figure = Figure(figsize=(INCHES_ACROSS, height), dpi=DOTS, facecolor=BACK)
    _draw_head(figure, picture, height)
    grid = GridSpec(
        units,
        COLUMNS,
        figure=figure,
        left=0,
        right=1,
        bottom=0,
        top=1 - HEAD_INCHES / height,
        hspace=0,
        wspace=0,
    )
    for panel in panels:
        spot = panel["gridPos"]
        place = grid[spot["y"] : spot["y"] + spot["h"], spot["x"] : spot["x"] + spot["w"]].get_position(
            figure
        )
        if panel["type"] == "row":
            figure.text(
                0.012, place.y0 + 0.06 / height, panel["title"], fontsize=11, weight="bold", color=INK
            )
        else:
            _draw_panel(figure, place, panel, picture, height)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", facecolor=BACK)
    drawn.seek(0)
    few = Image.open(drawn).convert("RGB").quantize(COLORS_OF_A_FILE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def _draw_head(figure: Figure, picture: Picture, height: float) -> None:
    """Writes the title, the note, and the events with their letters."""

    def write(inches: float, text: str, **style: Any) -> None:
        figure.text(0.012, 1 - inches / height, text, va="top", **style)

    write(0.1, picture.dashboard["title"], fontsize=15, weight="bold", color=INK)
    events = ";  ".join(
        f"{letter} ({_minutes(event.at - picture.shown.begin)}) {event.text}"
        for letter, event in _lettered(picture.events)
    )
    text = "\n".join(
        textwrap.wrap(picture.note, 190) + textwrap.wrap(f"{events}. Red: an alert of this panel fires.", 190)
    )
    write(0.42, text, fontsize=8, color=INK, linespacing=1.4)


def _lettered(events: Sequence[Event]) -> list[tuple[str, Event]]:
    return [(chr(ord("A") + place), event) for place, event in enumerate(events)]


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _draw_panel(figure: Figure, place: Any, panel: dict[str, Any], picture: Picture, height: float) -> None:
    """Draws one panel with its frame, title, lines and legend."""
    across, down = 1 / INCHES_ACROSS, 1 / height
    frame = figure.add_axes(
        (
            place.x0 + 0.06 * across,
            place.y0 + 0.05 * down,
            place.width - 0.12 * across,
            place.height - 0.1 * down,
        )
    )
    frame.set(xticks=[], yticks=[], facecolor=FRAME)
    frame.spines[:].set_color("#d8d9da")
    frame.text(
        0.015,
        0.975,
        panel["title"],
        fontsize=9,
        weight="bold",
        color=INK,
        va="top",
        transform=frame.transAxes,
    )
    rows = math.ceil(min(len(picture.series[panel["id"]]), LEGENDS) / LEGENDS_ACROSS)
    below = 0.34 + 0.13 * rows
    inner = (
        place.x0 + 0.62 * across,
        place.y0 + below * down,
        place.width - 0.8 * across,
        place.height - (below + 0.44) * down,
    )
    axes = figure.add_axes(inner)
    _draw_lines(axes, panel, picture)
    fired = [
        f"{alert} fired at {', '.join(_minutes(span.begin - picture.shown.begin) for span in _merged(spans))}"
        for alert, spans in picture.firing.get(panel["id"], {}).items()
    ]
    if fired:
        frame.text(
            0.985,
            0.965,
            "; ".join(fired),
            fontsize=6.5,
            color=ALARM,
            va="top",
            ha="right",
            transform=frame.transAxes,
        )
    handles, labels = axes.get_legend_handles_labels()
    left_out = len(labels) - LEGENDS
    handles, labels = handles[:LEGENDS], labels[:LEGENDS]
    if left_out > 0:
        labels[-1] += f"  … and {left_out} more"
    legend = frame.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.03, 0.0),
        ncols=LEGENDS_ACROSS,
        fontsize=6.5,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
        labelspacing=0.25,
        borderpad=0.3,
    )
    for text in legend.get_texts():
        text.set_color(INK)


def _draw_lines(axes: Axes, panel: dict[str, Any], picture: Picture) -> None:
    """Draws the lines of a panel, the highest first, with the events, and red where its alerts fired."""
    defaults = panel["fieldConfig"]["defaults"]
    lines = sorted(picture.series[panel["id"]], key=lambda line: -max(value for _, value in line.points))
    for place, line in enumerate(lines):
        points = _with_gaps(line.points)
        axes.plot(
            [at - picture.shown.begin for at, _ in points],
            [value for _, value in points],
            color=COLORS[place % len(COLORS)],
            linewidth=1.1,
            marker="." if len(points) == 1 else "",
            label=line.legend,
            zorder=3,
        )
    highest = max((value for line in lines for _, value in line.points), default=0.0)
    axes.set_xlim(0, picture.shown.end - picture.shown.begin)
    top = highest * 1.08 or 1.0
    # A line at zero is to be seen, not hidden by the edge.
    axes.set_ylim(-0.02 * top, top)
    for spans in picture.firing.get(panel["id"], {}).values():
        for span in _merged(spans):
            axes.axvspan(
                span.begin - picture.shown.begin,
                span.end - picture.shown.begin,
                color=ALARM,
                alpha=0.13,
                linewidth=0,
            )
    for letter, event in _lettered(picture.events):
        at = event.at - picture.shown.begin
        axes.axvline(at, color=FAINT, linewidth=0.7, linestyle=(0, (3, 3)), zorder=1)
        axes.text(
            at,
            1.0,
            letter,
            fontsize=6,
            color=FAINT,
            ha="center",
            va="bottom",
            transform=axes.get_xaxis_transform(),
        )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _minutes(value)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 1.5, 3, 6, 10]))
    factor, name = scale_of(defaults["unit"], highest)
    ticks = MaxNLocator(nbins=5).tick_values(0, top / factor)
    axes.set_yticks([tick * factor for tick in ticks if 0 <= tick * factor <= top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / factor:.4g}{name}"))
    axes.tick_params(labelsize=7, colors=INK, length=0)
    axes.grid(color="#e4e5e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Returns spans that do not overlap, for those of several series of an alert."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.begin):
        if found and span.begin <= found[-1].end:
            found[-1] = Span(begin=found[-1].begin, end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def _with_gaps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points of a line, which breaks where one or more are missing, as Grafana draws it."""
    steps = [after - before for (before, _), (after, _) in pairwise(points)]
    step, drawn = min(steps, default=0.0), [*points[:1]]
    for apart, point in zip(steps, points[1:], strict=True):
        if apart > 1.5 * step:
            drawn.append((point[0], math.nan))
        drawn.append(point)
    return drawn


def scale_of(unit: str, highest: float) -> tuple[float, str]:
    """Returns the factor and the name of the scale of a Grafana unit that fits the `highest` value.

    Raises `KeyError` for a unit that no panel has yet.
    """
    if unit == "s" and highest > 0:
        scales = ((86_400, " d"), (3_600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"))
        return next((scale for scale in scales if highest >= scale[0]), scales[-1])
    return {"s": (1.0, " s"), "percentunit": (0.01, " %"), "reqps": (1.0, " req/s"), "short": (1.0, "")}[unit]
