"""The OPA of a stack: which rules it gets, and what is said where it does not start."""

from pathlib import Path

import pytest

from gateway.cli.dev.opa_process import RULES, OpaProcess, opa_of_stack
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.policy.bundle import SHIPPED_POLICIES
from gateway.policy.opa.bundle_archive import unpack
from tests.opa_fixture import OPA, needs_opa

DATA = (SHIPPED_POLICIES / "data.json").read_text() + "\n"
RULE = "package waypost.submission\nimport rego.v1\ndecision := false\n"


def own_rules(folder: Path) -> dict[str, str]:
    """Settings that name rules and data of one's own."""
    folder.mkdir()
    (folder / "own.rego").write_text(RULE)
    (folder / "own.json").write_text(DATA)
    return dict(zip(RULES, (str(folder), str(folder / "own.json")), strict=True))


def test_it_gets_the_rules_that_the_gateways_settings_name(tmp_path: Path) -> None:
    """Another engine must not mean other rules."""
    opa_of_stack(Path("opa"), tmp_path, own_rules(tmp_path / "rules"))
    files = unpack((tmp_path / "opa" / "bundle.tar.gz").read_bytes())
    assert (files["own.rego"].decode(), files["data.json"].decode()) == (RULE, DATA)
    assert (tmp_path / "opa" / "bundle.tar.gz").stat().st_mode & 0o077 == 0


def test_the_gateway_of_such_a_stack_is_not_given_them(tmp_path: Path) -> None:
    """It would refuse to start with rules that it does not evaluate."""
    stack = Stack(tmp_path, (), settings={**own_rules(tmp_path / "rules"), "WAYPOST_OTHER": "1"})
    assert RULES[0] in stack._environment("gateway")
    stack.opa = OpaProcess(Path("opa"), tmp_path, tmp_path / "opa.sock", log=tmp_path / "log")
    assert stack._environment("gateway").keys() & {*RULES, "WAYPOST_OTHER"} == {"WAYPOST_OTHER"}


def test_rules_that_are_no_bundle_are_named(tmp_path: Path) -> None:
    """As `waypost policy check` names them."""
    with pytest.raises(CliError, match="the rules are no bundle") as refused:
        opa_of_stack(Path("opa"), tmp_path, {RULES[0]: str(tmp_path)})
    assert "there are no rules here" in refused.value.lines[0]


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


@pytest.mark.parametrize(("metrics_port", "logs"), [(9090, True), (0, False)])
def test_it_logs_its_decisions_to_the_gateway_whose_port_is_known(
    tmp_path: Path, metrics_port: int, *, logs: bool
) -> None:
    """OPA starts first; a port that is chosen later cannot be named to it."""
    opa = opa_of_stack(Path("opa"), tmp_path, {}, metrics_port=metrics_port)

    assert ("services.waypost.url=http://127.0.0.1:9090" in opa.command()) is logs
    assert ("decision_logs.service=waypost" in opa.command()) is logs
