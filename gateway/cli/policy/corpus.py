"""Reads recorded policy queries for trying rules: an export, line by line, or a folder of input documents."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.cli.errors import CliError, Exit
from gateway.core.decision import Action
from gateway.policy.flips import Recorded


class _Asked(msgspec.Struct, frozen=True):
    """The fields that a rules' input document shares with the record of a policy decision."""

    action: Action
    principal: dict[str, msgspec.Raw]


_decode_recorded = msgspec.json.Decoder(Recorded).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode


def read_corpus(path: Path) -> Iterator[Recorded]:
    """Reads the policy decisions in `path` lazily: an export, or a folder whose .json files are inputs.

    An input in a file of its own has no answer yet. Raises `CliError`, or `OSError`.
    """
    if not path.is_dir():
        return _lines(path)
    files = sorted(path.rglob("*.json"))
    if not files:
        raise CliError(f"{path} has no questions: no .json file", code=Exit.USAGE)
    return (_fixture(path, file) for file in files)


def parse_decision(line: bytes | msgspec.Raw) -> Recorded:
    """Parses a policy decision that a gateway has exported. Raises `CliError`."""
    try:
        return _decode_recorded(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CliError(f"this is no decision of a gateway: {error}", code=Exit.UNAVAILABLE) from error


def _lines(path: Path) -> Iterator[Recorded]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield _decode_recorded(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise CliError(
                    f"{path}, line {number}: this is no line of an export: {error}", code=Exit.USAGE
                ) from error


def _fixture(folder: Path, file: Path) -> Recorded:
    name = file.relative_to(folder).as_posix()
    try:
        text = file.read_bytes()
        asked = _decode_asked(text)
        tenant = msgspec.json.decode(asked.principal.get("tenant", b'""'), type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CliError(f"{file} is no input of the rules: {error}", code=Exit.USAGE) from error
    return Recorded(id=name, action=asked.action, allow=False, tenant=tenant, input=msgspec.Raw(text))
