"""What every kind of storage does with artifacts: `ArtifactStorageConformance`, inherited with a world.

Files are moved by the processes that a cluster starts for them.
"""

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from clusters.embedded.artifacts.messages import Credentials, Transfer, TransferFailed, TransferReply
from clusters.embedded.artifacts.settings import StorageSettings
from clusters.embedded.artifacts.transfers import Transfers


class StorageWorld(ABC):
    """A storage under test, and another way to it than the one under test."""

    settings: StorageSettings
    credentials: Credentials | None = None
    large: int = 512 << 20
    """So many bytes are under way long enough to be interrupted."""

    @abstractmethod
    def put(self, path: str, content: bytes) -> None: ...

    @abstractmethod
    def get(self, path: str) -> bytes | None:
        """Returns what is at `path`; None if there is nothing."""

    @abstractmethod
    def unfinished(self) -> list[str]:
        """Returns what of artifacts is in the storage under no final name."""

    @abstractmethod
    def take_away(self) -> None:
        """Makes the storage unreachable."""


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def become(condition: Callable[[], Any]) -> None:
    """Waits until a condition holds; the time-out of the test bounds it."""
    while not await asyncio.to_thread(condition):  # a fact of other processes
        await asyncio.sleep(0.01)


class ArtifactStorageConformance:
    """The facts; a subclass has the fixture `world`."""

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Path:
        folder = tmp_path / "workspace"
        folder.mkdir()
        return folder

    @pytest.fixture
    async def transfers(self) -> Transfers:
        return Transfers(places=4, seconds=60)

    @pytest.fixture
    def order(self, world: StorageWorld, workspace: Path) -> Transfer:
        return Transfer(
            direction="fetch",
            storage=world.settings,
            credentials=world.credentials,
            path="daily/orders.csv",
            workspace=str(workspace),
            file="in/orders.csv",
            sha256=None,
            maximum_bytes=1 << 30,
        )

    async def test_a_file_is_fetched_with_its_checksum(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        content = os.urandom(3_000_000)
        world.put(order.path, content)
        digest = hashlib.sha256(content).hexdigest()

        reply = await transfers.move(structs.replace(order, sha256=digest), key="demo")

        assert reply == TransferReply(sha256=digest, bytes=len(content))
        assert (workspace / order.file).read_bytes() == content
        assert [path.name for path in (workspace / "in").iterdir()] == ["orders.csv"]

    async def test_an_empty_file_is_a_file(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        world.put(order.path, b"")
        assert (await transfers.move(order, key="demo")).bytes == 0
        stored = structs.replace(order, direction="store", path="copy")
        await transfers.move(stored, key="demo")
        assert world.get("copy") == b""

    async def test_what_is_fetched_replaces_what_was_there(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        """A second try finds the file of the first, or a link that a task has put in its place."""
        world.put(order.path, b"new")
        (workspace / "in").mkdir()
        (workspace / "elsewhere").write_text("kept")
        (workspace / order.file).symlink_to(workspace / "elsewhere")

        await transfers.move(order, key="demo")

        assert (workspace / order.file).read_bytes() == b"new"
        assert (workspace / "elsewhere").read_text() == "kept"

    @pytest.mark.parametrize("size", [5, 40 << 20])
    async def test_a_file_is_stored_over_what_was_there(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers, size: int
    ) -> None:
        content = os.urandom(size)
        (workspace / "out.csv").write_bytes(content)
        order = structs.replace(order, direction="store", file="out.csv")
        world.put(order.path, b"from a try before")

        for _ in range(2):
            reply = await transfers.move(order, key="demo")

        assert reply == TransferReply(sha256=hashlib.sha256(content).hexdigest(), bytes=size)
        assert world.get(order.path) == content
        assert world.unfinished() == []

    async def test_names_may_have_all_characters(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        path = "день 1/a+b&c=%20?#é.csv"
        (workspace / path).parent.mkdir()
        (workspace / path).write_bytes(b"x")
        await transfers.move(structs.replace(order, direction="store", path=path, file=path), key="demo")
        await transfers.move(structs.replace(order, path=path), key="demo")
        assert (workspace / order.file).read_bytes() == b"x"

    async def fails(self, transfers: Transfers, order: Transfer) -> TransferFailed:
        with pytest.raises(TransferFailed) as failed:
            await transfers.move(order, key="demo")
        return failed.value

    async def test_what_is_missing_fails_the_try(
        self, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        """It may come, so a retry looks again; it would be missing in another region, too."""
        failed = await self.fails(transfers, order)
        assert (failed.lost, failed.final) == (False, False)
        failed = await self.fails(transfers, structs.replace(order, direction="store", file="nothing"))
        assert str(failed) == "nothing in the workspace: No such file or directory"
        assert not failed.lost
        assert files_in(workspace) == []

    async def test_another_checksum_fails_the_try_and_leaves_nothing(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        world.put(order.path, b"changed")
        failed = await self.fails(transfers, structs.replace(order, sha256="0" * 64))
        assert str(failed).endswith("not " + "0" * 64)
        assert not failed.lost
        assert files_in(workspace) == []

    async def test_what_is_too_large_fails_for_good(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        world.put(order.path, b"x" * ((1 << 20) + 1))
        order = structs.replace(order, maximum_bytes=1 << 20)
        failed = await self.fails(transfers, order)
        assert (str(failed), failed.final) == ("it has more than 1 MiB", True)

        (workspace / "out").write_bytes(b"x" * ((1 << 20) + 1))
        failed = await self.fails(transfers, structs.replace(order, direction="store", path="o", file="out"))
        assert (str(failed), failed.final) == ("it has more than 1 MiB", True)
        assert world.get("o") is None
        assert world.unfinished() == []

    @pytest.mark.parametrize("what", ["link", "link to a folder", "pipe", "folder", "device"])
    async def test_only_a_regular_file_of_the_workspace_is_stored(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers, what: str
    ) -> None:
        """The task has made it: a link would store a file that only the cluster may read."""
        file, path = "out", workspace / "out"
        match what:
            case "link":
                path.symlink_to("/etc/passwd")
            case "link to a folder":
                path.symlink_to("/etc")
                file = "out/passwd"
            case "pipe":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case _:
                with contextlib.suppress(PermissionError):
                    os.mknod(path, 0o20600, os.makedev(1, 5))
        failed = await self.fails(transfers, structs.replace(order, direction="store", file=file))
        assert not failed.lost
        assert world.get(order.path) is None

    async def test_an_unreachable_storage_loses_the_try(
        self, world: StorageWorld, workspace: Path, order: Transfer, transfers: Transfers
    ) -> None:
        """It is no fault of the task, and another region may reach it."""
        (workspace / "out").write_bytes(b"x")
        world.take_away()
        assert (await self.fails(transfers, order)).lost
        assert (await self.fails(transfers, structs.replace(order, direction="store", file="out"))).lost

    @pytest.fixture
    def storing(self, world: StorageWorld, workspace: Path, order: Transfer) -> Transfer:
        with (workspace / "large").open("wb") as file:
            file.truncate(world.large)
        return structs.replace(order, direction="store", file="large")

    async def test_a_cancelled_transfer_leaves_nothing(
        self, world: StorageWorld, storing: Transfer, transfers: Transfers
    ) -> None:
        moving = asyncio.create_task(transfers.move(storing, key="demo"))
        await become(world.unfinished)
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving

        assert world.get(storing.path) is None
        assert world.unfinished() == []

    async def test_a_transfer_is_bounded_in_time(self, world: StorageWorld, storing: Transfer) -> None:
        moving = asyncio.create_task(Transfers(places=1, seconds=0.3).move(storing, key="demo"))
        with pytest.raises(TransferFailed, match=r"it took more than 0\.3 s") as failed:
            await moving
        assert failed.value.lost
        assert world.get(storing.path) is None
        assert world.unfinished() == []

    async def test_a_cluster_that_is_killed_leaves_nothing(
        self, world: StorageWorld, storing: Transfer, transfers: Transfers
    ) -> None:
        """Its transfers see that it is gone, and take back what they have begun."""
        cluster = await killable(storing)
        await become(world.unfinished)
        cluster.kill()
        assert await cluster.wait() == -signal.SIGKILL

        await become(lambda: not world.unfinished())
        assert world.get(storing.path) is None
        # The next one stores it as if nothing had been.
        again = structs.replace(storing, file="again")
        write(Path(again.workspace, "again"), b"at last")
        await transfers.move(again, key="demo")
        assert world.get(storing.path) == b"at last"


PROGRAM = """
import asyncio, sys, msgspec
from clusters.embedded.artifacts.messages import Transfer
from clusters.embedded.artifacts.transfers import Transfers
order = msgspec.json.decode(sys.stdin.read(), type=Transfer)
asyncio.run(Transfers(places=1, seconds=60).move(order, key="demo"))
"""


async def killable(order: Transfer) -> Process:
    """Starts a process that moves an artifact as a cluster does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order))
    process.stdin.close()
    return process
