"""The context file, in which `waypost up` stores its gateway's URL and issuer for other commands."""

from pathlib import Path
from typing import Final

import msgspec

from gateway.cli.errors import CliError, Exit

CONTEXT_PATH: Final = Path(".waypost") / "context.json"
"""The path of the context file, from the folder in which `waypost up` was started."""

DEVELOPMENT: Final = "development"
"""The name of the development issuer's folder in the state folder of `waypost up`."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the context file: a gateway's URL, and what is needed to make a development token.

    `development` is the folder of the gateway's development issuer, `tenant` the tenant to make tokens for.
    """

    url: str
    development: str | None = None
    tenant: str = "demo"


def find_context(start: Path) -> Context | None:
    """Reads the context file in the folder `start`, or in the nearest folder above; None if there is none.

    Raises `CliError` where the file is not valid.
    """
    for folder in (start, *start.parents):
        try:
            return msgspec.json.decode((folder / CONTEXT_PATH).read_bytes(), type=Context)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except msgspec.MsgspecError as error:
            raise CliError(f"{folder / CONTEXT_PATH} is not a context: {error}", code=Exit.USAGE) from error
    return None
