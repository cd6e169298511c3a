"""Tests that the output of `waypost convert` is a valid document, or the error says why not."""

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from gateway.cli.convert import EXECUTORS, convert
from gateway.cli.errors import Exit
from gateway.documents.checks import check
from gateway.documents.parsing import parse
from gateway.settings import DocumentLimits


def recording(*ids: str, seconds: float = 1.0, version: str = "1.5", **edges: list[str]) -> dict[str, Any]:
    specified = [{"id": name, "parents": edges.get(name, []), "children": []} for name in ids]
    executed = [{"id": name, "runtimeInSeconds": seconds} for name in ids]
    return {
        "name": "w",
        "schemaVersion": version,
        "workflow": {"specification": {"tasks": specified}, "execution": {"tasks": executed}},
    }


def converted(tmp_path: Path, value: Any, **options: Any) -> int:
    file = tmp_path / "instance.json"
    file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return convert(str(file), **options)


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_what_is_written_is_taken(
    output: Literal["yaml", "json"], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that look like numbers to some readers of YAML among them."""
    names = ("1e5", "12e03", "0x1f", "null", "yes", "1_000", "a")
    assert converted(tmp_path, recording(*names, a=["1e5", "null"]), output=output) == Exit.DONE
    workflow = parse(capsys.readouterr().out.encode(), f"application/{output}", DocumentLimits())
    assert [task.name for task in workflow.spec.tasks] == list(names)
    assert check(workflow, msgspec.json.encode(workflow), DocumentLimits(), EXECUTORS) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (recording("a", "b", a=["b"], b=["a"]), "cycle: "),
        (recording("a", a=["a"]), "needs itself"),
        (recording("a", seconds=31_536_001), "31536000"),
        (recording(*map(str, range(10_001))), "10000 are allowed"),
        (recording(version="1.4"), "/schemaVersion: is 1.4; 1.5 can be read"),
        (b'{"name": "a", "name": "b"}', "/name: is there twice"),
        (b"[" * 100_000, "nested more than"),
        (b"\xff", "not UTF-8"),
        (b"name: yaml", "not JSON"),
    ],
)
def test_what_would_be_refused_is_not_written(
    value: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On submitting it later nobody would know where it came from."""
    assert converted(tmp_path, value) == Exit.USAGE
    printed = capsys.readouterr()
    assert (printed.out, said in printed.err) == ("", True), printed.err


def test_no_scale_makes_a_task_endless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Infinity is no number in JSON."""
    assert converted(tmp_path, recording("a", seconds=1e300), scale=1e300) == Exit.USAGE
    assert "31536000" in capsys.readouterr().err


def test_a_new_name_is_not_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there, spelled otherwise."""
    assert converted(tmp_path, recording("a") | {"name": "A W"}) == Exit.DONE
    assert capsys.readouterr().err == "changed: /name: is spelled a-w\n"
