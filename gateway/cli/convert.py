"""`waypost convert`: other people's documents into ours."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from cyclopts import Parameter

from gateway.cli.client import CliError, Exit
from gateway.cli.output import Format, Output, command, console, show
from gateway.core.errors import GatewayError
from gateway.core.wfformat import from_wfformat


@command
def convert(
    file: Annotated[Path, Parameter(help="A WfFormat 1.5 instance.")],
    *,
    scale: Annotated[float, Parameter(help="What a recorded second of run time becomes.")] = 1.0,
    output: Output = Format.YAML,
) -> None:
    """Turn a recorded workflow (WfFormat 1.5) into a document that can be submitted. What it cannot carry is listed on standard error."""
    try:
        converted = from_wfformat(msgspec.json.decode(file.read_bytes()), scale=scale)
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", code=Exit.USAGE) from error
    except msgspec.DecodeError as error:
        raise CliError(f"{file} is not JSON: {error}", code=Exit.USAGE) from error
    except GatewayError as error:
        raise CliError(error.detail, lines=tuple(f"{e.pointer or '/'}: {e.detail}" for e in error.errors), code=Exit.USAGE) from error
    document = msgspec.to_builtins(converted.workflow)
    if output is Format.JSON:
        show(document, output)
    else:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=140))
    for lost in converted.left_out:
        console(stderr=True).print(f"left out: {lost.pointer}: {lost.detail}", markup=False)
