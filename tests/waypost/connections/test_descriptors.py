"""Tests how many files a process may open."""

import pytest

from waypost.connections.descriptors import raise_descriptor_limit

UNLIMITED = -1


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1_024, 1 << 30, 65_536),
        (1_024, 4_096, 4_096),
        (1_024, UNLIMITED, 65_536),
        (100_000, 1 << 30, 100_000),
        (UNLIMITED, UNLIMITED, 65_536),
    ],
)
def test_the_limit_is_raised_as_far_as_the_machine_permits(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int
) -> None:
    """Not further than is needed: programs that close all they may have would take a minute to start."""
    limits: list[tuple[int, int]] = [(soft, hard)]
    monkeypatch.setattr("waypost.connections.descriptors.resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(
        "waypost.connections.descriptors.resource.setrlimit", lambda _, limit: limits.append(limit)
    )

    assert raise_descriptor_limit() == expected
    assert UNLIMITED in limits[-1] or limits[-1][0] == expected
