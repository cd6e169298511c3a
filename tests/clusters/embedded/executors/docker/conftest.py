"""Fixtures of a real Docker Engine and a real podman service, one of each for all tests of a process."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.embedded.executors.docker.engines import RealEngine, started


@pytest.fixture(scope="session", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[RealEngine]:
    # podman takes no runroot of more than 50 characters.
    folder = Path(tempfile.mkdtemp(prefix="wp-"))
    try:
        running = started(request.param, folder / request.param)
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
