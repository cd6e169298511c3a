"""Tests `waypost mesh lint`."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.cli.usage_errors import STANDARD_INPUT
from tests.gateway.cli.mesh.test_services import ended
from tests.gateway.mesh.service_files import SHIPPED_SERVICES
from tests.gateway.mesh.test_hazards import FIXTURES


def test_each_hazard_fails(capsys: pytest.CaptureFixture[str]) -> None:
    for fixture in FIXTURES:
        assert ended("lint", str(fixture), "-o", "name") == 1
        assert capsys.readouterr().out == f"{fixture.stem}\n"


def test_what_is_rendered_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("render", str(SHIPPED_SERVICES), "-f", str(tmp_path)) == 0
    capsys.readouterr()
    assert ended("lint", str(tmp_path), "--tcp-port", "5432") == 0
    assert capsys.readouterr().out == "11 resources: 0 hazards\n"


def test_files_are_taken_together_and_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (fixture,) = (path for path in FIXTURES if path.stem == "token.unneeded")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(fixture.read_bytes())))
    assert ended("lint", STANDARD_INPUT, "-o", "json") == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["resource"], found["hazard"]) == ("RequestAuthentication shop/a", "token.unneeded")
    whole = next(path for path in FIXTURES if path.stem == "deny.nothing")
    assert ended("lint", str(fixture), str(whole), "-o", "name") == 1
    assert capsys.readouterr().out == "deny.nothing\n"


@pytest.mark.parametrize("words", [(), ("nowhere.yaml",), (__file__,)])
def test_what_cannot_be_read_is_a_usage_error(words: tuple[str, ...]) -> None:
    assert ended("lint", *words) == 2
