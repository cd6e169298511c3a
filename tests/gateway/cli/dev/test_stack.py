"""Tests what the stack of `waypost up` does when it cannot start."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from clusters.embedded.queueing.policies import QueuePolicy
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError
from gateway.settings_loading import load_settings
from waypost import tls
from waypost.pki import authority


class Halting(Stack):
    """A stack whose region `a` does not start and whose region `b` starts a little later."""

    started: tuple[str, ...] = ()

    async def start_region(self, region: str, *, port: int = 0) -> None:
        if region == "a":
            raise CliError("a did not start")
        for _ in range(10):
            await asyncio.sleep(0)
        self.started += (region,)


async def test_a_region_that_does_not_start_leaves_no_other_behind(tmp_path: Path) -> None:
    """One that starts after everything was stopped would run for ever."""
    stack = Halting(tmp_path, ("a", "b"))
    with pytest.raises(CliError, match="a did not start"):
        await stack.__aenter__()
    assert stack.started == ("b",)


async def test_the_root_signs_once_and_leaves_no_key(tmp_path: Path) -> None:
    """Nobody can issue a certificate that the stack accepts. What an earlier one has left is replaced."""
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "ca.pem").write_text("none")
    for _ in range(2):
        with pytest.raises(CliError, match="a did not start"):
            await Halting(tmp_path, ("a", "b")).__aenter__()
        keys = [path.name for path in files_in(tmp_path) if path.suffix == ".key"]
        assert keys == ["gateway.key", "a.key", "b.key"]
        assert tls.client_context(tls.gateway_credentials(certificates)) is not None


async def test_all_files_are_their_owners_alone_and_regions_get_their_own_pairs(tmp_path: Path) -> None:
    """Tasks run as the regions' user: the keys of root and gateway lie where no region is told of."""
    stack = Halting(tmp_path / "state", ("a", "b"))
    before = os.umask(0)
    try:
        with pytest.raises(CliError, match="a did not start"):
            await stack.__aenter__()
    finally:
        os.umask(before)

    assert [path for path in files_in(tmp_path / "state") if path.stat().st_mode & 0o077] == []
    words = stack.region_command("a", 0)
    certificates = Path(words[words.index("--pki") + 1])
    given = [str(path.relative_to(certificates)) for path in files_in(certificates)]
    assert given == ["ca.pem", "clusters", "clusters/a.key", "clusters/a.pem"]
    assert tls.server_context(tls.cluster_credentials(certificates, "a")) is not None
    assert authority.verify(certificates) == authority.verify(tmp_path / "state" / "certificates") == []


async def test_a_region_starts_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tasks can read where it was started: not where `waypost up` was, which may hold the keys."""
    folders: list[Path] = []

    async def refuse(*_: object, cwd: Path, **__: object) -> None:
        folders.append(cwd)
        raise CliError("nothing is started here")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    stack = Stack(tmp_path, ("a",))
    (tmp_path / "logs").mkdir()
    with pytest.raises(CliError, match="nothing is started here"):
        await stack.start_region("a")
    words = stack.region_command("a", 0)
    assert folders == [Path(words[words.index("--state") + 1])]


class Recording(Stack):
    """A stack whose gateway is not started, but has got ports."""

    async def _start(self, name: str, arguments: Sequence[str]) -> None:
        self.ready[name] = {"port": 71, "metrics_port": 72}


async def test_the_settings_are_enough_to_start_the_gateway_again(tmp_path: Path) -> None:
    """By hand, with `--config` alone: it takes the same tokens, on the ports that callers and OPA know."""
    stack = Recording(tmp_path, ())
    await stack.start_gateway()
    settings = load_settings(stack.configuration, {})
    assert (settings.listen.port, settings.metrics.port) == (71, 72)
    assert settings.development == str(tmp_path / "development")


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_storages_reach_every_cluster_and_a_relative_folder_is_one_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"demo": {"folder": "storage", "write": "true"}, "s3": {"endpoint": "https://s3.test"}}
    words = Stack(tmp_path, ["a"], storages=given).region_command("a", 0)
    assert [word for word in words if word.startswith("--storage.")] == [
        f"--storage.demo.folder={tmp_path}/storage",
        "--storage.demo.write=true",
        "--storage.s3.endpoint=https://s3.test",
    ]


def test_settings_of_executors_reach_every_cluster_before_the_stacks_own(tmp_path: Path) -> None:
    """So that `http` and `python` tasks can be tried, and a sandbox be widened."""
    given = {"http": {"egress": '["a.test"]'}, "process": {"own_user": "true"}}
    words = Stack(tmp_path, ["a"], executors=given).region_command("a", 0)
    assert '--executor.http.egress=["a.test"]' in words
    assert [word for word in words if word.startswith("--executor.process.own_user")] == [
        "--executor.process.own_user=true"
    ]


def test_every_region_of_a_stack_has_the_policy_that_was_chosen(tmp_path: Path) -> None:
    """So that what is said of a policy can be tried where one develops."""
    words = Stack(tmp_path, ["a"], queue_policy=QueuePolicy.EDF).region_command("a", 0)
    assert words[words.index("--queue-policy") + 1] == "edf"
    words = Stack(tmp_path, ["a"]).region_command("a", 0)
    assert "--queue-policy" not in words  # regions of an earlier version do not know it
