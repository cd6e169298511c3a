"""The idempotency key of `waypost submit`."""

from pathlib import Path

import pytest

from gateway.cli.errors import Exit
from gateway.cli.runs.submit import submit


@pytest.mark.parametrize("key", ["", "a b", "é", "a\n", "k" * 256])
def test_a_key_must_be_one_that_can_be_sent(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty one, from a variable that is not set, would make a second run where the first was meant."""
    file = tmp_path / "w.yaml"
    file.write_text("spec: {}")
    assert submit(str(file), key=key, url="http://127.0.0.1:9", token="t") == Exit.USAGE
    assert "--key" in capsys.readouterr().err
