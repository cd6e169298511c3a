"""`waypost token`: makes tokens of the development issuer."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from gateway.cli.context import DEVELOPMENT, find_context
from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console
from gateway.documents.workflow import Tenant
from gateway.identity.development_issuer import KEY_FILE, MAXIMUM_LIFETIME_SECONDS, SCOPES, mint_token
from waypost.suggestions import closest

app = App(name="token", synonym=("login", "auth"), help="Tokens for development.")


@app.command
@command
def mint(
    *,
    dev: Annotated[
        bool,
        Parameter(negative="", help="Required: such a token is good for a gateway started with --dev alone."),
    ] = False,
    tenant: Annotated[str, Parameter(help="Whose work it submits and sees.")] = "demo",
    subject: Annotated[str, Parameter(help="Who it is.")] = "developer",
    scope: Annotated[
        tuple[str, ...], Parameter(negative="", help="What it is good for. May be repeated.")
    ] = SCOPES,
    group: Annotated[
        tuple[str, ...], Parameter(negative="", help="What it is a member of. May be repeated.")
    ] = (),
    lifetime_seconds: Annotated[
        int,
        Parameter(
            validator=Number(gte=1, lte=MAXIMUM_LIFETIME_SECONDS),
            help="From now; a gateway takes no longer ones than a day.",
        ),
    ] = 3600,
    folder: Annotated[
        Path | None,
        Parameter(help="Of the development issuer, or of `waypost up` (.waypost). Default: what runs here."),
    ] = None,
) -> None:
    """Print a new token of the development issuer."""
    if not dev:
        raise CliError("only development tokens can be made here: say --dev", code=Exit.USAGE)
    _check_tenant(tenant)
    _warn_of_unknown_scopes(scope)
    issuer = _issuer_folder() if folder is None else _issuer_folder_in(folder)
    try:
        token = mint_token(
            issuer,
            subject=subject,
            tenant=tenant,
            scopes=scope,
            groups=group,
            lifetime_seconds=lifetime_seconds,
        )
    except OSError as error:
        hint = "It is the folder of `waypost gateway --dev`, or .waypost/development."
        message = f"no development issuer in {issuer}: {error.strerror}"
        raise CliError(message, lines=(hint,), code=Exit.USAGE) from error
    sys.stdout.write(token + "\n")


def _check_tenant(tenant: str) -> None:
    """Raises `CliError` for a tenant's name with characters that no workflow document may use in it."""
    try:
        msgspec.convert(tenant, Tenant)
    except msgspec.ValidationError as error:
        raise CliError(
            f"--tenant {tenant}: letters and digits, with dots, dashes and underscores between them",
            code=Exit.USAGE,
        ) from error


def _warn_of_unknown_scopes(scopes: Sequence[str]) -> None:
    """Prints a warning for each scope that no shipped rule knows.

    It is no error, since custom rules may know the scope.
    """
    for word in (word for scope in scopes for word in scope.split() if word not in SCOPES):
        near = closest(word, SCOPES)
        meant = f"did you mean {near}?" if near else f"there are {', '.join(SCOPES)}"
        console(stderr=True).print(f"warning: Waypost knows no scope {word}; {meant}", markup=False)


def _issuer_folder_in(folder: Path) -> Path:
    """Returns the development issuer's folder: `folder` itself, or its subfolder in a `waypost up` folder."""
    inner = folder / DEVELOPMENT
    return inner if not (folder / KEY_FILE).exists() and (inner / KEY_FILE).exists() else folder


def _issuer_folder() -> Path:
    """Returns the development issuer's folder, which the nearest context file of `waypost up` names.

    Raises `CliError` if no context file names one.
    """
    context = find_context(Path.cwd())
    if context is None or context.development is None:
        raise CliError(
            "no development issuer is known here",
            lines=("Start one with `waypost up`, or name its --folder.",),
            code=Exit.USAGE,
        )
    return Path(context.development)
