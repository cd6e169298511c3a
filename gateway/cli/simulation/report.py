"""The results of simulations, as a table, as values for programs, and as a plot of text."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct, to_builtins
from rich.table import Table

from clusters.embedded.simulation.measures import Summary
from gateway.cli.arguments import Format
from gateway.cli.output import console, print_value, table

BARS: Final = 40
"""The width of a text plot, in characters."""
PARTS: Final = 20
"""The number of bars of a text plot."""


class Simulated(Struct, frozen=True, kw_only=True):
    """The result of one simulation, with what theory expects of it."""

    load: str
    policy: str
    workers: int
    result: Summary
    theory: dict[str, Any]
    """What theory says, by a name for it; empty where no theorem holds."""
    responses: Sequence[float]
    """Some of the measured response times, in order, for a plot."""


def print_results(found: Sequence[Simulated], output: Format, *, plot: bool) -> None:
    """Prints the results of simulations in the format that was asked for."""
    if output is not Format.TABLE:
        print_value(to_builtins(list(found)), output)
        return
    screen = console()
    screen.print(_table(found))
    for one in found:
        for name, value in one.theory.items():
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            screen.print(f"{_simulated(one)}: {name}: {text}", markup=False)
    if plot:
        for one in found:
            screen.print()
            screen.print(f"response times, {_simulated(one)}:", markup=False)
            for line in text_plot(one.responses):
                screen.print(line, markup=False)


def _simulated(one: Simulated) -> str:
    """Returns the words for the cluster that was simulated: its policy and its workers."""
    return f"{one.policy}, {one.workers:,} worker{'' if one.workers == 1 else 's'}"


def _table(found: Sequence[Simulated]) -> Table:
    columns = ["POLICY", "WORKERS", "RUNS", "RUNS/S", "USE", "WAIT", "+-", "RESPONSE", "P50", "P99", "MAX"]
    rows = (
        [
            one.policy,
            one.workers,
            one.result.runs,
            f"{one.result.throughput:.4g}",
            f"{one.result.utilization:.1%}",
            f"{one.result.wait.mean:.4g}",
            f"{one.result.wait.error:.2g}",
            f"{one.result.response.mean:.4g}",
            f"{one.result.response.p50:.4g}",
            f"{one.result.response.p99:.4g}",
            f"{one.result.response.maximum:.4g}",
            one.result.missed,
        ]
        for one in found
    )
    return table([*columns, "MISSED"], rows)


def text_plot(values: Sequence[float]) -> list[str]:
    """Returns a bar for each part of the values, from the smallest to the 99th of a hundred."""
    if not values:
        return []
    ordered = sorted(values)
    top = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] or 1.0
    counts = [0] * (PARTS + 1)
    for value in ordered:
        counts[min(PARTS, int(value / top * PARTS))] += 1
    most = max(counts)
    lines = []
    for part, count in enumerate(counts):
        label = f"{part * top / PARTS:9.3g} s" if part < PARTS else f">{top:8.3g} s"
        lines.append(f"{label}  {'#' * round(count / most * BARS):{BARS}}  {count / len(ordered):.1%}")
    return lines
