"""`waypost explain`: who asked, what policy said and by which rules, where each shard went and why, in order."""

import time
from typing import Any

from rich.markup import escape

from gateway.cli.client import Token, Url, checked, connect, path
from gateway.cli.output import Format, Output, command, console, painted, show
from gateway.cli.runs.listing import RunId
from gateway.core.history import HistoryKind


@command
def explain(run: RunId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Tell why a run went the way it went."""
    with connect(url, token) as client:
        story = checked(client.get(path("runs", run, "explain")), "history")
    if output is not Format.TABLE:
        show(story, output)
        return
    screen, about = console(), story["run"]
    screen.print(f"{about['id']}  {escape(about['name'])}  {painted(about['phase'])}")
    screen.print(
        f"submitted by {escape(about['subject'])} of tenant {about['tenant']} at {_clock(about['created_at'])}\n",
        highlight=False,
    )
    for decision in story["decisions"]:
        screen.print(_decision(decision), markup=False)
    screen.print()
    for entry in story["history"]:
        screen.print(_entry(entry), markup=False)
    if not story["complete"]:
        screen.print("... the history is longer than this")
    if story.get("waiting"):
        screen.print(f"\nnow: {story['waiting']}", markup=False)


def _decision(decision: dict[str, Any]) -> str:
    verdict = "allowed" if decision["allow"] else "refused"
    rules = ", ".join(decision["rules"]) or "no rule"
    reasons = "".join(f"\n    {reason['rule']}: {reason['message']}" for reason in decision["reasons"])
    permitted = ", ".join(decision["obligations"]["regions"]) or "nowhere"
    policy = f"policy revision {decision['revision']}, {decision['engine']}"
    head = f"decision {decision['id']}: {decision['action']} {verdict} by {rules} ({policy})"
    return f"{head}; permitted regions: {permitted}{reasons}"


def _entry(entry: dict[str, Any]) -> str:
    kind = entry["kind"]
    shard = "      run" if entry["shard"] is None else f"shard {entry['shard']:>3}"
    return f"{_clock(entry['at'])}  {shard}  {kind:<13} {_words(entry)}".rstrip()


def _words(entry: dict[str, Any]) -> str:
    """What happened, in the words of whoever has to understand it at night."""
    kind, detail = entry["kind"], entry["detail"]
    if kind in (HistoryKind.ACCEPTED, HistoryKind.REOPENED):  # what the decision says stands above
        return f"by {entry['actor']}, decision {detail['decision_id']}"
    if kind == HistoryKind.PLACED:
        scores = ", ".join(
            f"{name} {score:.4f}"
            for name, score in sorted(detail["scores"].items(), key=lambda item: item[1])
        )
        others = "".join(f"; {name}: {why}" for name, why in detail["rejected"].items())
        again = f"; to be made again: {', '.join(detail['remade'])}" if detail.get("remade") else ""
        return f"epoch {detail['epoch']} in {detail['region']} (scores, lower is better: {scores}{others}{again})"
    if kind == HistoryKind.TASK_FINISHED:
        took = f" in {detail['seconds']:.1f} s" if detail.get("seconds") is not None else ""
        return (
            f"{detail['task']} {detail['phase']} in {detail['region']}, epoch {detail['epoch']}, try {detail['tries']}{took}"
            + _why(detail)
        )
    if kind == HistoryKind.UNPLACEABLE:
        return str(detail["reason"])
    if "from" in detail and "to" in detail:
        where = f" in {detail['region']}, epoch {detail['epoch']}" if detail.get("region") else ""
        return f"{detail['from']} -> {detail['to']}{where}{_why(detail)}"
    return ", ".join(f"{name} {_plain(value)}" for name, value in detail.items())


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _why(detail: dict[str, Any]) -> str:
    return f" ({detail['reason']})" if detail.get("reason") else ""


def _clock(at: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03d}"
