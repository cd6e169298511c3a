"""`waypost pki`: makes and checks the TLS certificates of a gateway and its clusters."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple, assert_never

from cyclopts import App, Parameter

from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command, console
from waypost import tls
from waypost.pki import authority, root_rotation
from waypost.pki.root_rotation import RotationStep
from waypost.tls import PkiError

app = App(
    name="pki",
    synonym=("certificates", "certs"),
    help="Certificates for the connections between the gateway and its clusters.",
)
Folder = Annotated[
    Path, Parameter(help="Where the root and the certificates are. Its *.key files are secrets.")
]


class WantedCertificate(NamedTuple):
    """A certificate that `waypost pki init` makes by calling `issue`, unless `path` has a valid one."""

    name: str
    path: Path
    issue: Callable[[], object]


@app.command
@command
def init(
    directory: Folder,
    /,
    *regions: Annotated[str, Parameter(help="Names of regions, each with a cluster.")],
    api: Annotated[
        tuple[str, ...],
        Parameter(help="A name or address that the API is called by: a certificate for it, too. Repeatable."),
    ] = (),
) -> None:
    """Make a root certificate, and certificates for a gateway and the named regions.

    An existing root is kept, not replaced.
    """
    done: dict[str, list[str]] = {"made": [], "kept": []}
    with _pki_errors():
        for name, path, issue in _wanted_certificates(directory, regions, api):
            before = _content(path)
            issue()
            done["kept" if _content(path) == before else "made"].append(name)
    for what, names in done.items():
        if names:
            console().print(f"{directory}: {what} {', '.join(names)}", markup=False)


def _wanted_certificates(
    directory: Path, regions: Sequence[str], api: Sequence[str]
) -> list[WantedCertificate]:
    """Returns the certificates that `init` makes: the root first, since it signs the others."""
    gateway = tls.gateway_credentials(directory).certificate
    wanted = [
        WantedCertificate("root", directory / "ca.pem", partial(_create_root, directory)),
        WantedCertificate("gateway", gateway, partial(authority.issue_gateway, directory)),
    ]
    for region in regions:
        path = tls.cluster_credentials(directory, region).certificate
        wanted.append(WantedCertificate(region, path, partial(authority.issue_cluster, directory, region)))
    if api:
        path = tls.api_credentials(directory).certificate
        wanted.append(WantedCertificate("api", path, partial(authority.issue_api, directory, api)))
    return wanted


def _create_root(directory: Path) -> None:
    # never replaced: all certificates that it signed would become worthless
    if not (directory / "ca.pem").exists():
        authority.create_root(directory)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@app.command
@command
def renew(
    directory: Folder,
    /,
    *names: Annotated[str, Parameter(help="gateway, api or clusters/REGION; none: all.")],
) -> None:
    """Issue certificates again now, however long they are still valid: for instance when a key was seen.

    `init` renews what has less than a third of its lifetime left.
    """
    with _pki_errors():
        for name in names or authority.issued_names(directory):
            authority.issue_again(directory, name)
            console().print(f"{directory}: issued {name}", markup=False)


@app.command
@command
def rotate_root(
    directory: Folder,
    /,
    *,
    step: Annotated[RotationStep | None, Parameter(help="The step to take; none: say which is next.")] = None,
) -> None:
    """Exchange the root certificate in three steps; between them the files are brought to the processes."""
    with _pki_errors():
        if step is None:
            following = root_rotation.next_step(directory)
            console().print(f"next: waypost pki rotate-root {directory} --step {following}", markup=False)
            return
        for line in _take_step(directory, step):
            console().print(line, markup=False)


def _take_step(directory: Path, step: RotationStep) -> tuple[str, str]:
    """Takes a step of a root's exchange; returns what was done, and what is to be done next."""
    match step:
        case RotationStep.TRUST:
            root_rotation.trust_new_root(directory)
            return (
                f"{directory}/ca.pem has the present root and a new one.",
                "Now bring ca.pem to the gateway and to all clusters, and wait until each has logged that its"
                " certificates were read again. Then: --step issue",
            )
        case RotationStep.ISSUE:
            names = root_rotation.issue_from_new_root(directory)
            return (
                f"The new root issued {', '.join(names) or 'nothing: the folder has no other certificate'}.",
                "Now bring ca.pem and its own pair to each process, in any order, and wait as before. Then:"
                " --step retire",
            )
        case RotationStep.RETIRE:
            root_rotation.retire_old_root(directory)
            return (
                f"{directory}/ca.pem has the new root alone.",
                "Now bring ca.pem to all processes: until then they trust the old root as well.",
            )
        case _:
            assert_never(step)


@contextmanager
def _pki_errors() -> Iterator[None]:
    """Raises a `PkiError` inside `with` as the error of a wrong use of the command."""
    try:
        yield
    except PkiError as error:
        raise CliError(str(error), code=Exit.USAGE) from error


@app.command
@command
def verify(directory: Folder, /) -> int | None:
    """Check a folder of certificates and print every problem; exit code 1 if there is any."""
    problems = authority.verify(directory)
    for problem in problems:
        console().print(problem, markup=False)
    if not problems:
        console().print(f"ok: {directory}", markup=False)
    return Exit.FAILED if problems else None
