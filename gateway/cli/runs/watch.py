"""Follow a run to its end: a live view at a terminal, a line for each change elsewhere."""

import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Annotated, Any

import httpx
import httpx_sse
from cyclopts import Parameter
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from gateway.cli.client import Exit, Token, Url, checked, connect, decoded, path
from gateway.cli.output import Format, Output, command, console, painted, seconds, show, table
from gateway.cli.retries import attempts
from gateway.core.history import HistoryKind

TERMINAL = ("Succeeded", "Failed", "Cancelled")
TOLD = (
    HistoryKind.REGION_LOST,
    HistoryKind.ABANDONED,
    HistoryKind.PLACED,
    HistoryKind.COMPLETED,
    HistoryKind.FAILED,
    HistoryKind.UNPLACEABLE,
    HistoryKind.LOST,
    HistoryKind.EXHAUSTED,
    HistoryKind.EXPIRED,
)
REFRESH_SECONDS = 0.25

Entry = dict[str, Any]


@command
def watch(
    run: Annotated[str, Parameter(help="The run's id, as `submit` and `runs` print it.")],
    /,
    *,
    output: Output = Format.TABLE,
    url: Url = None,
    token: Token = None,
) -> int:
    """Follow a run to its end. The exit code says how it ended."""
    with connect(url, token) as client:
        return follow(client, run, output)


def follow(client: httpx.Client, run_id: str, output: Format = Format.TABLE) -> int:
    """Shows the run until it ends; for a program, the run itself at its end and nothing before. The exit code says how."""
    screen = console()
    try:
        run = _shown(client, run_id, output, screen)
    except KeyboardInterrupt:
        words = (
            f"{run_id} goes on: `waypost watch {run_id}` follows it again, `waypost cancel {run_id}` ends it"
        )
        console(stderr=True).print(words, markup=False)
        raise
    if output is not Format.TABLE:
        show(run, output)
    else:
        screen.print(f"{run_id}  {painted(run['phase'])}", markup=True)
    return Exit.DONE if run["phase"] == "Succeeded" else Exit.FAILED


def _shown(client: httpx.Client, run_id: str, output: Format, screen: Console) -> dict[str, Any]:
    """The run at its end."""
    run: dict[str, Any] = {}
    if output is Format.TABLE and screen.is_terminal:
        with Live(console=console(width=None), refresh_per_second=8) as live:
            for run, history in _changes(client, run_id):
                live.update(_view(run, history))
        return run
    told = 0
    for run, history in _changes(client, run_id):  # noqa: B007  # the last one is what is returned
        for entry in history[told:] if output is Format.TABLE else ():
            screen.print(_line(entry), markup=False)
        told = len(history)
    return run


def _changes(client: httpx.Client, run_id: str) -> Iterator[tuple[dict[str, Any], list[Entry]]]:
    """The run as it is now, and what happened so far, soon after something has changed; at most some times a second."""
    history: list[Entry] = []
    run = _run(client, run_id)
    yield run, history
    while run["phase"] not in TERMINAL:
        news: SimpleQueue[Entry | Exception | None] = SimpleQueue()
        last = history[-1]["seq"] if history else 0
        threading.Thread(target=_listen, args=(client, run_id, last, news), daemon=True).start()
        for entries in _gathered(news):
            history += entries
            run = _run(client, run_id)
            yield run, history


def _run(client: httpx.Client, run_id: str) -> dict[str, Any]:
    for attempt in attempts():
        with attempt:
            run: dict[str, Any] = checked(client.get(path("runs", run_id)), "phase")
    return run


def _listen(
    client: httpx.Client, run_id: str, last: int, news: "SimpleQueue[Entry | Exception | None]"
) -> None:
    """Puts each entry of one event stream, then None; in its place what went wrong."""
    try:
        for attempt in attempts():
            with attempt:
                for entry in _events(client, run_id, last):
                    last = entry["seq"]
                    news.put(entry)
        news.put(None)
    except Exception as error:  # whatever it is, somebody waits for it
        news.put(error)


def _gathered(news: "SimpleQueue[Entry | Exception | None]") -> Iterator[list[Entry]]:
    """What comes, together with all that comes soon after it: a change is never left out of the view until the next one."""
    going_on = True
    while going_on:
        entries: list[Entry] = []
        entry = news.get()
        until = time.monotonic() + REFRESH_SECONDS
        while entry is not None:
            if isinstance(entry, Exception):
                raise entry
            entries.append(entry)
            try:
                entry = news.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
        going_on = entry is not None
        yield entries


def _events(client: httpx.Client, run_id: str, after: int) -> Iterator[Entry]:
    headers = {"last-event-id": str(after)} if after else {}
    with httpx_sse.connect_sse(
        client, "GET", path("runs", run_id, "events"), headers=headers, timeout=60
    ) as source:
        if source.response.status_code == httpx.codes.NO_CONTENT:
            return
        if not source.response.is_success:
            source.response.read()
            checked(source.response)
        for event in source.iter_sse():
            if event.data:  # a heartbeat has none
                yield decoded(event.data, "seq", "kind")


def _view(run: dict[str, Any], history: list[dict[str, Any]]) -> RenderableType:
    total = max(1, len(run["workflow"]["spec"]["tasks"]) * run["shard_count"])
    done = run["task_phases"].get("Succeeded", 0) + run["task_phases"].get("Skipped", 0)
    running: dict[int, list[str]] = {}
    for task in run["tasks"]:
        if task["phase"] == "Running":
            running.setdefault(task["shard"], []).append(task["task"])
    rows = [
        [
            shard["index"],
            painted(shard["phase"]),
            shard["region"],
            shard["epoch"],
            ", ".join(running.get(shard["index"], [])[:4]),
        ]
        for shard in run["shards"][:20]
    ]
    return Group(
        Text(f"{run['name']}  {run['id']}  {run['phase']}  {done}/{total} tasks"),
        Padding(
            ProgressBar(total=total, completed=done, width=60), 0
        ),  # a bar alone ends without a line of its own
        table(["SHARD", "PHASE", "REGION", "EPOCH", "RUNNING"], rows),
        *(Text(_line(entry), style="dim") for entry in [e for e in history if e["kind"] in TOLD][-5:]),
    )


def _line(entry: dict[str, Any]) -> str:
    detail, words = entry["detail"], [time.strftime("%H:%M:%S", time.localtime(entry["at"]))]
    words += [] if entry["shard"] is None else [f"shard {entry['shard']}"]
    told = (detail.get(name) for name in ("task", "phase", "to", "region", "reason"))
    words += [entry["kind"], *(str(word) for word in told if word and word != entry["kind"])]
    words += [f"in {seconds(detail['seconds'])}"] if detail.get("seconds") is not None else []
    return " ".join(words)
