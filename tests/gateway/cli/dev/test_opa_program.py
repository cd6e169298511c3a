"""Tests which `opa` program of this machine is used."""

from pathlib import Path

import pytest

from gateway.cli.dev.opa_program import BUILT_VERSION, find_opa, version_of


def program(path: Path, version: str) -> Path:
    """Writes a script that reports the given version as an OPA would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho Version: {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of `make opa`, with PATH limited to the test's folder `bin`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache" / "waypost" / f"opa-{BUILT_VERSION}"


def test_the_one_on_path_comes_first(tmp_path: Path, cache: Path) -> None:
    """Whoever runs an OPA of their own develops with that."""
    program(cache / "opa", "1.22.2")
    on_path = program(tmp_path / "bin" / "opa", "1.21.3")
    assert find_opa() == on_path


@pytest.mark.parametrize("version", ["0.70.0", "1.4.2", "1.21.2", "v1", ""])
def test_one_that_is_too_old_is_passed_over(tmp_path: Path, cache: Path, version: str) -> None:
    """Before 1.21.3 it takes bundles whose signatures are not good."""
    program(tmp_path / "bin" / "opa", version)
    assert find_opa() is None
    built = program(cache / "opa", "1.22.2")
    assert find_opa() == built


def test_a_file_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    path = tmp_path / "opa"
    assert version_of(path) is None
    path.write_bytes(b"\x00\xff")
    path.chmod(0o755)
    assert version_of(path) is None


def test_the_makefile_builds_the_release_that_is_looked_for() -> None:
    makefile = Path(__file__).parents[4] / "Makefile"
    assert f"OPA_VERSION := {BUILT_VERSION}\n" in makefile.read_text()
