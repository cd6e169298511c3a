"""Tests that `waypost audit verify` finds every tampering with an export, and names it in a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from gateway.cli.errors import Exit
from gateway.cli.records.audit_trail import check
from observability.audit import Seal, make_seal
from tests.observability.test_audit import KEY, PUBLIC, Entries, trail

OTHER = ec.generate_private_key(ec.SECP256R1())


def edited_seal(entries: Entries, seals: list[Seal]) -> None:
    seals[1] = structs.replace(seals[1], at=5.0)


def seal_by_another_key(entries: Entries, seals: list[Seal]) -> None:
    seals[1] = make_seal({n: entries[n] for n in (15, 18, 21, 24)}, seals[0], at=8.0, key=OTHER)


def last_seal_by_another_key(entries: Entries, seals: list[Seal]) -> None:
    entries[36]["actor"] = "eve"
    seals[2] = make_seal({n: entries[n] for n in (27, 30, 33, 36)}, seals[1], at=12.0, key=OTHER)


def all_seals_by_another_key(entries: Entries, seals: list[Seal]) -> None:
    entries[9]["actor"] = "eve"
    before = None
    for index, seal in enumerate(seals):
        part = {number: entries[number] for number, _ in seal.entries}
        before = seals[index] = make_seal(part, before, at=seal.at, key=OTHER)


def without(*numbers: int) -> Callable[[Entries, list[Seal]], None]:
    def delete(entries: Entries, _: list[Seal]) -> None:
        for number in numbers:
            del entries[number]

    return delete


def swapped(entries: Entries, _: list[Seal]) -> None:
    """Swaps two lines of an export."""
    lines = list(entries.items())
    lines[4], lines[5] = lines[5], lines[4]
    entries.clear()
    entries.update(lines)


def head_with_its_seal(entries: Entries, seals: list[Seal]) -> None:
    without(3, 6, 9, 12)(entries, seals)
    del seals[0]


def gap_with_its_seal(entries: Entries, seals: list[Seal]) -> None:
    without(15, 18, 21, 24)(entries, seals)
    del seals[1]


ATTACKS: dict[str, tuple[Callable[[Entries, list[Seal]], object], str]] = {
    "edited": (lambda entries, _: entries[9].update(actor="eve"), "entry 9 was edited"),
    "edited in many places in a row": (
        lambda entries, _: [entries[n].update(actor="eve") for n in (9, 12, 15)],
        "entries 9 to 15 were edited",
    ),
    "deleted": (without(15), "entry 15 was deleted"),
    "a head that was cut off": (without(3, 6, 9, 12, 15), "entries 3 to 15 were deleted"),
    "an end that was cut off": (without(27, 30, 33, 36), "entries 27 to 36 were deleted"),
    "a head and its seal": (
        head_with_its_seal,
        "seal 2 follows a gap: seal 1 is missing; entries there without a seal: 0",
    ),
    "a gap and its seal": (
        gap_with_its_seal,
        "seal 3 follows a gap: seal 2 is missing; entries there without a seal: 0",
    ),
    "a deleted seal": (
        lambda _, seals: seals.pop(1),
        "seal 3 follows a gap: seal 2 is missing; entries there without a seal: 4",
    ),
    "all seals": (
        lambda _, seals: seals.clear(),
        "there is no seal: nothing shows that this is the trail, or all of it",
    ),
    "swapped lines": (swapped, "entry 15 stands behind 18: the order was changed"),
    "added between": (
        lambda entries, _: entries.update({10: {"seq": 10, "at": 2.5}}),
        "entry 10 was added behind what was sealed",
    ),
    "added at the end with a time without end": (
        lambda entries, _: entries.update({99: {"seq": 99, "at": 10**400}}),
        "entry 99 was added: seal 3 or one before it would be over what is as old",
    ),
    "an edited seal": (edited_seal, "seal 2 is not signed by this key: edited or forged"),
    "a seal by another key": (seal_by_another_key, "seal 2 is not signed by this key: edited or forged"),
    "the last seal by another key, over an edited entry": (
        last_seal_by_another_key,
        "seal 3 is not signed by this key: edited or forged",
    ),
    "all seals by another key": (
        all_seals_by_another_key,
        "no seal is signed by this key: it is another key, or all seals are forged",
    ),
}


def written(folder: Path, entries: Entries, seals: list[Seal], name: str = "trail.jsonl") -> Path:
    lines: list[Any] = [{"entry": entry} for entry in entries.values()] + [{"seal": seal} for seal in seals]
    path = folder / name
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(
        PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def sentences(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("attack", "sentence"), ATTACKS.values(), ids=ATTACKS)
def test_each_attack_is_one_sentence(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str], attack: Any, sentence: str
) -> None:
    """And the exit code says that the trail is not as it was."""
    entries, seals = trail()
    attack(entries, seals)
    if attack is not swapped:
        entries = dict(sorted(entries.items()))
    assert check(written(tmp_path, entries, seals), key=(key,)) == Exit.FAILED
    assert sentences(capsys) == [sentence]


@pytest.mark.parametrize("left", [1, 2])
def test_an_end_that_was_cut_off_with_its_seals_is_one_sentence(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str], left: int
) -> None:
    """Found by an export kept elsewhere."""
    entries, seals = trail()
    known = written(tmp_path, entries, seals, "known.jsonl")
    last = seals[left - 1].entries[-1][0]
    cut = {number: entry for number, entry in entries.items() if number <= last}
    path = written(tmp_path, cut, seals[:left])
    assert check(path, key=(key,)) == Exit.DONE
    capsys.readouterr()
    assert check(path, key=(key,), known=known) == Exit.FAILED
    (sentence,) = sentences(capsys)
    assert f"seal {left + 1} was kept elsewhere and is gone" in sentence


BAD_LINES = {
    "cut off": b'{"entry":{"seq":1,"at',
    "nested without end": b'{"entry":{"seq":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "a name twice": b'{"entry":{"seq":3,"actor":"eve","actor":"a1"}}',
    "neither": b"{}",
    "no number": b'{"entry":{"seq":true}}',
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_is_none_is_named(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    entries, seals = trail()
    path = written(tmp_path, entries, seals)
    path.write_bytes(path.read_bytes() + line)
    assert check(path, key=(key,)) != Exit.DONE
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "trail.jsonl, line 16, is no line of an export" in sentence


def test_a_key_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The private half, another kind, no key, no file."""
    path, key = written(tmp_path, *trail()), tmp_path / "key.pem"
    private = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content, words in ((private, "private key"), (b"nothing", "no public key"), (None, "cannot be read")):
        key.unlink(missing_ok=True)
        if content is not None:
            key.write_bytes(content)
        assert check(path, key=(key,)) != Exit.DONE
        (sentence,) = capsys.readouterr().err.splitlines()
        assert words in sentence
