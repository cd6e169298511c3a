"""Finds the backup and restore of the store that a gateway's settings name."""

import os
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from gateway.app import store_kind
from gateway.cli.errors import CliError, Exit
from gateway.settings_loading import SettingsError, load_settings
from gateway.start_error import StartError
from gateway.store.backups import Backups

Config: TypeAlias = Annotated[
    Path | None, Parameter(help="The gateway's TOML file with settings; WAYPOST_* in the environment win.")
]


def configured_backups(config: Path | None) -> Backups:
    """Returns the backup and restore of the store that the settings in the file `config` name.

    Raises `CliError` for settings that cannot be used, and for a store that its database's tools back up.
    """
    try:
        kind, address = store_kind(load_settings(config, os.environ).store)
    except (SettingsError, StartError) as error:
        raise CliError(str(error), code=Exit.USAGE) from error
    if kind.backups is None:
        raise CliError(f"a store {kind.form} is backed up by the tools of its database", code=Exit.USAGE)
    return kind.backups(address)
