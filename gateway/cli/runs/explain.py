"""`waypost explain`: prints a run's submitter, the policy decisions about it, and its history."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.cli.arguments import Format, Output, RunId, Token, Url
from gateway.cli.client import api_path, connect, read_answer
from gateway.cli.output import command, console, print_value
from gateway.cli.runs.describe import format_head
from gateway.cli.runs.instances import folded_history
from gateway.cli.runs.run_ids import resolve_run
from gateway.cli.runs.task_waits import waiting_lines, waits_of
from gateway.core.decision import Level
from gateway.core.history import HistoryKind
from waypost.workflow.stages import STAGE_SHARDS, shard_name


@command
def explain(run: RunId, /, *, output: Output = Format.TABLE, url: Url = None, token: Token = None) -> None:
    """Explain a run: its submitter, the policy decisions about it, its history, and why it waits."""
    with connect(url, token) as client:
        run = resolve_run(client, run)
        story = read_answer(client.get(api_path("runs", run, "explain")), "history")
        waits: Mapping[tuple[int, str], dict[str, Any]] = {}
        if output is Format.TABLE and story["run"]["phase"] == "Running":
            waits = waits_of(client, run)
    if output is not Format.TABLE:
        print_value(story["run"] if output is Format.NAME else story, output)
        return
    screen, summary = console(), story["run"]
    screen.print(format_head(summary))
    submitter = f"{summary['subject']} of tenant {summary['tenant']}"
    screen.print(f"submitted by {submitter} at {_format_time(summary['created_at'])}", markup=False)
    screen.print()
    for decision in story["decisions"]:
        screen.print(_format_decision(decision), markup=False)
        for line in _format_reasons(decision):
            screen.print(f"    {line}", markup=False)
    screen.print()
    for entry in folded_history(story["history"]):
        screen.print(_format_entry(entry), markup=False)
    if not story["complete"]:
        screen.print("... the history is longer than this")
    if lines := list(_waiting_lines(story, waits)):
        screen.print()
    for line in lines:
        screen.print(f"now: {line}", markup=False)


def _waiting_lines(story: dict[str, Any], waits: Mapping[tuple[int, str], dict[str, Any]]) -> Iterator[str]:
    """Yields what the run waits for now, about tasks in their regions' words where these have any."""
    waiting = story.get("waiting") or ""
    if waits:
        waiting = waiting.removesuffix(story.get("waiting_tasks") or "").removesuffix("; ")
    if waiting:
        yield waiting
    yield from waiting_lines(waits)


def _format_decision(decision: dict[str, Any]) -> str:
    verdict = "allowed by" if decision["allow"] else "refused by"
    if decision["allow"] and decision["reasons"]:
        verdict = "allowed despite"
    rules = ", ".join(decision["rules"]) or "no rule"
    permitted = ", ".join(decision["obligations"]["regions"]) or "nowhere"
    policy = f"policy revision {decision['revision']}, {decision['engine']}"
    head = f"decision {decision['id']}: {decision['action']} {verdict} {rules} ({policy})"
    return f"{head}; permitted regions: {permitted}"


def _format_reasons(decision: dict[str, Any]) -> Iterator[str]:
    """Yields lines about a policy decision: why it refused, which rules were overridden, and warnings."""
    shown = []
    for reason in decision["reasons"]:
        level, by = reason.get("level", Level.HARD), reason.get("exception")
        enforced = f"exception {by}" if by else "only warns" if level == Level.ADVISORY else level
        note = f" ({enforced})" if level != Level.HARD else ""
        shown.append(f"{reason['rule']}: {reason['message']}")
        yield shown[-1] + note
    for warning in decision["obligations"].get("warnings", ()):
        if not warning.startswith(tuple(shown)):
            yield f"warning: {warning}"


def _format_entry(entry: dict[str, Any]) -> str:
    shard = "      run"
    if entry["shard"] is not None:
        name = shard_name(entry["shard"])
        shard = f"{name:>9}" if entry["shard"] in STAGE_SHARDS else f"shard {name:>3}"
    # stripped: an entry without detail must not end with blanks
    return f"{_format_time(entry['at'])}  {shard}  {entry['kind']:<13} {_format_entry_detail(entry)}".rstrip()


def _format_entry_detail(entry: dict[str, Any]) -> str:
    kind, detail = entry["kind"], entry["detail"]
    # the decision's rules and regions are printed once, above the history
    if kind in (HistoryKind.ACCEPTED, HistoryKind.REOPENED):
        return f"by {entry['actor']}, decision {detail['decision_id']}"
    if kind == HistoryKind.PLACED:
        return _format_placement(detail)
    if kind in (HistoryKind.TASK_FINISHED, HistoryKind.TASK_RETRYING):
        took = f" in {detail['seconds']:.1f} s" if detail.get("seconds") is not None else ""
        # What was decided without a try, or done by instances, has none of its own.
        tries = f", try {detail['tries']}" if detail["tries"] else ""
        where = f"in {detail['region']}, epoch {detail['epoch']}{tries}"
        again = f", next try at {_format_time(detail['next_try_at'])}" if detail.get("next_try_at") else ""
        return f"{detail['task']} {detail['phase']} {where}{took}{again}" + _format_reason(detail)
    if kind == HistoryKind.UNPLACEABLE:
        return str(detail["reason"])
    if "from" in detail and "to" in detail:
        where = f" in {detail['region']}, epoch {detail['epoch']}" if detail.get("region") else ""
        return f"{detail['from']} -> {detail['to']}{where}{_format_reason(detail)}"
    who = [f"by {entry['actor']}"] if kind == HistoryKind.CANCEL_REQUESTED else []
    return ", ".join(who + [f"{name} {_format_value(value)}" for name, value in detail.items()])


def _format_placement(detail: dict[str, Any]) -> str:
    ranked = sorted(detail["scores"].items(), key=lambda item: item[1])
    scores = ", ".join(f"{name} {score:.4f}" for name, score in ranked)
    rejected = "".join(f"; {name}: {reason}" for name, reason in detail["rejected"].items())
    again = f"; to be made again: {', '.join(detail['remade'])}" if detail.get("remade") else ""
    place = f"epoch {detail['epoch']} in {detail['region']}"
    return f"{place} (scores, lower is better: {scores}{rejected}{again})"


def _format_value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _format_reason(detail: dict[str, Any]) -> str:
    return f" ({detail['reason']})" if detail.get("reason") else ""


def _format_time(at: float) -> str:
    """Formats a time as local time of day, with milliseconds."""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03d}"
