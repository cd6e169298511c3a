"""Tests folders as storages of artifacts, by what all storages do and by what a folder may hold."""

import os
from pathlib import Path

import pytest
from msgspec import structs

from clusters.embedded.artifacts.messages import Transfer
from clusters.embedded.artifacts.settings import StorageSettings
from clusters.embedded.artifacts.transfers import Transfers
from tests.conformance.artifact_storage import ArtifactStorageConformance, StorageWorld

pytestmark = pytest.mark.integration


class FolderWorld(StorageWorld):
    """A folder as a storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = StorageSettings(folder=str(folder), write=True)

    def put(self, path: str, content: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(content)

    def get(self, path: str) -> bytes | None:
        return (self.folder / path).read_bytes() if (self.folder / path).exists() else None

    def unfinished(self) -> list[str]:
        return [path.name for path in self.folder.rglob(".waypost-*")]

    def take_away(self) -> None:
        self.folder.rename(self.folder.with_name("unmounted"))


class TestFolderStorage(ArtifactStorageConformance):
    @pytest.fixture
    def world(self, tmp_path: Path) -> FolderWorld:
        folder = tmp_path / "storage"
        folder.mkdir()
        return FolderWorld(folder)

    @pytest.mark.parametrize("what", ["link", "link to a folder", "pipe", "folder"])
    async def test_nothing_but_regular_files_of_the_folder_is_fetched(
        self, world: FolderWorld, order: Transfer, transfers: Transfers, what: str
    ) -> None:
        """Who may write to the folder must not make the cluster read what only the cluster may."""
        path = world.folder / "a"
        match what:
            case "link":
                path.symlink_to("/etc/passwd")
            case "link to a folder":
                path.symlink_to("/etc")
            case "pipe":
                os.mkfifo(path)
            case _:
                path.mkdir()
        order = structs.replace(order, path="a/passwd" if what == "link to a folder" else "a")
        assert not (await self.fails(transfers, order)).lost

    async def test_a_target_is_not_stored_through_a_link(
        self, world: FolderWorld, workspace: Path, order: Transfer, transfers: Transfers, tmp_path: Path
    ) -> None:
        (tmp_path / "outside").mkdir()
        (world.folder / "daily").symlink_to(tmp_path / "outside")
        (workspace / "out").write_bytes(b"x")
        order = structs.replace(order, direction="store", file="out")
        assert not (await self.fails(transfers, order)).lost
        assert list((tmp_path / "outside").iterdir()) == []

    @pytest.mark.parametrize("field", ["path", "file"])
    async def test_no_path_leads_out(self, order: Transfer, transfers: Transfers, field: str) -> None:
        """The cluster refuses it before; the process that moves files does so, too."""
        failed = await self.fails(transfers, structs.replace(order, **{field: "../a"}))
        assert failed.final
