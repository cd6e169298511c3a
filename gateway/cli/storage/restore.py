"""`waypost restore`: puts the gateway's SQLite store back from a backup, while no gateway runs on it."""

import getpass
import socket
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gateway.cli.errors import CliError
from gateway.cli.output import command, console, format_time
from gateway.cli.storage.settings import Config, configured_backups
from gateway.store.backups import BackupError, Restored


@command
def restore(
    source: Annotated[Path, Parameter(help="The folder that `waypost backup` has made.")],
    /,
    *,
    config: Config = None,
    force: Annotated[
        bool, Parameter(negative="", help="Replace the store that is there; it is kept beside the new one.")
    ] = False,
) -> None:
    """Put the gateway's SQLite store back from a backup, which is verified first. The gateway must not run.

    The restored store says by itself that it was restored: at its next start the gateway begins a new era,
    and places again what the backup shows as running.
    """
    try:
        done = configured_backups(config).restore(
            source, force=force, actor=f"{_account()}@{socket.gethostname()}"
        )
    except BackupError as error:
        raise CliError(str(error)) from error
    for line in _lines(done, source, config):
        console().print(line, markup=False)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown account"


def _lines(done: Restored, source: Path, config: Path | None) -> list[str]:
    manifest = done.manifest
    lines = [
        f"{done.store}: restored from {source}, the store of {format_time(manifest.made_at)},"
        f" {manifest.rows.get('run', 0)} runs"
    ]
    if done.kept is not None:
        lines.append(f"the store that was there is in {done.kept}: remove it once you do not need it")
    if done.replaced_seal is not None and done.replaced_seal > manifest.last_seal:
        lines.append(
            f"the audit trail forks after seal {manifest.last_seal}: what the seals up to"
            f" {done.replaced_seal} are over is in the replaced store and in exports alone"
        )
    lines.append(
        "what was accepted after the backup is not in it: its callers submit again, and what of it runs on"
        " clusters is ended"
    )
    lines.append(
        f"next: waypost gateway{'' if config is None else f' --config {config}'}, which begins a new era;"
        " then see waypost audit list --kind BackupRestored, and waypost regions"
    )
    return lines
