"""Tests `waypost mesh`: what it writes, what it finds, and its exit codes."""

import json
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import app
from tests.gateway.mesh.service_files import GOOD, SHIPPED_SERVICES, at, changed

SERVICES = str(SHIPPED_SERVICES)
REGIONS = SHIPPED_SERVICES.parents[1] / "examples" / "mesh" / "regions.yaml"


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        app(["mesh", *words])
    return int(end.value.code or 0)


def test_it_prints_yaml_json_or_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("render", SERVICES) == 0
    printed = capsys.readouterr().out
    objects = list(yaml.safe_load_all(printed))
    assert printed.startswith("# Made by `waypost mesh render` from services/finance.yaml")
    assert ended("render", SERVICES, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == objects
    assert ended("render", SERVICES, "-o", "name") == 0
    assert "AuthorizationPolicy finance/finance\n" in capsys.readouterr().out


def test_the_rendering_does_not_depend_on_where_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at(tmp_path / "services", s=GOOD)
    assert ended("render", "services") == 0
    here = capsys.readouterr().out
    monkeypatch.chdir(tmp_path / "services")
    assert ended("render", ".") == 0
    assert capsys.readouterr().out == here


def test_a_rendered_folder_is_clean_until_somebody_changes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services, out = at(tmp_path / "services", s=GOOD), tmp_path / "out"
    assert ended("render", str(services), "-f", str(out)) == 0
    assert ended("check", str(services), "--rendered", str(out)) == 0
    capsys.readouterr()
    (out / "s.yaml").write_text((out / "s.yaml").read_text().replace("read:finance", "any"))
    assert ended("check", str(services), "--rendered", str(out)) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "s.yaml: changed"
    assert [line.split() for line in printed if line[0] in "-+"][2:] == [
        ["-", "-", "any"],
        ["+", "-", "read:finance"],
    ]
    assert ended("check", str(services), "--rendered", str(out), "-o", "json") == 1
    (difference,) = json.loads(capsys.readouterr().out)
    assert difference["change"] == "changed"


def test_a_folder_is_written_again_without_leftovers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services, out = (
        at(tmp_path / "services", s=GOOD, t=changed(lambda one: one.update(namespace="t"))),
        tmp_path / "out",
    )
    assert ended("render", str(services), "-f", str(out)) == 0
    (out / "theirs.yaml").write_text("kind: Secret\n")
    (services / "t.yaml").unlink()
    assert ended("check", str(services), "--rendered", str(out)) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "t.yaml: left over"
    assert ended("render", str(services), "-f", str(out)) == 0
    assert "t.yaml: removed" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["s.yaml", "theirs.yaml"]
    assert ended("render", str(services), "-f", str(out)) == 0
    assert capsys.readouterr().out == f"{out}: nothing has changed\n"


def test_a_file_of_somebody_else_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services = at(tmp_path / "services", s=GOOD)
    (tmp_path / "s.yaml").write_text("kind: Secret\n")
    assert ended("render", str(services), "-f", str(tmp_path)) == 1
    assert "move it away first" in capsys.readouterr().err
    assert (tmp_path / "s.yaml").read_text() == "kind: Secret\n"


def test_every_problem_is_printed_and_nothing_is_rendered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    services = at(tmp_path / "services", a=changed(lambda one: one.update(namespace="A")), b={"ports": {}})
    assert ended("render", str(services), "-f", str(tmp_path / "out")) == 2
    printed = capsys.readouterr().err
    assert "services/a.yaml: /a/namespace: 'A' is not a DNS label" in printed
    assert "services/b.yaml: /b/allow: is required" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [("render", "nowhere"), ("render", "."), ("check", SERVICES, "--rendered", "x")]
)
def test_folders_that_are_missing_or_empty_are_said_to_be(words: tuple[str, ...]) -> None:
    assert ended(*words) == 2


def test_the_schema_is_that_of_the_types(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$defs"]["Access"]["properties"]["token"]["enum"] == ["optional", "required"]


def test_regional_hosts_are_rendered_and_checked_with_the_services(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (SERVICES, "--regions", str(REGIONS))
    assert ended("render", *words, "-f", str(tmp_path)) == 0
    assert (
        (tmp_path / "waypost.regions.yaml")
        .read_text()
        .startswith("# Made by `waypost mesh render` from mesh/regions.yaml")
    )
    assert ended("check", *words, "--rendered", str(tmp_path)) == 0
    assert ended("check", SERVICES, "--rendered", str(tmp_path)) == 1
    assert ended("render", SERVICES, "--regions", str(tmp_path / "none.yaml")) == 2
    (tmp_path / "bad.yaml").write_text("waypost: {}")
    assert ended("render", SERVICES, "--regions", str(tmp_path / "bad.yaml")) == 2
    assert "bad.yaml: /waypost/gateways: is required" in capsys.readouterr().err
    assert ended("schema", "--regions") == 0
    assert "RegionalHost" in capsys.readouterr().out
