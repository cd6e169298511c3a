"""Fixtures for commands without a gateway, with a folder and an environment of their own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WAYPOST_URL", "WAYPOST_TOKEN", "WAYPOST_CA"):
        monkeypatch.delenv(name, raising=False)
