"""Commands without a gateway: what they find in this folder and in the environment is the test's alone."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WAYPOST_URL", "WAYPOST_TOKEN", "WAYPOST_CA"):
        monkeypatch.delenv(name, raising=False)
