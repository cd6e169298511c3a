"""Exchanges the root of a folder of certificates in three steps, during which all processes know each other.

1. trust: a new root is created; `ca.pem` has both. Every process gets the new `ca.pem`.
2. issue: the new root issues all certificates again. Every process gets its new pair.
3. retire: `ca.pem` has the new root alone. Every process gets it, and trusts the old one no more.

What was done is read from the folder, so a step that was interrupted is done again. Between two steps the
files are brought to the processes, which read them without a restart (`waypost.tls_reloading`).
"""

from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509

from waypost.pki import authority
from waypost.pki.certificates import (
    certificate_pem,
    is_issued_by,
    key_pem,
    new_key,
    read_certificate,
    read_certificates,
    read_key,
    replace_file,
    self_signed_root,
)
from waypost.tls import PkiError

NEXT_KEY: Final = "ca-next.key"
"""The name of the file with the new root's key, until that root issues certificates."""


class RotationStep(StrEnum):
    """The steps in which a root is exchanged, in their order."""

    TRUST = "trust"
    ISSUE = "issue"
    RETIRE = "retire"


def next_step(directory: Path) -> RotationStep:
    """Returns the step that the folder is to take next: `TRUST` where no exchange has begun.

    Raises `PkiError` where the root or the new root's key cannot be read.
    """
    roots = read_certificates(directory / "ca.pem")
    if _next_root(directory, roots) is not None:
        return RotationStep.ISSUE
    return RotationStep.RETIRE if len(roots) > 1 else RotationStep.TRUST


def trust_new_root(directory: Path, *, days: int = authority.ROOT_DAYS) -> None:
    """Creates a new root, and adds it to `ca.pem` behind the present one, which goes on to issue.

    Raises `PkiError` where an exchange has begun already, or the folder has no usable root with its key.
    """
    _require(directory, RotationStep.TRUST)
    if not (directory / "ca.key").exists():
        raise PkiError(f"{directory / 'ca.key'} is missing: a root is exchanged where its key is")
    key = new_key()
    replace_file(directory / NEXT_KEY, key_pem(key))
    _write_roots(directory, [*read_certificates(directory / "ca.pem"), self_signed_root(key, days=days)])


def issue_from_new_root(directory: Path) -> list[str]:
    """Lets the new root issue all certificates of the folder again; returns their names.

    Where this was interrupted, it issues what is not from the new root yet. Raises `PkiError` where no new
    root is trusted yet.
    """
    roots = read_certificates(directory / "ca.pem")
    if (new := _next_root(directory, roots)) is not None:
        # The old root stays trusted. Were this interrupted here, the key would still be at its place.
        _write_roots(directory, [new, *(root for root in roots if root != new)])
        (directory / NEXT_KEY).replace(directory / "ca.key")
    else:
        _require(directory, RotationStep.RETIRE, wanted=RotationStep.ISSUE)
    names = old_names(directory)
    for name in names:
        authority.issue_again(directory, name)
    return names


def retire_old_root(directory: Path) -> None:
    """Leaves only the new root in `ca.pem`.

    Raises `PkiError` where the steps before were not taken, or a certificate in the folder is from the old
    root.
    """
    _require(directory, RotationStep.RETIRE)
    if old := old_names(directory):
        raise PkiError(
            f"{', '.join(old)}: issued by the root that is to be retired; take the step"
            f" {RotationStep.ISSUE} again, and bring the new certificates to their processes"
        )
    _write_roots(directory, [read_certificate(directory / "ca.pem")])


def old_names(directory: Path) -> list[str]:
    """Returns the names of the certificates in the folder that another root than the present one issued.

    Only roots of ours count: the API's certificate may be from an authority that callers know.
    """
    _, *others = read_certificates(directory / "ca.pem")
    return [
        name
        for name in authority.issued_names(directory)
        for certificate in [read_certificate(authority.credentials_of(directory, name).certificate)]
        if any(is_issued_by(certificate, root) for root in others)
    ]


def _next_root(directory: Path, roots: list[x509.Certificate]) -> x509.Certificate | None:
    """Returns the root in `ca.pem` that the new root's key belongs to; None where there is none.

    A key without its root was left by an interruption before `ca.pem` had it, and is worth nothing.
    """
    path = directory / NEXT_KEY
    if not path.exists():
        return None
    public_key = read_key(path).public_key()
    return next((root for root in roots if root.public_key() == public_key), None)


def _require(directory: Path, step: RotationStep, *, wanted: RotationStep | None = None) -> None:
    if (found := next_step(directory)) is not step:
        raise PkiError(f"the next step for {directory} is {found}, not {wanted or step}")


def _write_roots(directory: Path, roots: list[x509.Certificate]) -> None:
    replace_file(directory / "ca.pem", b"".join(map(certificate_pem, roots)))
