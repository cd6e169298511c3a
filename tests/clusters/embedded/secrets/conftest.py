"""A node whose secrets are files in a folder; its tasks run with and without a sandbox."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode
from clusters.embedded.node_settings import ClusterNodeSettings
from clusters.embedded.secrets.providers import SecretSettings

CANARY = "quiet-finch/in the+hedge"
KEY_CANARY = "-----BEGIN KEY-----\nrobin-robin-robin-robin-robin\n-----END KEY-----\n"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    (folder / "db").mkdir(parents=True)
    (folder / "db" / "password").write_text(CANARY)
    (folder / "key").write_text(KEY_CANARY)
    return folder


@pytest.fixture(params=["none", "sandbox"])
async def node(tmp_path: Path, secrets: Path, request: pytest.FixtureRequest) -> AsyncIterator[ClusterNode]:
    if request.param == "sandbox" and shutil.which("bwrap") is None:
        pytest.skip("there is no bubblewrap here")
    settings = ClusterNodeSettings(
        region="beijing",
        state=str(tmp_path / "state"),
        cpu=4.0,
        secrets=SecretSettings(files=str(secrets)),
        executors={"process": {"isolation": request.param}},
    )
    async with ClusterNode(settings) as running:
        yield running
