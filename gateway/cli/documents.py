"""Files that a command reads, as the gateway would read them: what it would refuse is said before anything is sent."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway.cli.client import CliError, Exit
from gateway.core.errors import GatewayError, Malformed
from gateway.documents.strict_json import read_json
from gateway.documents.strict_yaml import read_yaml
from gateway.settings import DocumentLimits
from waypost.json_pointer import FieldError

JSON: Final = "application/json"
YAML: Final = "application/yaml"
SHOWN: Final = 20


def content(file: str) -> bytes:
    """What is in `file`; `-` is standard input. Raises `CliError`."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", code=Exit.USAGE) from error


def media_type(body: bytes) -> str:
    """JSON begins like an object; but so may YAML, in its flow style. What is neither passes for JSON, and is refused as such."""
    if not body.lstrip().startswith(b"{"):
        return YAML
    limits = DocumentLimits()
    try:
        read_json(body.decode(), maximum_nesting=limits.maximum_nesting)
    except Malformed:
        try:
            read_yaml(
                body.decode(), maximum_nesting=limits.maximum_nesting, maximum_expansion=limits.maximum_bytes
            )
        except GatewayError:
            return JSON
        return YAML
    except (GatewayError, UnicodeDecodeError):
        return JSON
    return JSON


def value(file: str, body: bytes, kind: str) -> Any:
    """The value that `body` is, read as `kind`. Raises `CliError` with all that is wrong with it."""
    limits = DocumentLimits()
    try:
        text = body.decode()
        if text.startswith("\ufeff"):
            raise Malformed("begins with a byte order mark: leave it out")
        if kind == JSON:
            found, faults = read_json(text, maximum_nesting=limits.maximum_nesting)
        else:
            found, faults = read_yaml(
                text, maximum_nesting=limits.maximum_nesting, maximum_expansion=limits.maximum_bytes
            )
    except UnicodeDecodeError as error:
        raise CliError(
            f"{file} is not UTF-8: {error.reason} at byte {error.start}", code=Exit.USAGE
        ) from error
    except GatewayError as error:
        raise CliError(f"{file}: {error.detail}", code=Exit.USAGE) from error
    if faults:
        raise faulty(f"{file} cannot be read", faults)
    return found


def faulty(message: str, faults: Iterable[FieldError]) -> CliError:
    """With the first of the faults, each with its place."""
    lines = [f"{fault.pointer or '/'}: {fault.detail}" for fault in faults]
    more = (f"... and {len(lines) - SHOWN} more",) if len(lines) > SHOWN else ()
    return CliError(message, lines=(*lines[:SHOWN], *more), code=Exit.USAGE)
