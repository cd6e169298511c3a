"""Tests `waypost policy diff`: differences between two bundles, in text and in decisions."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.policy.bundles import build
from gateway.cli.policy.diff import diff
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.question import encode_question
from tests.gateway.cli.recorded_decisions import DATA, exported, question
from tests.opa_fixture import needs_opa

RULE = """package waypost.house

# Nobody else has to wait for research.
submit contains {"rule": "research.closed", "message": "closed"} if input.principal.tenant == "research"
"""


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[Path, Path]:
    """Writes the shipped rules, and a copy with a house rule and another cap; returns both folders."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        shutil.copytree(SHIPPED_POLICIES, folder)
        (folder / "data.json").write_text(json.dumps(DATA))
    (new / "house" / "research.rego").write_text(RULE)
    images = new / "document" / "images.rego"
    images.write_text(images.read_text() + "\n# A word more.\n")
    tenants = {**DATA["tenants"], "payments": {"max_priority": 8, "regions": ["beijing"]}}
    (new / "data.json").write_text(json.dumps(DATA | {"tenants": tenants}))
    return old, new


def test_the_texts_that_differ_are_named(
    bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Files, and in them rules and values; nothing where nothing differs. A built archive is as good."""
    old, new = bundles
    archive = old.parent / "new.tar.gz"
    assert build(new, output=archive, sequence=1) == Exit.DONE
    capsys.readouterr()
    for other in (new, archive):
        assert diff(old, other, output=Format.JSON) == Exit.DONE
        assert json.loads(capsys.readouterr().out)["changes"] == [
            {"file": "document/images.rego", "kind": "changed", "parts": []},
            {"file": "house/research.rego", "kind": "added", "parts": ["data.waypost.house.submit"]},
            {"file": "data.json", "kind": "changed", "parts": ["/tenants/payments/max_priority"]},
        ]
    assert diff(new, archive) == Exit.DONE
    assert "no rule and no value differs" in capsys.readouterr().err


def test_questions_that_are_answered_otherwise_are_flips(
    bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a folder of inputs, and of an export whatever was decided then. Newly allowed is a failure."""
    old, new = bundles
    asked = [question(tenant, "workflows:submit", 1) for tenant in ("payments", "research")]
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for one in asked:
        (inputs / f"{one.principal.tenant}.json").write_bytes(encode_question(one))
    export = tmp_path / "decisions.jsonl"
    export.write_bytes(asyncio.run(exported(old / "data.json", asked)))

    assert diff(old, new, decisions=inputs, output=Format.JSON) == Exit.DONE
    flips = json.loads(capsys.readouterr().out)["flips"]
    assert [(flip["id"], flip["kind"]) for flip in flips] == [
        ("research.json", "refused"),
        ("payments.json", "changed"),
    ]
    assert flips[0]["rules"] == ["research.closed"]
    assert "max_priority: 7 -> 8" in flips[1]["detail"]
    assert diff(new, old, decisions=export) == Exit.FAILED
    captured = capsys.readouterr()
    assert "newly allowed" in captured.out
    assert "2 decisions: 1 newly allowed" in captured.err


@needs_opa
def test_a_real_opa_compares_where_it_is_asked_to(
    bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both bundles, each in an OPA of its own."""
    old, new = bundles
    (tmp_path / "inputs").mkdir()
    asked = question("research", "workflows:submit", 1)
    (tmp_path / "inputs" / "a.json").write_bytes(encode_question(asked))
    assert diff(old, new, decisions=tmp_path / "inputs", opa=True, output=Format.NAME) == Exit.DONE
    assert capsys.readouterr().out == "a.json\n"


def test_what_is_no_corpus_is_refused(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    """In a sentence, with the file."""
    old, new = bundles
    (tmp_path / "inputs").mkdir()
    assert diff(old, new, decisions=tmp_path / "inputs") == Exit.USAGE
    (tmp_path / "inputs" / "a.json").write_text("{}")
    assert diff(old, new, decisions=tmp_path / "inputs") == Exit.USAGE
    assert diff(old, new, decisions=tmp_path / "inputs", since="1d") == Exit.USAGE
    assert diff(old, tmp_path / "absent") == Exit.USAGE
