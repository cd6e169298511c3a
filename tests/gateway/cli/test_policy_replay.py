"""Tests `waypost policy replay`: the shipped rules change nothing, a changed rule exactly what it should."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.policy.bundles import build
from gateway.cli.policy.replay import replay_decisions
from gateway.policy.bundle import SHIPPED_POLICIES
from tests.gateway.cli.recorded_decisions import DATA, exported, question
from tests.opa_fixture import needs_opa


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Writes an export of eight decisions: two tenants, with and without the required scope."""
    data = tmp_path / "data.json"
    data.write_text(json.dumps(DATA))
    questions = [
        question(tenant, scope, number)
        for number in range(2)
        for tenant in ("payments", "research")
        for scope in ("workflows:submit", "workflows:read")
    ]
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(asyncio.run(exported(data, questions)))
    return path


def flips(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out or "[]")
    return [(flip["kind"], flip["tenant"]) for flip in found]


def test_the_same_rules_change_nothing(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And say how many were asked."""
    data = export.parent / "data.json"
    assert replay_decisions(SHIPPED_POLICIES, decisions=export, data=data) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("8 decisions: 0 newly allowed, 0 without an answer, 0 newly refused")


def test_one_change_flips_exactly_its_decisions(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenant that loses its regions is told; that is narrower, so no failure."""
    data = export.parent / "other.json"
    changed = {**DATA["tenants"], "research": {"max_priority": 3, "regions": ["beijing"]}}
    data.write_text(json.dumps(DATA | {"tenants": changed}))
    code = replay_decisions(SHIPPED_POLICIES, decisions=export, data=data, output=Format.JSON)
    assert code == Exit.DONE
    found = flips(capsys)
    assert {tenant for _, tenant in found} == {"research"}
    assert {kind for kind, _ in found} == {"changed"}


def test_what_is_newly_allowed_is_a_failure(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless it is meant."""
    lines = [json.loads(line) for line in export.read_text().splitlines()]
    for line in lines[:1]:
        line["allow"], line["rules"] = False, ["cost.cap"]  # as if an older rule had refused it
    older = tmp_path / "older.jsonl"
    older.write_text("\n".join(json.dumps(line) for line in lines))
    data = export.parent / "data.json"

    first = replay_decisions(SHIPPED_POLICIES, decisions=older, data=data, output=Format.JSON)
    assert (first, flips(capsys)) == (Exit.FAILED, [("allowed", "payments")])
    meant = replay_decisions(SHIPPED_POLICIES, decisions=older, data=data, allow_widening=True)
    assert meant == Exit.DONE
    assert "cost.cap" in capsys.readouterr().out


def test_rules_that_cannot_be_used_are_refused(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With file and line, as `policy check` says it. So is what is no export."""
    rules = tmp_path / "rules"
    shutil.copytree(SHIPPED_POLICIES, rules)
    (rules / "broken.rego").write_text("package broken\n\nx := ")
    assert replay_decisions(rules, decisions=export) == Exit.FAILED
    assert "broken.rego:3" in capsys.readouterr().err
    assert replay_decisions(SHIPPED_POLICIES, decisions=tmp_path / "absent.jsonl") == Exit.USAGE
    (tmp_path / "text").write_text("hello")
    assert replay_decisions(SHIPPED_POLICIES, decisions=tmp_path / "text") == Exit.USAGE


def test_what_is_of_one_tenant_alone_is_said(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who may see no other would take it for all."""
    data = export.parent / "data.json"
    assert replay_decisions(SHIPPED_POLICIES, decisions=export, data=data) == Exit.DONE
    assert "all are of tenant" not in capsys.readouterr().err
    own = [line for line in export.read_text().splitlines() if json.loads(line)["tenant"] == "research"]
    export.write_text("\n".join(own))
    assert replay_decisions(SHIPPED_POLICIES, decisions=export, data=data) == Exit.DONE
    assert "all are of tenant research: only operators see" in capsys.readouterr().err


def test_an_archive_is_replayed_like_its_folder(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `policy build` makes it, with its own data. What is no archive is refused in a sentence."""
    archive = tmp_path / "bundle.tar.gz"
    assert build(SHIPPED_POLICIES, output=archive, sequence=1, data=export.parent / "data.json") == Exit.DONE
    assert replay_decisions(archive, decisions=export) == Exit.DONE
    assert capsys.readouterr().err.startswith("8 decisions: 0 newly allowed, 0 without an answer, 0 newly")
    archive.write_bytes(b"hello")
    assert replay_decisions(archive, decisions=export) == Exit.USAGE
    assert replay_decisions(tmp_path / "absent.tar.gz", decisions=export) == Exit.USAGE


@needs_opa
def test_a_real_opa_replays_what_the_embedded_engine_decided(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it is asked for, and where the rules are for OPA alone. What it refuses has its place."""
    rules = tmp_path / "rules"
    shutil.copytree(SHIPPED_POLICIES, rules)
    shutil.copy(export.parent / "data.json", rules / "data.json")
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}")
    assert replay_decisions(rules, decisions=export, opa=True) == Exit.DONE
    logger.remove(sink)
    assert logged == []
    assert capsys.readouterr().err.startswith("8 decisions: 0 newly allowed, 0 without an answer, 0 newly")

    (rules / ".manifest").write_text('{"metadata": {"engine": "opa"}}')
    (rules / "house" / "random.rego").write_text(
        "package waypost.house\n\nsubmit contains message if {\n"
        '\tgraph.reachable({"a": []}, ["a"]) == {"a"}\n\tinput.principal.tenant == "research"\n'
        '\tmessage := "no"\n}\n'
    )
    assert replay_decisions(rules, decisions=export, output=Format.JSON) == Exit.DONE
    assert sorted(flips(capsys)) == [("changed", "research")] * 2 + [("refused", "research")] * 2

    (rules / "house" / "random.rego").write_text("package waypost.house\n\nsubmit contains nothing\n")
    assert replay_decisions(rules, decisions=export) == Exit.FAILED
    assert "house/random.rego:3" in capsys.readouterr().err


def test_hundreds_of_decisions_flip_exactly_where_a_rule_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None on the same rules; with one tenant's cap seeded, those of its decisions that the cap is about."""
    data, other = tmp_path / "data.json", tmp_path / "other.json"
    tenants = {f"t{number}": {"max_priority": number % 4, "regions": ["beijing"]} for number in range(10)}
    data.write_text(json.dumps(DATA | {"tenants": tenants}))
    tenants["t3"] = {**tenants["t3"], "max_priority": 1}
    other.write_text(json.dumps(DATA | {"tenants": tenants}))
    questions = [question(f"t{number % 10}", "workflows:submit", number) for number in range(300)]
    path = tmp_path / "decisions.jsonl"
    path.write_bytes(asyncio.run(exported(data, questions)))
    before = [json.loads(line) for line in path.read_text().splitlines()]

    assert replay_decisions(SHIPPED_POLICIES, decisions=path, data=data, output=Format.NAME) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "300 decisions: 0 newly allowed" in captured.err
    assert "a second" in captured.err
    assert replay_decisions(SHIPPED_POLICIES, decisions=path, data=other, output=Format.NAME) == Exit.DONE
    seeded = sorted(one["id"] for one in before if one["tenant"] == "t3")
    assert sorted(capsys.readouterr().out.split()) == seeded
    assert len(seeded) == 30
