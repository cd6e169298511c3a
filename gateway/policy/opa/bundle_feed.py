"""Keeps the signed bundle that OPA is to hold: the newest good one that was put into its place.

A release is made by moving a newer bundle there. It counts without a restart; one that is not good, or not
newer, does not count at all: the last good one stays, also beyond a restart, and the log and a metric say so.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from loguru import logger
from msgspec import Struct

from gateway.policy.opa.bundle_archive import (
    ARCHIVE_MAXIMUM_BYTES,
    ArchiveError,
    Manifest,
    manifest_of,
    unpack,
)
from gateway.policy.opa.bundle_signature import VerificationKey, verify
from waypost.files.permissions import write_private

LOOK_SECONDS: Final = 1.0
"""The pause between two looks at whether another bundle was put there."""


class ServedBundle(Struct, frozen=True, kw_only=True):
    """A good bundle, and what its manifest says."""

    archive: bytes
    manifest: Manifest

    @property
    def tag(self) -> str:
        """What tells it from every other bundle, as an HTTP entity tag."""
        return f'"{self.manifest.sequence}-{self.manifest.revision}"'


class BundleFeed:
    """The bundle in the file `place`, verified with `key`; None: not verified, in development alone.

    `kept` is the file where the last good one is kept. `on_outcome` is called with `Activated` or `Refused`
    for each bundle that is found. `async with` raises `ArchiveError` where there is no good bundle. Without a
    `place` it has none, and looks for none.
    """

    def __init__(
        self,
        place: Path | None,
        *,
        key: VerificationKey | None,
        kept: Path,
        on_outcome: Callable[[str], None],
    ) -> None:
        self._place, self._key, self._kept, self._on_outcome = place, key, kept, on_outcome
        self.current: ServedBundle | None = None
        self._seen: tuple[int, ...] = ()
        self._changed = asyncio.Event()
        self._ending = False

    def __repr__(self) -> str:
        return f"<BundleFeed of {self._place}: {self.current and self.current.tag}>"

    async def __aenter__(self) -> Self:
        if self._place is not None:
            if self._kept.exists():
                self.current = await asyncio.to_thread(self._read_kept)
            await self.look()
            if self.current is None:
                raise ArchiveError(f"there is no good bundle at {self._place}, and none was kept")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()

    async def run(self) -> None:
        """Looks for another bundle for as long as the gateway runs."""
        try:
            while self._place is not None:
                await asyncio.sleep(LOOK_SECONDS)
                await self.look()
            await asyncio.Event().wait()
        finally:
            self._end()

    async def look(self) -> None:
        """Looks once; a good bundle that is newer becomes the current one."""
        if self._place is None or (seen := _identity(self._place)) == self._seen:
            return
        self._seen = seen
        try:
            found = await asyncio.to_thread(self._read, self._place)
            if self.current is not None and found.archive == self.current.archive:
                return
            newest = -1 if self.current is None else self.current.manifest.sequence
            if found.manifest.sequence <= newest:
                raise ArchiveError(f"its sequence {found.manifest.sequence} is not newer than {newest}")
            # First kept: what OPA has had must be known after a restart, lest an older one follow it.
            await asyncio.to_thread(_keep, self._kept, found.archive)
        except (ArchiveError, OSError) as error:
            logger.error("the bundle {} is not taken: {}", self._place, error)
            self._on_outcome("Refused")
            return
        manifest = found.manifest
        logger.info("policy bundle: revision {}, sequence {}", manifest.revision, manifest.sequence)
        self._on_outcome("Activated")
        self.current = found
        self._wake()

    async def other_than(self, tag: str, *, seconds: float) -> ServedBundle | None:
        """The current bundle, once it is another than `tag`; None where it is not within `seconds`."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while self.current is not None and self.current.tag == tag:
            left = ends - loop.time()
            if self._ending or left <= 0:
                return None
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return None
        return self.current

    def _read_kept(self) -> ServedBundle:
        try:
            return self._read(self._kept)
        except ArchiveError as error:
            # Not passed over: an older one could be served then.
            raise ArchiveError(f"the bundle that was kept as {self._kept} is not good: {error}") from error

    def _read(self, path: Path) -> ServedBundle:
        with path.open("rb") as file:
            archive = file.read(ARCHIVE_MAXIMUM_BYTES + 1)
        manifest = manifest_of(unpack(archive)) if self._key is None else verify(archive, self._key)
        return ServedBundle(archive=archive, manifest=manifest)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _end(self) -> None:
        """Lets those go who wait for another bundle: a gateway that stops would wait for them."""
        self._ending = True
        self._wake()


def _identity(path: Path) -> tuple[int, ...]:
    """What changes when another file is put there; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _keep(path: Path, archive: bytes) -> None:
    """Replaces the file `path` by `archive`, whole or not at all."""
    new = path.with_name(path.name + ".new")
    write_private(new, archive)
    descriptor = os.open(new, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
