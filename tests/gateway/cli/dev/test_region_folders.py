"""Tests that the regions of a stack keep their files away from the stack's secrets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.dev import up as up_command
from gateway.cli.dev.holders import holders_of_folder
from gateway.cli.dev.region_folders import remove_regions, set_regions_apart
from gateway.cli.dev.stack import Stack
from gateway.cli.errors import CliError, Exit
from tests.gateway.cli.dev.idle_process import idle_process

SECRETS = ("certificates/gateway.key", "certificates/ca.key", "pki/ca.key", "development/key.pem")
POINTERS = ("context.json", "gateway.toml", "gateway.db")
"""The names of files that say where the secrets are, or are as good as secrets."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere" / "waypost"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / ".waypost"
    for name in (*SECRETS, *POINTERS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("secret")
    return folder


def seen_from(folder: Path) -> Iterator[Path]:
    """Yields the paths of a stack's secret files, as seen from `folder` and each folder above it."""
    for above in (folder, *folder.parents):
        yield from (above / name for name in (*SECRETS, *POINTERS))


def test_no_constant_path_leads_from_a_task_to_the_keys_of_its_stack(state: Path) -> None:
    """With the gateway's key a task could command all regions, with the issuer's it could be any operator."""
    set_regions_apart(state)
    stack = Stack(state, ("beijing",))
    words = stack.region_command("beijing", 0)
    task = Path(words[words.index("--state") + 1]) / "workspaces" / "run-1" / "0"
    task.mkdir(parents=True)

    assert [path for path in seen_from(task.resolve()) if path.exists()] == []
    assert [word for word in words if str(state) in word] == []


def test_the_folder_is_kept_and_its_owners_alone(state: Path, elsewhere: Path) -> None:
    """The next stack there finds the journals again."""
    before = os.umask(0)
    try:
        set_regions_apart(state)
    finally:
        os.umask(before)
    (state / "regions" / "journal").write_text("kept")
    set_regions_apart(state)

    (folder,) = elsewhere.iterdir()
    assert (folder / "journal").read_text() == "kept"
    assert [path.stat().st_mode & 0o077 for path in (folder, elsewhere)] == [0, 0]


def test_the_folder_of_one_stack_says_nothing_of_anothers(tmp_path: Path, elsewhere: Path) -> None:
    """Its name is drawn at random, in a folder that others may not list."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        set_regions_apart(tmp_path / name)
    names = {folder.name for folder in elsewhere.iterdir()}
    assert len(names) == 2
    assert all(len(name) >= len("regions-") + 32 for name in names)


def test_the_folder_of_an_older_stack_is_moved(state: Path) -> None:
    (state / "regions").mkdir()
    (state / "regions" / "journal").write_text("kept")
    set_regions_apart(state)

    assert (state / "regions").is_symlink()
    assert (state / "regions" / "journal").read_text() == "kept"


def test_a_fresh_stack_leaves_nothing_of_the_old_regions(
    state: Path, elsewhere: Path, tmp_path: Path
) -> None:
    """But a folder that somebody else has put there is not ours to remove."""
    set_regions_apart(state)
    remove_regions(state)
    assert [list(elsewhere.iterdir()), (state / "regions").is_symlink()] == [[], False]

    other = tmp_path / "other"
    other.mkdir()
    (state / "regions").symlink_to(other)
    remove_regions(state)
    assert [other.exists(), (state / "regions").is_symlink()] == [True, False]


def test_up_sets_its_regions_apart(state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoStack:
        def __init__(self, *_: object, **__: object) -> None:
            raise CliError("nothing is started here", code=Exit.FAILED)

    monkeypatch.setattr(up_command, "Stack", NoStack)
    assert up_command.up(state=state, port=0, metrics_port=0) == Exit.FAILED
    assert (state / "regions").resolve().parent == elsewhere


@pytest.mark.integration
def test_a_region_of_a_killed_stack_is_found(state: Path) -> None:
    """Its command line does not name the stack's folder."""
    set_regions_apart(state)
    with idle_process("gateway", "--state", str((state / "regions" / "beijing").resolve())) as left:
        assert [holder.pid for holder in holders_of_folder(state)] == [left.pid]
