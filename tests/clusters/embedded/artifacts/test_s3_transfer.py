"""Tests buckets as storages of artifacts, on a real S3 server: `make s3` builds it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from clusters.embedded.artifacts.messages import Transfer, TransferFailed
from clusters.embedded.artifacts.transfers import Transfers
from tests.clusters.embedded.artifacts.s3_server import KEYS, S3Server, find_server, s3_server
from tests.conformance.artifact_storage import ArtifactStorageConformance, become, files_in
from waypost.pki.authority import create_root

PROGRAM = find_server()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAM is None, reason="needs an S3 server: `make s3` builds one"),
]


class TestBucketStorage(ArtifactStorageConformance):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[S3Server]:
        assert PROGRAM is not None
        with s3_server(PROGRAM, tmp_path / "s3") as server:
            yield server

    async def test_a_server_that_dies_during_an_upload_loses_the_try(
        self, world: S3Server, storing: Transfer, transfers: Transfers
    ) -> None:
        """The next one stores it, once the server is back: nothing is there under its name before."""
        moving = asyncio.create_task(transfers.move(storing, key="demo"))
        await become(world.unfinished)
        world.stop()
        with pytest.raises(TransferFailed, match="its storage does not answer") as failed:
            await moving
        assert failed.value.lost

        world.start()
        assert world.get(storing.path) is None
        assert (await transfers.move(storing, key="demo")).bytes == world.large

    async def test_a_server_that_dies_during_a_download_loses_the_try(
        self, world: S3Server, workspace: Path, order: Transfer, storing: Transfer, transfers: Transfers
    ) -> None:
        """With nothing in the workspace that looks like the file."""
        await transfers.move(storing, key="demo")
        (workspace / "large").unlink()
        moving = asyncio.create_task(transfers.move(order, key="demo"))
        await become(lambda: files_in(workspace))
        world.stop()
        with pytest.raises(TransferFailed) as failed:
            await moving
        assert failed.value.lost
        assert files_in(workspace) == []

    async def test_a_key_that_is_refused_loses_the_try_and_is_not_shown(
        self, world: S3Server, order: Transfer, transfers: Transfers
    ) -> None:
        """It is the region's key, not the task's."""
        world.put(order.path, b"x")
        wrong = structs.replace(KEYS, secret_key="quiet-robin-in-the-hedge")
        failed = await self.fails(transfers, structs.replace(order, credentials=wrong))
        assert (str(failed), failed.lost) == ("its storage answers SignatureDoesNotMatch", True)

    async def test_requests_without_a_key_are_not_signed(
        self, world: S3Server, order: Transfer, transfers: Transfers
    ) -> None:
        """Not by a key that botocore would find somewhere else."""
        world.put(order.path, b"x")
        failed = await self.fails(transfers, structs.replace(order, credentials=None))
        assert str(failed) == "its storage answers AccessDenied"

    async def test_another_bucket_loses_the_try(
        self, world: S3Server, order: Transfer, transfers: Transfers
    ) -> None:
        storage = structs.replace(world.settings, bucket="elsewhere")
        failed = await self.fails(transfers, structs.replace(order, storage=storage))
        assert (str(failed), failed.lost) == ("its storage answers NoSuchBucket", True)

    async def test_an_object_of_the_bucket_outside_the_prefix_is_not_reached(
        self, world: S3Server, order: Transfer, transfers: Transfers
    ) -> None:
        world.client.put_object(Bucket="backups", Key="private", Body=b"x")
        failed = await self.fails(transfers, structs.replace(order, path="private"))
        assert str(failed) == "there is no such object"

    async def test_an_endpoint_is_known_by_its_certificate(
        self, tmp_path: Path, order: Transfer, transfers: Transfers
    ) -> None:
        """By the authority that the setting names, and no other."""
        assert PROGRAM is not None
        create_root(tmp_path / "pki")
        with s3_server(PROGRAM, tmp_path / "with-tls", tmp_path / "pki") as server:
            server.put(order.path, b"x")
            order = structs.replace(order, storage=server.settings)
            assert (await transfers.move(order, key="demo")).bytes == 1
            stranger = structs.replace(server.settings, ca_file=None)
            failed = await self.fails(transfers, structs.replace(order, storage=stranger))
            assert (str(failed), failed.lost) == ("its storage does not answer: SSLError", True)
