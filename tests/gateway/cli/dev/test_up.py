"""What `waypost up` looks at before it starts anything."""

import fcntl
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.dev.up import up
from gateway.cli.errors import Exit


@pytest.fixture(autouse=True)
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    def stack(*_: object, **__: object) -> None:
        pytest.fail("something was started")

    monkeypatch.setattr("gateway.cli.dev.up.Stack", stack)


@pytest.mark.parametrize("regions", [("a", "a"), ("a b",), ("gateway",), ("",)])
def test_regions_have_names_of_their_own(
    regions: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster that another of the same name replaced would never be stopped."""
    assert up(state=tmp_path / "s", region=regions) == Exit.USAGE
    assert "--region" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_second_stack_does_not_touch_the_folder_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--fresh` would take the store away from under it."""
    (tmp_path / "gateway.db").write_text("kept")
    first = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    try:
        assert up(state=tmp_path, fresh=True) == Exit.UNAVAILABLE
    finally:
        os.close(first)
    assert "a stack already runs" in capsys.readouterr().err
    assert (tmp_path / "gateway.db").read_text() == "kept"


@pytest.mark.parametrize(("option", "name"), [("port", "--port"), ("metrics_port", "--metrics-port")])
def test_a_port_that_is_taken_is_reported_with_the_option_that_helps(
    option: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instead of "gateway did not start"."""
    ports: dict[str, Any] = {"port": 0, "metrics_port": 0}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert up(state=tmp_path, **ports | {option: port}) == Exit.UNAVAILABLE
    assert capsys.readouterr().err == f"error: port {port} is taken: choose another with {name}\n"


def test_two_servers_want_two_ports(tmp_path: Path) -> None:
    """Both are free, but not twice."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert up(state=tmp_path, port=port, metrics_port=port) == Exit.USAGE


def test_a_folder_that_cannot_be_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file stands where it should be."""
    (tmp_path / "file").write_text("")
    assert up(state=tmp_path / "file") == Exit.USAGE
    assert str(tmp_path / "file") in capsys.readouterr().err
