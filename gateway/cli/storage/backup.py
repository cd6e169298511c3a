"""`waypost backup`: copies the gateway's SQLite store to a new folder while the gateway runs or not."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.errors import CliError
from gateway.cli.output import command, console, format_time
from gateway.cli.storage.settings import Config, configured_backups
from gateway.store.backups import BackupError


@command
def backup(
    destination: Annotated[Path, Parameter(help="The folder to be made; 0700, its files 0600.")],
    /,
    *,
    config: Config = None,
) -> None:
    """Copy the gateway's SQLite store to a new folder, while the gateway runs and accepts or not.

    What was acknowledged before the copy began is in it. The copy is verified, and the folder has its name
    only once all of it is on the disk.
    """
    try:
        made = configured_backups(config).take(destination, version=version("waypost"))
    except BackupError as error:
        raise CliError(str(error)) from error
    seal = f"sealed up to seal {made.last_seal}" if made.last_seal else "not sealed"
    lines = (
        f"{destination}: the store of {format_time(made.made_at)}, {made.rows.get('run', 0)} runs,"
        f" {made.bytes:,} bytes, {seal}, verified",
        f"to restore it: stop the gateway, then waypost restore {destination} --force"
        f"{'' if config is None else f' --config {config}'}",
    )
    for line in lines:
        console().print(line, markup=False)
