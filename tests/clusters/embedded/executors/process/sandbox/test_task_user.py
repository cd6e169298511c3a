"""Tests which user tasks of root's cluster run as, and what becomes that user's."""

import os
from pathlib import Path
from typing import Any

import pytest

from clusters.embedded.executors.process.sandbox.task_user import give_to, user_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
USER = user_of("tenant")


def owner(path: Path) -> int:
    return path.lstat().st_uid


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace as an earlier cluster has left it, whose tasks were root."""
    folder = tmp_path / "workspace"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    (folder / "link").symlink_to(tmp_path)
    (tmp_path / "input").touch()
    return folder


def test_what_is_in_its_folders_becomes_the_users_but_not_what_links_lead_to(workspace: Path) -> None:
    give_to(USER, [workspace], workspace.parent / "input")

    given = [workspace, workspace / "deep", workspace / "deep" / "file", workspace / "link"]
    assert {owner(path) for path in (*given, workspace.parent / "input")} == {USER}
    assert owner(workspace.parent) == 0


def test_a_link_in_the_place_of_a_folder_gives_nothing_away(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another task of the shard runs meanwhile, and would get any file of root's."""
    outside = workspace.parent / "outside"
    outside.mkdir()
    (outside / "file").touch()
    chown = os.chown

    def chown_late(path: Any, *ids: int, **how: Any) -> None:
        if os.path.basename(path) == "file" and not (workspace / "aside").exists():
            (workspace / "deep").rename(workspace / "aside")
            (workspace / "deep").symlink_to(outside)
        chown(path, *ids, **how)

    monkeypatch.setattr(os, "chown", chown_late)
    give_to(USER, [workspace], workspace.parent / "input")

    assert owner(outside / "file") == 0
    assert owner(workspace / "aside" / "file") == USER
