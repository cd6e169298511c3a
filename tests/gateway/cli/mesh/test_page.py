"""Tests that what docs/mesh.md shows is so: its commands run, its examples are those of the files."""

import re
import shlex
from pathlib import Path
from typing import Final

import jwt
import pytest
import yaml

from gateway.__main__ import app
from tests.gateway.cli.mesh.test_evaluate import CLAIMS
from tests.gateway.cli.test_runbooks import shell_blocks
from tests.gateway.mesh.service_files import SHIPPED_SERVICES
from tests.gateway.mesh.test_hazards import FIXTURES

ROOT: Final = SHIPPED_SERVICES.parents[1]
PAGE: Final = (ROOT / "docs" / "mesh.md").read_text()


def commands() -> list[list[str]]:
    token = jwt.encode(CLAIMS, "k" * 32, algorithm="HS256")
    lines = "".join(shell_blocks(PAGE)).replace('"$TOKEN"', token).splitlines()
    return [
        shlex.split(line.partition(" > ")[0], comments=True)[1:]
        for line in lines
        if line.startswith("waypost mesh")
    ]


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, from the top of a checkout. But those that ask a cluster: they are only read."""
    for name in ("policies", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    assert len(commands()) > 8
    for words in commands():
        if "--live" in words:
            app.parse_args(words, exit_on_error=False, print_error=False)
            continue
        with pytest.raises(SystemExit) as end:
            app(words)
        assert not end.value.code, words


def test_the_examples_of_the_page_are_in_the_files() -> None:
    """A reader finds there what is explained here."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    service, hosts = (yaml.safe_load(text) for language, text in blocks if not language)
    shipped = yaml.safe_load((SHIPPED_SERVICES / "finance.yaml").read_text())
    assert service["finance"]["allow"] == shipped["finance"]["allow"][:1]
    assert {**service["finance"], "allow": []} == {**shipped["finance"], "allow": []}
    assert hosts == yaml.safe_load((ROOT / "examples" / "mesh" / "regions.yaml").read_text())


def test_every_hazard_is_on_the_page_and_has_a_fixture() -> None:
    """Nobody can look up what only the code names."""
    section = PAGE.partition("## Hazards")[2]
    named = set(re.findall(r"`([a-z]+\.[a-z]+)`", section))
    sources = "".join(path.read_text() for path in (ROOT / "gateway" / "mesh").glob("*hazards.py"))
    quoted = set(re.findall(r'"([a-z]+\.[a-z]+)"', sources)) - {"source.namespace", "source.principal"}
    # Two names are made from the action of a policy.
    coded = quoted - {"destination.port"} | {"allow.everything", "deny.everything"}
    assert named == {path.stem for path in FIXTURES} == coded
