"""The bundle that a gateway has for OPA: the newest good one, whatever is put into its place."""

import asyncio
import gzip
from collections import Counter
from pathlib import Path

import pytest
from loguru import logger

from gateway.policy.opa.bundle_archive import CONTENT_MAXIMUM_BYTES, ArchiveError, pack_bundle
from gateway.policy.opa.bundle_feed import BundleFeed
from gateway.policy.opa.bundle_signature import SigningKey, sign
from tests.gateway.policy.opa.keys import KEY, OTHER_KEY, SIGNS, VERIFIES
from tests.opa_fixture import bundle_of


def release(sequence: int, rules: str = "decision := 1", key: SigningKey = SIGNS) -> bytes:
    return sign(pack_bundle(bundle_of(rules), sequence=sequence), key)


class Place:
    """A feed's files, and what it has counted."""

    def __init__(self, folder: Path) -> None:
        self.file, self.kept = folder / "policy.tar.gz", folder / "kept.tar.gz"
        self.outcomes: Counter[str] = Counter()

    def put(self, archive: bytes) -> None:
        new = self.file.with_name("new")
        new.write_bytes(archive)
        new.replace(self.file)

    def feed(self, *, verified: bool = True) -> BundleFeed:
        key = VERIFIES if verified else None
        return BundleFeed(
            self.file, key=key, kept=self.kept, on_outcome=lambda one: self.outcomes.update([one])
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def sequence(feed: BundleFeed) -> int:
    assert feed.current is not None
    return feed.current.manifest.sequence


async def test_a_newer_bundle_takes_the_place_of_the_last(place: Place) -> None:
    """Without a restart; the file that is kept is for its owner alone."""
    place.put(release(7))
    async with place.feed() as feed:
        assert sequence(feed) == 7
        place.put(release(8, "decision := 2"))
        await feed.look()
        assert sequence(feed) == 8
        await feed.look()
    assert place.outcomes == {"Activated": 2}
    assert place.kept.stat().st_mode & 0o077 == 0


BAD = {
    "stripped": pack_bundle(bundle_of("decision := 2"), sequence=8),
    "another key": release(8, key=SigningKey(key=OTHER_KEY, key_id="waypost")),
    "another key's name": release(8, key=SigningKey(key=KEY, key_id="other")),
    "older": release(6),
    "as old, but another": release(7, "decision := 2"),
    "garbage": b"garbage",
    "nothing": b"",
    "cut off": release(8)[:-20],
    "a bomb": gzip.compress(bytes(CONTENT_MAXIMUM_BYTES + 1)),
}


@pytest.mark.parametrize("archive", BAD.values(), ids=BAD)
async def test_what_is_not_good_or_not_newer_changes_nothing(place: Place, archive: bytes) -> None:
    """The last good one stays, the log and a metric say so, and the next good one counts."""
    place.put(release(7))
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}", level="ERROR")
    async with place.feed() as feed:
        place.put(archive)
        await feed.look()
        await feed.look()
        assert sequence(feed) == 7
        assert place.outcomes == {"Activated": 1, "Refused": 1}
        place.put(release(9))
        await feed.look()
        assert sequence(feed) == 9
    logger.remove(sink)
    assert len(logged) == 1 and logged[0].startswith(f"the bundle {place.file} is not taken: ")


async def test_a_file_that_is_gone_takes_no_bundle_away(place: Place) -> None:
    """Somebody may be moving another one there."""
    place.put(release(7))
    async with place.feed() as feed:
        place.file.unlink()
        await feed.look()
        assert sequence(feed) == 7


async def test_a_restart_begins_with_the_last_good_one(place: Place) -> None:
    """Else an older release, well signed, would count after a restart."""
    place.put(release(7))
    async with place.feed():
        pass
    place.put(release(6))
    async with place.feed() as feed:
        assert sequence(feed) == 7
    place.file.unlink()
    async with place.feed() as feed:
        assert sequence(feed) == 7


async def test_without_any_good_one_it_does_not_start(place: Place) -> None:
    """A gateway with a feed and no bundle could only refuse."""
    with pytest.raises(ArchiveError, match="there is no good bundle at"):
        await place.feed().__aenter__()
    place.put(BAD["stripped"])
    with pytest.raises(ArchiveError, match="there is no good bundle at"):
        await place.feed().__aenter__()
    place.kept.write_bytes(b"damaged")
    with pytest.raises(ArchiveError, match=r"was kept as .*kept\.tar\.gz is not good"):
        await place.feed().__aenter__()


async def test_in_development_it_need_not_be_signed(place: Place) -> None:
    """Its manifest must be good all the same."""
    place.put(BAD["stripped"])
    async with place.feed(verified=False) as feed:
        assert sequence(feed) == 8
        place.put(b"garbage")
        await feed.look()
        assert sequence(feed) == 8


async def test_who_waits_for_another_one_gets_it_when_it_comes(place: Place) -> None:
    """And nobody waits for a gateway that stops."""
    place.put(release(7))
    async with place.feed() as feed:
        assert feed.current is not None
        assert await feed.other_than("", seconds=0) is feed.current
        assert await feed.other_than(feed.current.tag, seconds=0) is None
        waiting = asyncio.create_task(feed.other_than(feed.current.tag, seconds=60))
        await asyncio.sleep(0)
        place.put(release(8))
        await feed.look()
        async with asyncio.timeout(20):
            found = await waiting
        assert found is feed.current
        waiting = asyncio.create_task(feed.other_than(feed.current.tag, seconds=60))
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        assert await waiting is None
