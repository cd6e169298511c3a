"""Tests the file `policy.bundle`: the newest valid bundle put there is in force."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import SupportsBytes

import pytest
from loguru import logger

from gateway.core.errors import Unavailable
from gateway.policy.opa.bundle_archive import ArchiveError
from gateway.policy.opa.bundle_signature import SigningKey
from gateway.policy.rollout.bundle_place import BundlePlace
from gateway.policy.rollout.bundle_states import Step
from tests.gateway.policy.opa.bad_bundles import BAD as BAD_BUNDLES
from tests.gateway.policy.opa.bad_bundles import BOMB
from tests.gateway.policy.opa.keys import KEY, OTHER_KEY
from tests.gateway.policy.rollout.releases import ADA, Opened, archive, opened, rules


class Place:
    """A folder with the file `policy.bundle`, and the counted outcomes of what is put there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "policy.tar.gz"
        self.outcomes: Counter[str] = Counter()

    def put(self, content: bytes) -> None:
        new = self.file.with_name("new")
        new.write_bytes(content)
        new.replace(self.file)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[tuple[BundlePlace, Opened]]:
        async with opened(self.folder) as gateway:
            place = BundlePlace(
                self.file,
                gateway.rollout,
                clock=lambda: 1_764_000_000.0,
                on_outcome=lambda one: self.outcomes.update([one]),
            )
            async with place:
                yield place, gateway


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def active(gateway: Opened) -> int:
    found = gateway.rollout.current.active
    assert found is not None and found.uploaded_by == "gateway"
    return found.sequence


async def test_a_newer_bundle_takes_the_place_of_the_last(place: Place) -> None:
    """Without a restart, and without a person."""
    place.put(archive(7))
    async with place.watched() as (watch, gateway):
        assert active(gateway) == 7
        place.put(archive(8))
        await watch.look()
        await watch.look()
        assert active(gateway) == 8
    assert place.outcomes == {"Activated": 2}


BAD: dict[str, SupportsBytes] = {
    "stripped": archive(8, key=None),
    "another key": archive(8, key=SigningKey(key=OTHER_KEY, key_id="waypost")),
    "another key's name": archive(8, key=SigningKey(key=KEY, key_id="other")),
    "older": archive(6),
    "as old, but another": archive(7, rules("other")),
    "no Rego": archive(8, rules("r") | {"x.rego": "package"}),
    "garbage": b"garbage",
    "nothing": b"",
    "cut off": archive(8)[:-20],
    "a bomb": BOMB,
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
async def test_what_is_not_good_or_not_newer_changes_nothing(place: Place, content: SupportsBytes) -> None:
    """The last good one stays, the log and a metric say so, and the next good one counts."""
    place.put(archive(7))
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}", level="ERROR")
    async with place.watched() as (watch, gateway):
        place.put(bytes(content))
        await watch.look()
        await watch.look()
        assert active(gateway) == 7
        assert place.outcomes == {"Activated": 1, "Refused": 1}
        place.put(archive(9))
        await watch.look()
        assert active(gateway) == 9
    logger.remove(sink)
    assert len(logged) == 1 and logged[0].startswith(f"the bundle {place.file} is not taken: ")


@pytest.mark.parametrize(("content", "why"), BAD_BUNDLES.values(), ids=BAD_BUNDLES)
async def test_no_bad_bundle_that_has_a_name_rules(place: Place, content: SupportsBytes, why: str) -> None:
    """One line of the log says what is wrong with it."""
    place.put(archive(5))
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}", level="ERROR")
    async with place.watched() as (watch, gateway):
        place.put(bytes(content))
        await watch.look()
        assert active(gateway) == 5
        assert place.outcomes == {"Activated": 1, "Refused": 1}
    logger.remove(sink)
    assert len(logged) == 1 and len(logged[0].splitlines()) == 1
    assert why in logged[0]


async def test_what_cannot_be_checked_now_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That no process or OPA answers says nothing of the bundle; one line of the log is enough."""

    async def fail(*_: object, **__: object) -> None:
        raise Unavailable("nothing answers")

    place.put(archive(7))
    logged: list[str] = []
    sink = logger.add(logged.append, format="{message}", level="WARNING")
    async with place.watched() as (watch, gateway):
        place.put(archive(8))
        with monkeypatch.context() as patch:
            patch.setattr(gateway.rollout, "take", fail)
            await watch.look()
            await watch.look()
        assert active(gateway) == 7
        await watch.look()
        assert active(gateway) == 8
    logger.remove(sink)
    assert logged == [f"the bundle {place.file} waits: nothing answers\n"]
    assert place.outcomes == {"Activated": 2}


async def test_what_was_left_does_not_overtake_what_is_newer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person has activated something else meanwhile."""

    async def fail(*_: object, **__: object) -> None:
        raise Unavailable("nothing answers")

    place.put(archive(7))
    async with place.watched() as (watch, gateway):
        place.put(archive(8))
        with monkeypatch.context() as patch:
            patch.setattr(gateway.rollout, "take", fail)
            await watch.look()
        await gateway.rollout.upload(archive(9), ADA)
        await gateway.step(Step.ACTIVATE, 9)
        await watch.look()
        found = gateway.rollout.current.active
        assert found is not None and found.sequence == 9


async def test_a_file_that_is_gone_takes_no_bundle_away(place: Place) -> None:
    """Somebody may be moving another one there."""
    place.put(archive(7))
    async with place.watched() as (watch, gateway):
        place.file.unlink()
        await watch.look()
        assert active(gateway) == 7


async def test_a_restart_begins_with_the_last_good_one(place: Place) -> None:
    """Else an older release, well signed, would count after a restart."""
    place.put(archive(7))
    async with place.watched():
        pass
    place.put(archive(6))
    async with place.watched() as (_, gateway):
        assert active(gateway) == 7
    place.file.unlink()
    async with place.watched() as (_, gateway):
        assert active(gateway) == 7


async def test_what_was_rolled_back_does_not_come_back_with_its_file(place: Place) -> None:
    """The file is still there at the next start."""
    place.put(archive(7))
    async with place.watched() as (watch, gateway):
        place.put(archive(8))
        await watch.look()
        await gateway.step(Step.ROLL_BACK, 8)
    async with place.watched() as (_, gateway):
        assert active(gateway) == 7
    assert place.outcomes == {"Activated": 2}


async def test_without_any_good_one_it_does_not_start(place: Place) -> None:
    """Rules that nobody gets would look like rules in force."""
    with pytest.raises(ArchiveError, match="there is no good bundle at"):
        async with place.watched():
            pass
    place.put(bytes(BAD["stripped"]))
    with pytest.raises(ArchiveError, match="there is no good bundle at"):
        async with place.watched():
            pass


async def test_a_file_with_rules_that_were_rolled_back_is_warned_of(place: Place) -> None:
    """It decides at once: who wrote it may not know of the rollback."""
    lines: list[str] = []
    handler = logger.add(lines.append, level="WARNING", format="{message}")
    place.put(archive(7))
    try:
        async with place.watched() as (watched, gateway):
            place.put(archive(8, rules("r8")))
            await watched.look()
            generation = gateway.rollout.current.generation
            await gateway.rollout.take(Step.ROLL_BACK, 8, ADA, expected=generation)
            assert lines == []
            place.put(archive(9, rules("r8")))
            await watched.look()
            assert active(gateway) == 9
    finally:
        logger.remove(handler)
    assert "has the rules and data of 8, which was rolled back" in lines[0]
