"""Tests that `waypost audit verify` takes the trail's archived part and the rest as one chain."""

import gzip
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.cli.errors import Exit
from gateway.cli.records.audit_trail import check
from gateway.store.sqlite.store import SqliteStore
from tests.gateway.retention.trail_world import RUNS, archive_all, fill, live, public_key
from tests.gateway.store.sqlite.new_store import store_at


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with store_at(tmp_path / "gateway.db") as store:
        await fill(store, tmp_path)
        yield store


@pytest.fixture
def public(tmp_path: Path, store: SqliteStore) -> Path:
    path = tmp_path / "public.pem"
    path.write_bytes(public_key(tmp_path).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


async def exported(store: SqliteStore, folder: Path) -> Path:
    entries, seals = await live(store)
    lines: list[object] = [*({"entry": each} for each in entries), *({"seal": each} for each in seals)]
    path = folder / "trail.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def rewritten(path: Path, old: bytes, new: bytes) -> None:
    content = gzip.decompress(path.read_bytes())
    assert old in content
    path.write_bytes(gzip.compress(content.replace(old, new)))


async def test_the_archive_and_the_rest_are_verified_as_one(
    tmp_path: Path, store: SqliteStore, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the archive it says what it has not seen; an older export agrees with both."""
    older = Path(shutil.copy(await exported(store, tmp_path), tmp_path / "older.jsonl"))
    await archive_all(store, store, tmp_path)
    export = await exported(store, tmp_path)
    assert check(export, key=(public,), known=older) == Exit.DONE
    said = capsys.readouterr().out
    assert f"seals 1 to {RUNS} are in the archive, the last in trail-" in said
    assert "2 entries under 2 seals" in said
    assert check(export, key=(public,), known=older, archive=tmp_path / "archive") == Exit.DONE
    said = capsys.readouterr().out
    assert f"{RUNS + 2} entries under {RUNS + 2} seals are as they were sealed" in said
    assert "not verified" not in said


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read"),
        (lambda path: path.write_bytes(b"no gzip"), "cannot be read"),
        (lambda path: rewritten(path, b'"actor":"gateway"', b'"actor":"eve"'), "entries 1 to 26 were edited"),
        (lambda path: rewritten(path, b'"number":6,', b'"number":7,'), "does not end with seal 6"),
    ],
    ids=["lost", "cut off", "other", "edited", "renumbered"],
)
async def test_an_archive_that_was_changed_is_named(
    tmp_path: Path,
    store: SqliteStore,
    public: Path,
    damage: Callable[[Path], object],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each of its faults fails the verification, with a reason and not with a trace."""
    await archive_all(store, store, tmp_path)
    (path,) = (tmp_path / "archive").iterdir()
    damage(path)
    assert check(await exported(store, tmp_path), key=(public,), archive=tmp_path / "archive") != Exit.DONE
    said = capsys.readouterr()
    assert expected in said.out + said.err


async def test_an_older_export_shows_that_the_archived_part_is_another(
    tmp_path: Path, store: SqliteStore, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last seal alone tells, without the archive."""
    older = await exported(store, tmp_path)
    rewritten_text = older.read_bytes().replace(b'"number":6,"before":"', b'"number":6,"before":"0')
    (tmp_path / "older.jsonl").write_bytes(rewritten_text)
    await archive_all(store, store, tmp_path)
    export = await exported(store, tmp_path)
    assert check(export, key=(public,), known=tmp_path / "older.jsonl") != Exit.DONE
    assert "seal 6 is another than the one kept elsewhere" in capsys.readouterr().out


async def test_a_head_that_was_cut_off_by_hand_is_found(
    tmp_path: Path, store: SqliteStore, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No sealed entry says that it is in an archive."""
    await store._write(lambda db: db.execute("delete from seal where number <= 6"))
    assert check(await exported(store, tmp_path), key=(public,)) != Exit.DONE
    assert "seal 7 follows a gap: seals 1 to 6 are missing" in capsys.readouterr().out


async def test_a_name_that_leads_out_of_the_archive_is_refused(
    tmp_path: Path, store: SqliteStore, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An export is anybody's until it is verified."""
    await archive_all(store, store, tmp_path)
    export = await exported(store, tmp_path)
    export.write_bytes(export.read_bytes().replace(b'"file":"trail', b'"file":"../trail'))
    assert check(export, key=(public,), archive=tmp_path / "archive") != Exit.DONE
    assert "is no name of a file" in capsys.readouterr().err


async def test_what_was_added_before_the_rest_is_found(
    tmp_path: Path, store: SqliteStore, public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That the part before is in the archive excuses no entry that is in the store."""
    await archive_all(store, store, tmp_path)
    export = await exported(store, tmp_path)
    added = msgspec.json.encode({"entry": {"seq": 2, "at": 1.0, "actor": "eve"}}) + b"\n"
    export.write_bytes(added + export.read_bytes())
    assert check(export, key=(public,)) != Exit.DONE
    assert "entry 2 was added behind what was sealed" in capsys.readouterr().out
