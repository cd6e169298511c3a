"""Follow a run to its end: a live view at a terminal, a line for each change elsewhere."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import httpx_sse
import stamina
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from gateway.cli.client import Exit, checked
from gateway.cli.output import Format, console, painted, seconds, show, table

TERMINAL = ("Succeeded", "Failed", "Cancelled")
TOLD = ("RegionLost", "Abandoned", "Placed", "Completed", "Failed", "Quarantined", "Unplaceable", "Lost", "Exhausted", "Expired")
REFRESH_SECONDS = 0.25


def follow(client: httpx.Client, run_id: str, output: Format = Format.TABLE) -> int:
    """Shows the run until it ends; for a program, the run itself at its end and nothing before. The exit code says how."""
    screen = console()
    if output is not Format.TABLE:
        *_, (run, _) = _changes(client, run_id)
        show(run, output)
        return Exit.DONE if run["phase"] == "Succeeded" else Exit.FAILED
    if screen.is_terminal:
        with Live(console=screen, refresh_per_second=8) as live:
            for run, history in _changes(client, run_id):
                live.update(_view(run, history))
    else:
        run = _print_changes(client, run_id, screen)
    screen.print(f"{run_id}  {painted(run['phase'])}", markup=True)
    return Exit.DONE if run["phase"] == "Succeeded" else Exit.FAILED


def _print_changes(client: httpx.Client, run_id: str, screen: Console) -> dict[str, Any]:
    run: dict[str, Any] = {}
    for run, history in _changes(client, run_id):  # noqa: B007  # the last one is what is returned
        for entry in history:
            screen.print(_line(entry), markup=False)
        history.clear()
    return run


def _changes(client: httpx.Client, run_id: str) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The run as it is now, and what happened so far, whenever something has changed; at most some times a second."""
    history: list[dict[str, Any]] = []
    run = checked(client.get(f"/v1/runs/{run_id}"))
    yield run, history
    last, shown_at = 0, 0.0
    while run["phase"] not in TERMINAL:
        for attempt in stamina.retry_context(on=httpx.TransportError, attempts=10, wait_initial=0.2, wait_max=2.0):
            with attempt:
                for entry in _events(client, run_id, last):
                    last = entry["seq"]
                    history.append(entry)
                    if time.monotonic() - shown_at >= REFRESH_SECONDS:
                        shown_at = time.monotonic()
                        run = checked(client.get(f"/v1/runs/{run_id}"))
                        yield run, history
                run = checked(client.get(f"/v1/runs/{run_id}"))
    yield run, history


def _events(client: httpx.Client, run_id: str, after: int) -> Iterator[dict[str, Any]]:
    headers = {"last-event-id": str(after)} if after else {}
    with httpx_sse.connect_sse(client, "GET", f"/v1/runs/{run_id}/events", headers=headers, timeout=60) as source:
        if source.response.status_code == httpx.codes.NO_CONTENT:
            return
        if not source.response.is_success:
            source.response.read()
            checked(source.response)
        for event in source.iter_sse():
            yield event.json()


def _view(run: dict[str, Any], history: list[dict[str, Any]]) -> RenderableType:
    total = max(1, len(run["workflow"]["spec"]["tasks"]) * run["shard_count"])
    done = run["task_phases"].get("Succeeded", 0) + run["task_phases"].get("Skipped", 0)
    running: dict[int, list[str]] = {}
    for task in run["tasks"]:
        if task["phase"] == "Running":
            running.setdefault(task["shard"], []).append(task["task"])
    rows = [
        [shard["index"], painted(shard["phase"]), shard["region"], shard["epoch"], ", ".join(running.get(shard["index"], [])[:4])]
        for shard in run["shards"][:20]
    ]
    return Group(
        Text(f"{run['name']}  {run['id']}  {run['phase']}  {done}/{total} tasks"),
        ProgressBar(total=total, completed=done, width=60),
        table(["SHARD", "PHASE", "REGION", "EPOCH", "RUNNING"], rows),
        *(Text(_line(entry), style="dim") for entry in [e for e in history if e["kind"] in TOLD][-5:]),
    )


def _line(entry: dict[str, Any]) -> str:
    shard = "" if entry["shard"] is None else f" shard {entry['shard']}"
    detail = entry["detail"]
    words = [str(detail[name]) for name in ("task", "phase", "to", "region", "reason") if detail.get(name)]
    took = f" in {seconds(detail['seconds'])}" if detail.get("seconds") is not None else ""
    return f"{time.strftime('%H:%M:%S', time.localtime(entry['at']))}{shard} {entry['kind']} {' '.join(words)}{took}"
