"""Reads recorded policy queries (an export of decisions, or a folder of inputs), and makes up one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli.errors import CliError, Exit
from gateway.core.decision import Action
from gateway.policy.flips import Recorded


class _Asked(msgspec.Struct, frozen=True):
    """The part of an input of the rules that names the action and the caller."""

    action: Action
    principal: dict[str, msgspec.Raw]


_decode_recorded = msgspec.json.Decoder(Recorded).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode


def read_corpus(path: Path) -> Iterator[Recorded]:
    """Yields the recorded policy queries in `path`: a file of exported decisions, or a folder of JSON inputs.

    Reads lazily. A JSON input in a folder comes without a recorded answer. Raises `CliError` for a folder
    without inputs and for malformed content, `OSError` for a file that cannot be read.
    """
    if not path.is_dir():
        return _lines(path)
    files = sorted(path.rglob("*.json"))
    if not files:
        raise CliError(f"{path} has no questions: no .json file", code=Exit.USAGE)
    return (_fixture(path, file) for file in files)


def parse_decision(line: bytes | msgspec.Raw) -> Recorded:
    """Parses one line of exported policy decisions. Raises `CliError` if it is no such decision."""
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


def grown_input(tasks: int, data: str) -> bytes:
    """Builds the rules' input for submitting a made-up workflow with `tasks` tasks."""
    known: Mapping[str, Any] = msgspec.json.decode(data)
    tenants = known.get("tenants")
    tenant = next(iter(tenants), "demo") if isinstance(tenants, dict) else "demo"
    work = [
        {
            "name": f"task-{number}",
            "type": "process" if number % 2 else "docker",
            "run": {"command": ["true", str(number)], "image": f"registry.test/team/app-{number}:1"},
            "needs": [f"task-{number - 1}"] if number else [],
            "resources": {"cpu": 1, "memoryMiB": 64 + number},
        }
        for number in range(tasks)
    ]
    spec = {
        **{"tasks": work, "priority": 1, "deadlineSeconds": None, "dataClass": None},
        **{"sideEffects": "none", "engine": "waypost", "params": {}, "schedule": None},
        "placement": {"regions": [], "avoid": [], "spread": False},
        "shards": {"count": None, "items": list(range(tasks))},
    }
    metadata = {"name": "grown", "tenant": tenant, "labels": {"team": "a"}}
    principal = {"subject": "someone", "issuer": "https://issuer.test", "tenant": tenant, "client": ""}
    return msgspec.json.encode(
        {
            "workflow": {
                **{"apiVersion": "waypost/v1", "kind": "Workflow"},
                **{"metadata": metadata, "spec": spec},
            },
            "context": {},
            "at": 1_800_000_000.5,
            "action": Action.RUNS_SUBMIT,
            "principal": principal | {"scopes": ["workflows:submit"], "groups": [], "expires_at": 2e9},
        }
    )
