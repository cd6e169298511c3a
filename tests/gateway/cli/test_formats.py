"""Tests every command with every output format (`-o`), also with answers that attack terminals."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import json
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from gateway.__main__ import app
from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from tests.gateway.cli.test_commands import commands

ID = "01a21051513d764e64a3d1414f5f"
ATTACK = 'x\x1b[31mred\x1b]0;title\x07\n\u202e\x9b2J\x7f[link=https://a.test]y[/]"'
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
CALLS = (
    ("runs", "--limit", "1"),  # its answers go on for ever
    ("describe", ID),
    ("watch", ID),
    ("explain", ID),
    ("cancel", ID),
    ("retry", ID),
    ("regions",),
    ("audit", "list"),
    ("decisions", "list"),
    ("decisions", "summary"),
    ("decisions", "get", "d1"),
    ("policy", "bundles"),
    ("policy", "bundles", "7"),
    ("policy", "shadow", "7"),
    ("policy", "canary", "7", "--percent", "5"),
    ("policy", "activate", "7"),
    ("policy", "approve", "7"),
    ("policy", "promote", "7"),
    ("policy", "rollback", "7"),
    ("policy", "upload", "w.yaml"),
    ("policy", "exceptions", "list"),
    ("policy", "exceptions", "ask", "r1", "--reason", "r1", "--ticket", "t1", "--expires", "1d"),
    ("policy", "exceptions", "approve", "e1"),
    ("policy", "exceptions", "revoke", "e1"),
    ("rollbacks", "list"),
    ("rollbacks", "describe", "7"),
    ("apply", "w.yaml"),
    ("releases", "list"),
    ("releases", "describe", "n1"),
    ("releases", "canary", "n1", "2"),
    ("releases", "promote", "n1", "2"),
    ("releases", "abort", "n1", "2"),
    ("releases", "rollback", "n1", "2"),
    ("routing", "apply", "w.yaml"),
    ("routing", "list"),
    ("routing", "show", "2"),
    ("routing", "rollback", "2"),
    ("retention", "show"),
    ("retention", "run"),
    ("submit", "w.yaml"),
    ("submit", "w.yaml", "--watch"),
    ("submit", "w.yaml", "--dry-run"),
)
RETENTION: dict[str, Any] = {
    "ended": 2,
    "due": 2,
    "archived": 2,
    "oldest_finished_at": 1.0,
    "before": 1.0,
    "passing": False,
}
RETENTION |= {"runs_days": 1.0, "runs_maximum": 2, "audit_days": 1.0, "audit_maximum": 2}
RETENTION |= {"behind_seconds": 1.0, "sealed_entries": 2, "archived_trail": None}
"""The gateway's answer about retention, in which there is no text that anybody has chosen."""
STEPS = ("shadow", "canary", "activate", "promote", "rollback", "approve")
LOCAL = {
    ("executors",): "it prints what is installed here; test_executors.py has regions that attack terminals",
    ("convert",): "it calls no gateway, and writes a document",
    ("policy", "builtins"): "it calls no gateway, and prints what is ours",
    ("policy", "eval"): "it calls no gateway, and prints what rules of this machine say",
    ("policy", "replay"): "it prints what rules of this machine say",
    ("policy", "diff"): "it prints what rules of this machine say",
    ("mesh", "render"): "it calls no gateway, and prints what files of this machine say",
    ("mesh", "check"): "it calls no gateway, and prints what files of this machine say",
    ("mesh", "lint"): "it calls no gateway, and prints what files of this machine say",
    ("mesh", "evaluate"): "it calls no gateway, and prints what files of this machine say",
    ("simulate", "jobs"): "it calls no gateway, and prints numbers",
    ("simulate", "arrivals"): "it calls no gateway, and prints numbers",
    ("simulate", "workflows"): "it calls no gateway, and prints numbers",
}
"""The commands with `-o` that are not tested here, and why."""


def exceptions(word: str) -> dict[str, Any]:
    """Returns the gateway's answers about policy exceptions."""
    one: dict[str, Any] = dict.fromkeys(
        ("id", "state", "rule", "tenant", "workflow", "document", "asked_by", "ticket"), word
    )
    one |= {"expires_at": 1.0, "approvals": [{"subject": word}]}
    path = "/v1/policy/exceptions"
    return {
        f"GET {path}": {"items": [one], "continue": None},
        f"POST {path}": one,
        f"POST {path}/e1/approve": one,
        f"POST {path}/e1/revoke": one,
    }


def rollbacks(word: str) -> dict[str, Any]:
    """Returns the gateway's answers about automatic rollbacks."""
    one: dict[str, Any] = dict.fromkeys(
        ("id", "phase", "kind", "release", "revision", "returns_to", "alert", "why"), word
    )
    steps = [{"at": 1.0, "phase": word, "detail": word, "seen": {word: 1.0}}]
    one |= {"changed_at": 1.0, "steps": steps}
    return {"GET /v1/rollbacks": {"items": [one], "continue": None}, "GET /v1/rollbacks/7": one}


def routing(word: str) -> dict[str, Any]:
    """Returns the gateway's answers about the routing."""
    revision: dict[str, Any] = dict.fromkeys(("state", "changed_by", "reason"), word)
    revision["number"] = 2
    found = {"rev": 3, "revisions": [revision | {"changed_at": 1.0, "regions": {word: {"weight": 2.0}}}]}
    path = "/v1/routing"
    return {f"GET {path}": found, f"POST {path}": found, f"POST {path}/2/rollback": found}


def releases(word: str) -> dict[str, Any]:
    """Returns the gateway's answers about released workflows."""
    version: dict[str, Any] = dict.fromkeys(("number", "state", "source", "applied_by", "changed_by"), word)
    version |= {"changed_at": 1.0, "percent": 5.0}
    one = {"tenant": word, "name": word, "rev": 3, "versions": [version]}
    path = "/v1/workflows"
    return {
        f"GET {path}": {"items": [one], "continue": None},
        f"POST {path}": one,
        f"GET {path}/n1": one,
        **{f"POST {path}/n1/versions/2/{step}": one for step in ("canary", "promote", "abort", "rollback")},
    }


def answers(word: str, *, dry_run: bool) -> dict[str, Any]:
    """Returns a gateway's answers by path, with `word` in place of every text that somebody has chosen."""
    task = {"shard": 0, "task": "a", "phase": "Failed", "region": word, "tries": 1, "epoch": 1}
    task |= {"started_at": 1.0, "ended_at": 2.0, "reason": word}
    shard = {"index": 0, "item": word, "phase": "Failed", "region": word, "epoch": 1, "failovers": 0}
    shard |= {"attempts_lost": 0, "orphans": [], "reason": word}
    run = {"id": ID, "name": word, "tenant": word, "phase": "Succeeded", "subject": word, "created_at": 1.0}
    run |= {"shard_count": 1, "permitted": [word], "tasks_left_out": 0, "tasks": [task], "task_phases": {}}
    run |= {"shards": [shard, shard | {"index": 1, "item": {word: [word]}}]}
    run |= {"workflow": {"spec": {"tasks": [{"name": "a"}]}}}
    region = {"name": word, "condition": word, "reason": word, "since": 1.0, "cordoned": True, "score": 1.0}
    region |= {"forgotten": False, "peak_ewma_seconds": 1.0, "inflight": 1, "free_slots": 1}
    decision = {"id": word, "allow": True, "rules": [word], "revision": word, "engine": word}
    decision |= {"action": word, "reasons": [{"rule": word, "message": word}]}
    decision |= {"obligations": {"regions": [word]}}
    entry = {"seq": 1, "at": time.time(), "shard": 0, "kind": "Failed", "actor": word, "run": ""}
    entry |= {"detail": {"region": word, "from": word, "to": word, "reason": word, "epoch": 1}}
    record = decision | {"at": 1.0, "tenant": word, "subject": word, "run": "", "name": word, "fault": ""}
    plan = {"shard_count": 1, "region": word, "unplaceable": None, "decision": decision}
    plan |= {"regions": [{"name": word, "score": None, "rejected": word}]}
    story = {"run": run, "decisions": [decision], "history": [entry], "complete": True, "waiting": word}
    return {
        **exceptions(word),
        **rollbacks(word),
        **releases(word),
        **routing(word),
        "GET /v1/runs": {"items": [run], "continue": "more"},
        f"GET /v1/runs/{ID}": run,
        f"GET /v1/runs/{ID}/explain": story,
        f"POST /v1/runs/{ID}/cancel": run,
        f"POST /v1/runs/{ID}/retry": run,
        "GET /v1/regions": {"items": [region]},
        "GET /v1/decisions": {"items": [record], "continue": None},
        "GET /v1/decisions/d1": record | {"input": {"workflow": word}},
        "GET /v1/audit": {"items": [entry, entry | {"run": ID}]},
        # a dry run's answer has no id
        "POST /v1/runs": plan if dry_run else run,
        **bundle_answers(word),
        **dict.fromkeys(("GET /v1/retention", "POST /v1/retention"), RETENTION),
    }


def bundle_answers(word: str) -> dict[str, Any]:
    """Returns the gateway's answers about policy bundles, with `word` in place of chosen texts."""
    bundle = {"sequence": word, "revision": word, "state": word, "uploaded_by": word, "uploaded_at": 1.0}
    bundle |= {"changed_by": word, "changed_at": 1.0, "tenants": [word], "percent": 1.0}
    flip = dict.fromkeys(("kind", "action", "tenant", "decision_id", "detail"), word) | {"rules": [word]}
    shadow = {"compared": 1, "skipped": 1, "flips": {word: 1}, "latest": [flip]}
    pending = {"step": word, "sequence": word, "tenants": [word], "percent": 1.0, "asked_by": word}
    pending |= {"approvals": 1, "approved_by": [], "expires_at": 1.0}
    path = "/v1/policy/bundles"
    return {
        f"GET {path}": {"items": [bundle], "generation": 1, "deciding": word, "pending": pending},
        f"POST {path}": bundle,
        f"GET {path}/7": bundle | {"shadow": shadow},
        **{f"POST {path}/7/{step}": bundle | {"pending": pending} for step in STEPS},
    }


def called(server: HTTPServer, words: tuple[str, ...], output: str, word: str) -> int:
    found = answers(word, dry_run="--dry-run" in words)

    def answer(request: Request) -> Response:
        content = json.encode(found[f"{request.method} {request.path}"])
        return Response(content, content_type="application/json")

    server.expect_request(re.compile("/")).respond_with_handler(answer)
    Path("w.yaml").write_text("spec: {}")
    arguments = [*words, "--output", output, "--url", server.url_for(""), "--token", "t"]
    with pytest.raises(SystemExit) as end:
        app(arguments)
    return int(end.value.code or 0)


def test_every_command_with_an_output_is_tried() -> None:
    """One that is added later is forgotten nowhere."""
    having = set()
    for words in commands():
        command = app
        for word in words:
            command = command[word]
        if any("--output" in argument.names for argument in command.assemble_argument_collection()):
            having.add(words)
    assert having == LOCAL.keys() | {tuple(w for w in call if w.isalpha()) for call in CALLS[:-2]}


@pytest.mark.parametrize("output", list(Format))
@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_every_format_can_be_printed(
    words: tuple[str, ...], output: Format, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names are ids, regions or numbers; the others are read by programs."""
    waits = words[0] == "policy" and words[1] in STEPS
    assert called(httpserver, words, output, "beijing") == (Exit.WAITING if waits else Exit.DONE)
    out = capsys.readouterr().out
    match output:
        case Format.NAME:
            assert set(out.splitlines()) <= {ID, "beijing", "2", "retention"} and out
        case Format.JSON:
            assert json.decode(out)
        case Format.YAML:
            assert yaml.safe_load(out)
        case Format.TABLE:
            assert out


@pytest.mark.parametrize("terminal", ["0", "1"])
@pytest.mark.parametrize("output", list(Format))
@pytest.mark.parametrize("words", [call for call in CALLS if call[0] != "retention"], ids=" ".join)
def test_no_answer_reaches_the_terminal_as_a_command(
    words: tuple[str, ...],
    output: Format,
    terminal: str,
    httpserver: HTTPServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Colors, titles, links, another direction, a second line: names and reasons come from anybody."""
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    monkeypatch.setenv("COLUMNS", "1000")
    called(httpserver, words, output, "beijing")
    plain = capsys.readouterr()
    httpserver.clear()
    called(httpserver, words, output, ATTACK)
    attacked = capsys.readouterr()

    for before, after in zip(plain, attacked, strict=True):
        ours = set(re.findall("\x1b[^A-Za-z]*[A-Za-z]", before))
        rest = after
        for sequence in ours:
            rest = rest.replace(sequence, "")
        assert OBEYED.findall(rest) == []
        assert output is Format.YAML or len(after.splitlines()) == len(before.splitlines())
    if output is Format.JSON:
        assert repr(ATTACK)[1:-1] in str(json.decode(attacked.out))
    elif output is Format.YAML:
        assert repr(ATTACK)[1:-1] in str(yaml.safe_load(attacked.out))


def test_a_refusal_reaches_the_terminal_on_its_lines(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The detail of a problem may hold what a document says."""
    problem = {"detail": ATTACK, "errors": [{"pointer": ATTACK, "detail": ATTACK}], "trace_id": ATTACK}
    httpserver.expect_request("/v1/runs").respond_with_json(problem, status=422)
    with pytest.raises(SystemExit):
        app(["runs", "--url", httpserver.url_for(""), "--token", "t"])
    err = capsys.readouterr().err

    assert OBEYED.findall(err) == []
    assert len(err.splitlines()) == 3
