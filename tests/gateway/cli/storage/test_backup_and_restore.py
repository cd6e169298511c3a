"""Tests `waypost backup` and `waypost restore` on a gateway's store."""

from pathlib import Path

import pytest

from gateway.cli.errors import Exit
from gateway.cli.storage.backup import backup
from gateway.cli.storage.restore import restore
from tests.conformance.store_values import admission
from tests.gateway.store.sqlite.new_store import store_at


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    async with store_at(tmp_path / "gateway.db") as store:
        await store.admit(admission("run-1"))
    file = tmp_path / "gateway.toml"
    file.write_text(f'store = "sqlite:{tmp_path}/gateway.db"\n')
    return file


def test_each_command_says_what_comes_next(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And both exit with 0."""
    assert backup(Path("b"), config=config) == Exit.DONE
    said = capsys.readouterr().out.splitlines()
    assert (
        said[0].startswith("b: the store of 20") and "1 runs" in said[0] and "not sealed, verified" in said[0]
    )
    assert said[1] == f"to restore it: stop the gateway, then waypost restore b --force --config {config}"

    assert restore(Path("b"), config=config, force=True) == Exit.DONE
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{tmp_path}/gateway.db: restored from b")
    assert f"{tmp_path}/gateway.db.replaced-" in said[1]
    assert said[-1].startswith(f"next: waypost gateway --config {config}, which begins a new era")


def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the exit code for it, and without the password that may be in the store's URL."""
    assert backup(Path("b"), config=config) == Exit.DONE
    assert backup(Path("b"), config=config) == Exit.FAILED
    assert restore(Path("b"), config=config) == Exit.FAILED
    assert restore(Path("none"), config=config) == Exit.FAILED
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "error: b is there already: each backup is a new folder"
    assert said[1].startswith(f"error: {tmp_path}/gateway.db is there already: --force replaces it")
    assert said[2].startswith("error: none is no backup")

    assert backup(Path("c"), config=tmp_path / "none.toml") == Exit.USAGE
    monkeypatch.setenv("WAYPOST_STORE", "postgresql://ada:secret@db/waypost")
    for run in (backup, restore):
        assert run(Path("b"), config=config) == Exit.USAGE
    assert "secret" not in capsys.readouterr().err
