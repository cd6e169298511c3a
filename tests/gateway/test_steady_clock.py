"""Tests the steady clock, which nobody can set."""

import time

import pytest

from gateway import steady_clock


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_clock, "_offset", steady_clock._offset)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """Deadlines and the order of runs count on it; how far the wall clock is off is known."""
    before, uptime, wall = steady_clock.steady_time(), steady_clock.uptime(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall + step)
    monkeypatch.setattr(steady_clock, "uptime", lambda: uptime)

    assert steady_clock.steady_time() == pytest.approx(before, abs=1.0)
    assert steady_clock.wall_clock_step() == pytest.approx(step, abs=1.0)


def test_it_is_set_forward_to_what_was_certainly_before() -> None:
    """The process was started under a wall clock that was set back: the next run is newer all the same."""
    newest = steady_clock.steady_time() + 600.0
    steady_clock.set_forward(steady_clock.seconds_behind(newest))

    assert steady_clock.seconds_behind(newest) == 0.0
    assert steady_clock.steady_time() >= newest
    assert steady_clock.seconds_behind(newest - 700.0) == 0.0


def test_a_boot_of_the_machine_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of one boot agree about it, unless the wall clock was set in between."""
    first = steady_clock.machine_boot()
    assert first.id != ""
    assert first.at == pytest.approx(time.time() - steady_clock.uptime(), abs=1.0)
    assert steady_clock.machine_boot() == first
    monkeypatch.setattr(steady_clock, "BOOT_ID", steady_clock.BOOT_ID / "gone")
    assert steady_clock.machine_boot().id == ""
