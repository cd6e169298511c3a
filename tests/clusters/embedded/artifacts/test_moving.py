"""Tests how the process that moves an artifact is ended."""

import signal
from collections.abc import Iterator

import pytest

from clusters.embedded.artifacts import moving
from clusters.embedded.artifacts.moving import Ended, held_end


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes back what the end of a process changes in this one."""
    monkeypatch.setattr(moving, "_waits", {"held": False, "asked": False})
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_an_end_waits_for_the_name_of_what_was_begun() -> None:
    """Without its name an upload that the server has begun could not be taken back."""
    upload: dict[str, str] = {}

    def begin() -> None:
        with held_end():
            moving._end()
            upload["UploadId"] = "known"

    with pytest.raises(Ended):
        begin()
    assert upload == {"UploadId": "known"}


def test_an_end_that_nothing_holds_is_at_once() -> None:
    with held_end():
        pass
    with pytest.raises(Ended):
        moving._end()
