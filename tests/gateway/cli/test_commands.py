"""Tests all commands together: help, exit codes, and a start that imports little."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.__main__ import app
from gateway.identity.development_issuer import development_issuer

LOADED = "import json, sys; import gateway.__main__; print(json.dumps(sorted(sys.modules)))"
ANSWERS = {"--help", "-h", "--version"}


def commands(of: Any = app, *before: str) -> list[tuple[str, ...]]:
    found = []
    for name in of:
        if name not in ANSWERS:
            inner = commands(of[name], *before, name)
            found += inner or [(*before, name)]
    return found


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        app([*arguments])
    return int(end.value.code or 0)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_and_option_is_explained(words: tuple[str, ...]) -> None:
    """A name alone does not tell what it is good for."""
    command = app
    for word in words:
        command = command[word]
        assert command.help
    assert [
        argument.name for argument in command.assemble_argument_collection() if not argument.parameter.help
    ] == []


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    """A report of a fault needs it."""
    app(["--version"], result_action="return_value")
    assert capsys.readouterr().out.strip() == version("waypost")


def test_the_help_ends_with_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A script writer looks there first."""
    app(["--help"], result_action="return_value")
    assert "Exit codes: 0 done" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--cpu", "-1"),
        ("up", "--cpu", "nan"),
        ("up", "--port", "65536"),
        ("token", "mint", "--dev", "--lifetime-seconds", "-1"),
        ("token", "mint", "--dev", "--lifetime-seconds", "86401"),
        ("token", "mint", "--dev", "--tenant", "a b"),
        ("runs", "--nope"),
        ("convert", "x.json", "-o", "table"),
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_are_refused(words: tuple[str, ...]) -> None:
    """With the code of all usage errors."""
    assert ended(*words) == 2


@pytest.mark.integration
def test_the_start_loads_little() -> None:
    """`waypost --help` is there at once: what a command needs is loaded with the command."""
    out = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, check=True).stdout
    assert (
        set(json.loads(out))
        & {"httpx", "rich.table", "msgspec", "yaml", "cryptography", "starlette", "jwt", "importlib.metadata"}
        == set()
    )


def test_a_development_token_can_do_what_the_command_line_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or `waypost drain` would work without a token and not with one."""
    development_issuer(tmp_path)
    assert ended("token", "mint", "--dev", "--folder", str(tmp_path)) == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert set(claims["scope"].split()) == {
        "workflows:submit",
        "workflows:read",
        "workflows:cancel",
        "regions:read",
        "regions:operate",
        "routing:operate",
        "audit:read",
        "retention:operate",
        "exceptions:ask",
        "exceptions:approve",
        "workflows:release",
        "policy:read",
        "policy:operate",
    }


def test_certificates_are_made_or_kept_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second region comes later; and a folder without fault is said to be."""
    folder = str(tmp_path / "pki")
    assert ended("pki", "init", folder, "beijing") == 0
    assert capsys.readouterr().out == f"{folder}: made root, gateway, beijing\n"
    assert ended("pki", "init", folder, "beijing", "shanghai") == 0
    assert capsys.readouterr().out == f"{folder}: made shanghai\n{folder}: kept root, gateway, beijing\n"
    assert ended("pki", "verify", folder) == 0
    assert capsys.readouterr().out == f"ok: {folder}\n"
    assert ended("pki", "init", str(tmp_path / "other"), "a b") == 2
    assert not (tmp_path / "other").exists()


def test_the_api_gets_a_certificate_for_its_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a gateway without another authority; it is renewed by its name later."""
    folder = str(tmp_path / "pki")
    assert ended("pki", "init", folder, "--api", "localhost", "--api", "127.0.0.1") == 0
    assert capsys.readouterr().out == f"{folder}: made root, gateway, api\n"
    assert ended("pki", "renew", folder, "api") == 0
    assert ended("pki", "init", folder, "--api", "not a host") == 2
    assert "neither a DNS name nor an IP address" in capsys.readouterr().err


def test_a_root_is_exchanged_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step says what is to be done before the next; one out of order is refused."""
    folder = str(tmp_path / "pki")
    assert ended("pki", "init", folder, "beijing") == 0
    assert ended("pki", "rotate-root", folder) == 0
    assert f"next: waypost pki rotate-root {folder} --step trust" in capsys.readouterr().out
    assert ended("pki", "rotate-root", folder, "--step", "issue") == 2
    assert "the next step for" in capsys.readouterr().err
    for step, said in (
        ("trust", "Now bring ca.pem to the gateway and to all clusters"),
        ("issue", "The new root issued gateway, clusters/beijing."),
        ("retire", "ca.pem has the new root alone"),
    ):
        assert ended("pki", "rotate-root", folder, "--step", step) == 0
        assert said in capsys.readouterr().out
        assert ended("pki", "verify", folder) == 0
    assert ended("pki", "rotate-root", str(tmp_path / "none")) == 2


def test_certificates_are_renewed_by_name_or_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "pki")
    assert ended("pki", "init", folder, "beijing") == 0
    before = (tmp_path / "pki/gateway.pem").read_bytes()
    assert ended("pki", "renew", folder, "clusters/beijing") == 0
    assert (tmp_path / "pki/gateway.pem").read_bytes() == before
    assert ended("pki", "renew", folder) == 0
    assert (tmp_path / "pki/gateway.pem").read_bytes() != before
    capsys.readouterr()
    assert ended("pki", "renew", folder, "beijing") == 2
    assert "these are gateway, api and clusters/REGION" in capsys.readouterr().err


def test_the_folder_of_the_stack_leads_to_its_issuer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--folder .waypost` is what people try first; and a folder without a key is told which one has it."""
    development_issuer(tmp_path / "development")
    assert ended("token", "mint", "--dev", "--folder", str(tmp_path)) == 0
    assert capsys.readouterr().out.count(".") == 2
    assert ended("token", "mint", "--dev", "--folder", str(tmp_path / "nothing")) == 2
    assert ".waypost/development" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "suggested"),
    [
        (("get",), "runs"),
        (("get", "runs"), "describe"),
        (("ls",), "runs"),
        (("delete", "x"), "cancel"),
        (("create", "-f", "x.yaml"), "submit"),
        (("nodes",), "regions"),
        (("resubmit", "x"), "retry"),
        (("describ", "x"), "describe"),
        (("token", "mnt"), "mint"),
        (("submit", "--watc"), "--watch"),
        (("submit", "--watc", "x.yaml"), "--watch"),
        (("submit", "x.yaml", "--parm", "a=b"), "--param"),
        (("runs", "--phse", "Running"), "--phase"),
        (("logs", "x", "--folow"), "--follow"),
    ],
    ids=str,
)
def test_what_was_meant_is_suggested(
    words: tuple[str, ...], suggested: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also to those who come from kubectl or argo; and never anything that does harm."""
    assert ended(*words) == 2
    message = " ".join(capsys.readouterr().err.split())
    asked = message.partition("Did you mean ")[2].partition("?")[0]
    assert suggested in asked.replace('"', "").replace(",", "").split()
    assert "forget" not in asked


def test_a_file_is_named_as_kubectl_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    """With or without -f; and one that is too many is named."""
    for words in (
        ("submit", "-f", "absent.yaml"),
        ("submit", "absent.yaml"),
        ("submit", "-wf", "absent.yaml"),
    ):
        assert ended(*words) == 2
        assert "cannot read absent.yaml" in capsys.readouterr().err
    assert ended("submit", "absent.yaml", "second.yaml") == 2
    assert "there is no place for second.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("policy build policies -f p.tar.gz", "error: --sequence is missing\n"),
        ("policy build", "error: DIRECTORY is missing\n"),
        ("policy build policies -f p.tar.gz --sequence", "--sequence requires an argument"),
    ],
)
def test_what_is_missing_is_named(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that was forgotten is not one without its value."""
    assert ended(*words.split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.integration
@pytest.mark.parametrize("argument", ["-", "absent.yaml"])
def test_a_lone_dash_is_standard_input(argument: str) -> None:
    """Though a word that begins with a dash is an option."""
    waypost = [sys.executable, "-m", "gateway", "submit", argument, "--url", "http://127.0.0.1:9"]
    ran = subprocess.run(waypost, input=b"{}", capture_output=True, check=False)
    assert ran.returncode == (5 if argument == "-" else 2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script is made from the commands, so that it is never behind them."""
    assert ended("completion", shell) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("describe", "uncordon", "mint", "dry-run"))
