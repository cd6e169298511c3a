"""Tests the removal of tasks' folders of any depth, size and permission."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters.embedded.storage import removal
from clusters.embedded.storage.removal import make_folder, move_aside, remove_tree


def nest(folder: Path, depth: int) -> None:
    """Creates `depth` nested folders, each with a file; the path is longer than the kernel permits."""
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT, dir_fd=descriptor))
        os.mkdir("d" * 50, dir_fd=descriptor)
        inner = os.open("d" * 50, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def never() -> bool:
    return False


@pytest.fixture
def trash(tmp_path: Path) -> Iterator[Path]:
    """Yields a folder that is removed by rm after the test: pytest, which recurses, could not."""
    yield tmp_path / "trash"
    subprocess.run(["rm", "-rf", tmp_path / "trash"], check=True)


def test_folders_of_any_depth_are_removed(trash: Path) -> None:
    """A recursive removal ends at a thousand."""
    nest(trash / "a", 1_500)

    assert remove_tree(trash, never) == []
    assert not trash.exists()


def test_everything_that_may_lie_there_is_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    """Tasks make what they like."""
    trash, kept = tmp_path / "trash", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    inner = trash / "closed" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    (inner / "link").symlink_to(kept)
    (trash / "link").symlink_to(kept)
    os.mkfifo(trash / "pipe")
    inner.chmod(0)
    (trash / "closed").chmod(0o555)

    assert remove_tree(trash, never) == []
    assert not trash.exists()
    assert (kept / "file").exists()


def test_what_cannot_be_removed_is_reported_and_the_rest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file of another user must not keep everything else on the disk."""
    trash = tmp_path / "trash"
    for name in ("a", "b", "c"):
        (trash / name / "inner").mkdir(parents=True)
        (trash / name / "inner" / name).touch()
    unlink = os.unlink

    def refuse_b(name: str, **more: Any) -> None:
        if name == "b" and not Path(f"/proc/self/fd/{more['dir_fd']}/{name}").is_dir():
            raise PermissionError(1, "Operation not permitted", name)
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", refuse_b)
    (error,) = remove_tree(trash, never)

    assert error.filename == "b"
    assert [path.name for path in trash.rglob("*") if path.is_file()] == ["b"]


def test_one_file_that_cannot_be_removed_keeps_none_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them comes first."""
    inner = tmp_path / "trash" / "inner"
    inner.mkdir(parents=True)
    for number in range(9):
        (inner / str(number)).touch()
    unlink = os.unlink

    def refuse_fives(name: str, **more: Any) -> None:
        if name == "5":
            raise PermissionError(1, "Operation not permitted", name)
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", refuse_fives)
    (error,) = remove_tree(tmp_path / "trash", never)

    assert error.filename == "5"
    assert [path.name for path in inner.iterdir()] == ["5"]


def test_a_removal_can_be_stopped(tmp_path: Path) -> None:
    """A cluster that stops does not wait for a million files: the next one goes on."""
    for number in range(50):
        (tmp_path / "trash" / str(number)).mkdir(parents=True)
    answers = iter([False] * 10)

    assert remove_tree(tmp_path / "trash", lambda: next(answers, True)) == []
    assert 0 < len(list((tmp_path / "trash").iterdir())) < 50


@pytest.mark.parametrize("there", ["file", "link", "nothing"])
def test_a_trash_folder_is_made_whatever_a_task_has_put_there(tmp_path: Path, there: str) -> None:
    """A file in its place would end all removals for good."""
    trash = tmp_path / "trash"
    if there == "file":
        trash.touch()
    elif there == "link":
        trash.symlink_to(tmp_path / "gone")
    make_folder(trash)
    (tmp_path / "a").mkdir()
    move_aside(tmp_path / "a", trash)

    assert trash.is_dir()
    assert not trash.is_symlink()
    assert not (tmp_path / "a").exists()
    assert len(list(trash.iterdir())) == 1


def test_a_disk_without_room_for_a_folder_still_loses_what_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the folder that is to go becomes the trash itself."""

    def no_room(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    monkeypatch.setattr(removal, "make_folder", no_room)
    move_aside(tmp_path / "a", tmp_path / "trash")

    assert remove_tree(tmp_path / "trash", never) == []
    assert list(tmp_path.iterdir()) == []
