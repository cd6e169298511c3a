"""Reads and decodes a document file for a command, with the gateway's own JSON and YAML parsers."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway.cli.errors import CliError, Exit
from gateway.cli.usage_errors import STANDARD_INPUT
from gateway.core.errors import GatewayError, Malformed
from gateway.documents.strict_json import read_json
from gateway.documents.strict_yaml import read_yaml
from gateway.settings import DocumentLimits
from waypost.json_pointer import FieldError

JSON: Final = "application/json"
YAML: Final = "application/yaml"
READ_MAXIMUM = 64 * 2**20
"""The maximum bytes that are read of a file: far beyond any document, as a pipe may have no end."""
SHOWN_ERRORS: Final = 20


def read_bytes(file: str) -> bytes:
    """Reads the content of `file`; `-` is standard input.

    Raises `CliError` if it cannot be read or is endless.
    """
    try:
        if file in ("-", STANDARD_INPUT):
            content = sys.stdin.buffer.read(READ_MAXIMUM + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(READ_MAXIMUM + 1)
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", code=Exit.USAGE) from error
    if len(content) > READ_MAXIMUM:
        limit = READ_MAXIMUM // 2**20
        raise CliError(f"{file} has more than {limit} MiB, which no gateway takes", code=Exit.USAGE)
    return content


def detect_media_type(body: bytes) -> str:
    """Detects from the content of a document whether it is JSON or YAML; returns the media type.

    Content that is neither counts as JSON if it begins with a brace, else as YAML.
    """
    if not body.lstrip().startswith(b"{"):
        return YAML
    # An object in YAML's flow style begins with a brace too: both parsers are tried.
    limits = DocumentLimits()
    try:
        read_json(body.decode(), maximum_nesting=limits.maximum_nesting)
    except Malformed:
        try:
            _read_yaml(body.decode())
        except GatewayError:
            return JSON
        return YAML
    except (GatewayError, UnicodeDecodeError):
        return JSON
    return JSON


def read_value(file: str, body: bytes, media_type: str) -> Any:
    """Decodes `body`, the content of the document `file`. Raises `CliError` with every syntax error."""
    limits = DocumentLimits()
    try:
        text = body.decode()
        if text.startswith("\ufeff"):
            raise Malformed("begins with a byte order mark: leave it out")
        if media_type == JSON:
            found, errors = read_json(text, maximum_nesting=limits.maximum_nesting)
        else:
            found, errors = _read_yaml(text)
    except UnicodeDecodeError as error:
        raise CliError(
            f"{file} is not UTF-8: {error.reason} at byte {error.start}", code=Exit.USAGE
        ) from error
    except GatewayError as error:
        raise CliError(f"{file}: {error.detail}", code=Exit.USAGE) from error
    if errors:
        raise document_error(f"{file} cannot be read", errors)
    return found


def document_error(message: str, errors: Iterable[FieldError]) -> CliError:
    """Returns a `CliError` with `message` and the first `SHOWN_ERRORS` errors of a document."""
    lines = [f"{error.pointer or '/'}: {error.detail}" for error in errors]
    more = (f"... and {len(lines) - SHOWN_ERRORS} more",) if len(lines) > SHOWN_ERRORS else ()
    return CliError(message, lines=(*lines[:SHOWN_ERRORS], *more), code=Exit.USAGE)


def _read_yaml(text: str) -> tuple[Any, list[FieldError]]:
    limits = DocumentLimits()
    return read_yaml(
        text,
        maximum_nesting=limits.maximum_nesting,
        maximum_expansion=limits.maximum_bytes,
        maximum_values=limits.maximum_yaml_values,
    )
