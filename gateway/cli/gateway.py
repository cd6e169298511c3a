"""`waypost gateway`: runs a gateway until it is stopped."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import structs

from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command
from gateway.gateway_process import serve
from gateway.settings_loading import SettingsError, load_settings


@command
def gateway(
    *,
    config: Annotated[
        Path | None, Parameter(help="TOML file with settings; WAYPOST_* in the environment win.")
    ] = None,
    dev: Annotated[
        Path | None,
        Parameter(help="Accept tokens of the development issuer in this folder. Never in production."),
    ] = None,
    restored: Annotated[
        bool,
        Parameter(
            help="Once, after the store was restored from a copy and the regions do not agree on that:"
            " every attempt under way is given up and its shard placed again."
        ),
    ] = False,
) -> int:
    """Run a gateway until it is stopped. It prints one line of JSON when it is ready."""
    try:
        settings = load_settings(config, os.environ)
    except SettingsError as error:
        raise CliError(str(error), code=Exit.USAGE) from error
    if restored:
        settings = structs.replace(settings, store_restored=True)
    return serve(structs.replace(settings, development=str(dev)) if dev else settings)
