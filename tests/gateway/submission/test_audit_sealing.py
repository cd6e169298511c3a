"""Tests sealing a real store's audit trail, tampering with it, and verifying an export."""

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec import structs

from gateway.cli.errors import Exit
from gateway.cli.records.audit_trail import Line, check, key
from gateway.store.sqlite.store import SqliteStore
from gateway.submission.audit_sealing import AuditKeyError, AuditSealer, read_audit_key
from observability.audit import Seal
from observability.audit_verification import verify
from tests.conformance.store_decisions import DOCUMENT, accepted, asked
from tests.conformance.store_values import admission
from tests.gateway.store.sqlite.new_store import store_at


@pytest.fixture
def private(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> ec.EllipticCurvePrivateKey:
    """Creates a key by `waypost audit key`; writes its public half to `public.pem`."""
    assert key(tmp_path / "audit.pem") == Exit.DONE
    (tmp_path / "public.pem").write_text(capsys.readouterr().out)
    return read_audit_key(tmp_path / "audit.pem")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with store_at(tmp_path / "gateway.db") as store:
        yield store


def sealer(
    store: SqliteStore, private: ec.EllipticCurvePrivateKey, alarms: list[int] | None = None
) -> AuditSealer:
    raised = [] if alarms is None else alarms
    return AuditSealer(store, private, seal_seconds=1.0, clock=lambda: 1.0, on_alarm=lambda: raised.append(1))


async def accept(store: SqliteStore, *numbers: int) -> None:
    for number in numbers:
        run, decision = f"run-{number}", f"d{number}"
        given = structs.replace(admission(run, workflow=DOCUMENT), decision=asked(decision))
        await store.admit(structs.replace(given, history=(accepted(run, decision),)))


async def trail(store: SqliteStore) -> tuple[Mapping[int, Mapping[str, Any]], list[Seal]]:
    return (await store.trail(after=0)).entries, list(await store.seals(after=0, limit=99))


def change(tmp_path: Path, statement: str) -> None:
    """Tampers with the store's file by an SQL statement."""
    with sqlite3.connect(tmp_path / "gateway.db") as db:
        assert db.execute(statement).rowcount


async def test_what_is_recorded_is_sealed_once(
    store: SqliteStore, private: ec.EllipticCurvePrivateKey
) -> None:
    """Also by the gateway's next process; where nothing is new there is no seal."""
    first = sealer(store, private)
    await first.seal_all()
    assert await store.last_seal() is None
    await accept(store, 1, 2)
    await first.seal_all()
    await first.seal_all()
    await accept(store, 3)
    await sealer(store, private).seal_all()

    entries, seals = await trail(store)
    assert [len(seal.entries) for seal in seals] == [2, 1]
    assert verify(list(entries.values()), seals, keys=[private.public_key()]).findings == ()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update audit set actor = 'eve' where run = 'run-2'", "entry 2 was edited"),
        ("delete from audit where run = 'run-2'", "entry 2 was deleted"),
        ("update decision set state = replace(state, 'beijing', 'shenzhen') where id = 'd3'", "entry 3"),
        ("delete from decision where id = 'd1'", "entry 1 was edited"),
        (
            "delete from seal where number = 1",
            "seal 2 follows a gap: seal 1 is missing; entries there without a seal: 2",
        ),
        ("delete from audit where run = 'run-3'", "entry 3 was deleted"),
        (
            "update audit set run = case run when 'run-1' then 'run-2' else 'run-1' end where seq < 3",
            "entries 1 to 2 were edited",
        ),
        ("update seal set state = replace(state, '[[3,', '[[4,')", "seal 2 is not signed by this key"),
    ],
)
async def test_each_change_from_outside_is_named(
    store: SqliteStore,
    private: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    statement: str,
    expected: str,
) -> None:
    """By `waypost audit verify`, from an export alone."""
    one = sealer(store, private)
    await accept(store, 1, 2)
    await one.seal_all()
    await accept(store, 3)
    await one.seal_all()
    before = await export(store, tmp_path / "before.jsonl")
    assert check(before, key=(tmp_path / "public.pem",)) == Exit.DONE

    change(tmp_path, statement)
    after = await export(store, tmp_path / "after.jsonl")

    assert check(after, key=(tmp_path / "public.pem",), known=before) == Exit.FAILED
    assert expected in capsys.readouterr().out


async def test_a_cut_end_is_named_by_an_earlier_export(
    store: SqliteStore,
    private: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the running gateway seals nothing more, since it would vouch for what it did not record."""
    alarms: list[int] = []
    one = sealer(store, private, alarms)
    await accept(store, 1)
    await one.seal_all()
    await accept(store, 2)
    await one.seal_all()
    before = await export(store, tmp_path / "before.jsonl")
    change(tmp_path, "delete from seal where number = 2")
    change(tmp_path, "delete from audit where run = 'run-2'")
    after = await export(store, tmp_path / "after.jsonl")

    assert check(after, key=(tmp_path / "public.pem",)) == Exit.DONE
    assert check(after, key=(tmp_path / "public.pem",), known=before) == Exit.FAILED
    assert "seal 2 was kept elsewhere and is gone" in capsys.readouterr().out
    await accept(store, 3, 4)
    await one.seal_all()
    await one.seal_all()
    assert alarms
    assert len((await trail(store))[1]) == 1


async def test_a_fork_is_named_by_an_earlier_export(
    store: SqliteStore,
    private: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The end is cut off while the gateway is down; its next process seals on from what is left."""
    await accept(store, 1)
    await sealer(store, private).seal_all()
    await accept(store, 2)
    await sealer(store, private).seal_all()
    before = await export(store, tmp_path / "before.jsonl")
    change(tmp_path, "delete from seal where number = 2")
    change(tmp_path, "delete from audit where run = 'run-2'")
    await accept(store, 3)
    await sealer(store, private).seal_all()
    after = await export(store, tmp_path / "after.jsonl")

    assert check(after, key=(tmp_path / "public.pem",)) == Exit.DONE
    assert check(after, key=(tmp_path / "public.pem",), known=before) == Exit.FAILED
    assert "seal 2 is another than the one kept elsewhere: the trail is forked" in capsys.readouterr().out


async def export(store: SqliteStore, path: Path) -> Path:
    entries, seals = await trail(store)
    lines = [Line(entry=dict(entry)) for entry in entries.values()] + [Line(seal=seal) for seal in seals]
    return write(path, lines)


def write(path: Path, lines: Sequence[Line]) -> Path:
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines))
    return path


def test_a_key_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seals made with the old one would no longer be verified. It is its owner's alone."""
    path = tmp_path / "audit.pem"
    assert key(path) == Exit.DONE
    assert path.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in capsys.readouterr().out
    assert key(path) == Exit.FAILED


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """With what to do."""
    other = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "rsa.pem").write_bytes(other)
    (tmp_path / "text.pem").write_text("hello")
    for name in ("rsa.pem", "text.pem", "absent.pem"):
        with pytest.raises(AuditKeyError, match=name):
            read_audit_key(tmp_path / name)


async def test_what_is_not_sealed_is_counted(
    store: SqliteStore,
    private: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fifty forged lines, as old as yesterday, at the end: refused, in one sentence."""
    await accept(store, 1)
    await sealer(store, private).seal_all()
    whole = await export(store, tmp_path / "whole.jsonl")
    forged = [{"seq": 100 + n, "kind": "PolicyActivated", "at": -86_400.0} for n in range(50)]
    with whole.open("ab") as file:
        for entry in forged:
            file.write(b"\n" + msgspec.json.encode(Line(entry=entry)))

    assert check(whole, key=(tmp_path / "public.pem",)) == Exit.FAILED
    out = capsys.readouterr().out
    assert out == "entries 100 to 149 were added: seal 1 or one before it would be over what is as old\n"


def test_an_empty_export_proves_nothing(
    tmp_path: Path, private: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither does an earlier one without seals."""
    assert private
    (tmp_path / "empty.jsonl").touch()
    assert check(tmp_path / "empty.jsonl", key=(tmp_path / "public.pem",)) == Exit.FAILED
    assert capsys.readouterr().out.startswith("there is no seal")
    empty = tmp_path / "empty.jsonl"
    assert check(empty, key=(tmp_path / "public.pem",), known=empty) == Exit.FAILED


@pytest.mark.parametrize("line", ["{}", '{"entry": {"seq": "1"}}', '{"entry": {}}', '{"entrY": {"seq": 1}}'])
def test_a_line_that_is_no_entry_and_no_seal_is_refused(
    tmp_path: Path, private: object, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert private
    (tmp_path / "x.jsonl").write_text(f"{line}\n")
    assert check(tmp_path / "x.jsonl", key=(tmp_path / "public.pem",)) == Exit.FAILED
    assert "line 1, is no line of an export" in capsys.readouterr().err


def test_what_is_no_export_is_refused(tmp_path: Path, private: object) -> None:
    """With the line."""
    assert private
    (tmp_path / "x.jsonl").write_text('{"entry": {"seq": 1}}\n{"entry": 1}\n')
    assert check(tmp_path / "x.jsonl", key=(tmp_path / "public.pem",)) == Exit.FAILED
    assert check(tmp_path / "absent.jsonl", key=(tmp_path / "public.pem",)) == Exit.FAILED
    assert check(tmp_path / "x.jsonl", key=(tmp_path / "x.jsonl",)) == Exit.FAILED
