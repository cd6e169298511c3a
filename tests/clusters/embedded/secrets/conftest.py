"""A node whose secrets are files in a folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clusters.embedded.node import ClusterNode, ClusterNodeSettings
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


@pytest.fixture
async def node(tmp_path: Path, secrets: Path) -> AsyncIterator[ClusterNode]:
    settings = ClusterNodeSettings(
        region="beijing", state=str(tmp_path / "state"), cpu=4.0, secrets=SecretSettings(files=str(secrets))
    )
    async with ClusterNode(settings) as running:
        yield running
