"""Tests OPA as a child process, and the error when it does not start."""

from pathlib import Path

import pytest

from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.errors import CliError
from tests.opa_fixture import OPA, needs_opa


async def test_a_path_that_is_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    """What the system says of it names no path."""
    opa = OpaProcess(Path("opa"), tmp_path, tmp_path / ("x" * 100), log=tmp_path / "log")
    with pytest.raises(CliError, match="is too long for a socket"):
        await opa.start()


@needs_opa
async def test_one_that_does_not_start_leaves_its_log(tmp_path: Path) -> None:
    """Rego that it cannot compile, say."""
    assert OPA is not None
    (tmp_path / "broken.rego").write_text("package x\nnot Rego")
    opa = OpaProcess(OPA, tmp_path, tmp_path / "opa.sock", log=tmp_path / "log")
    with pytest.raises(CliError, match="opa ended before it was ready") as refused:
        await opa.start()
    assert refused.value.lines == (f"Its log: {tmp_path / 'log'}",)
    assert "broken.rego" in (tmp_path / "log").read_text()
    assert opa.process is not None and opa.process.returncode == 1
