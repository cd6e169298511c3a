"""The certificate authority of a deployment: creates a root, issues and verifies certificates, in a folder.

The gateway shows a client certificate with `spiffe://waypost/gateway` in its SAN; the cluster of a region a
server certificate with `spiffe://waypost/cluster/<region>` and the DNS name that the gateway pins. All files
are readable by their owner alone, and are replaced whole. `ca.pem` begins with the root that issues; while
the root is exchanged (`waypost.pki.root_rotation`) a second one follows, which is trusted as well.

    ca.pem  ca.key  gateway.pem  gateway.key  api.pem  api.key  clusters/<region>.pem  clusters/<region>.key
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from msgspec import structs

from waypost import tls
from waypost.files.permissions import make_private_folder
from waypost.pki.certificates import (
    CertificateProfile,
    api_profile,
    certificate_pem,
    cluster_profile,
    gateway_profile,
    is_issued_by,
    key_pem,
    new_key,
    read_certificate,
    read_certificates,
    read_key,
    replace_file,
    self_signed_root,
    signed,
    temporary_file,
)
from waypost.tls import Credentials, PkiError

ROOT_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 90
RENEWED_BELOW: Final = 1 / 3
"""The fraction of its lifetime below which a certificate is issued again."""
_OF_CLUSTER: Final = "clusters/"
_EXISTS: Final = "{} exists: a root is never overwritten; remove the folder to start over"


def create_root(directory: Path, *, days: int = ROOT_DAYS) -> None:
    """Creates the key and the certificate of the root, valid for `days`, in a folder.

    Raises `PkiError` where there is a root, or half of one: a root is never overwritten.
    """
    make_private_folder(directory)
    files = (directory / "ca.key", directory / "ca.pem")
    for path in files:
        if path.exists():
            raise PkiError(_EXISTS.format(path))
    key = new_key()
    contents = (key_pem(key), certificate_pem(self_signed_root(key, days=days)))
    for path, content in zip(files, contents, strict=True):
        with temporary_file(path, content) as temporary:
            try:
                os.link(temporary, path)  # a rename would overwrite the root of a process that was quicker
            except FileExistsError:
                raise PkiError(_EXISTS.format(path)) from None


def issue_gateway(directory: Path, *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """Issues the gateway's client certificate, unless a valid one exists; returns the paths of its files.

    One with less than a third of its lifetime left is replaced. Raises `PkiError` without a usable root.
    """
    return _issue(directory, tls.gateway_credentials(directory), gateway_profile(), days)


def issue_cluster(directory: Path, region: str, *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """Issues the certificate of `region`'s cluster, unless a valid one exists; returns its files' paths.

    One with less than a third of its lifetime left is replaced. Raises `PkiError` without a usable root.
    """
    return _issue(directory, tls.cluster_credentials(directory, region), cluster_profile(region), days)


def issue_api(directory: Path, hosts: Sequence[str], *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """Issues the certificate of the gateway's API, unless a valid one exists; returns its files' paths.

    `hosts` are at least one DNS name or IP address. A certificate with less than a third of its lifetime left
    is replaced. Raises `PkiError` for unusable `hosts` and without a usable root.
    """
    profile = api_profile(hosts)
    if not profile.names:
        raise PkiError("a certificate for the API needs the names or addresses that it is called by")
    return _issue(directory, tls.api_credentials(directory), profile, days)


def issue_again(directory: Path, name: str, *, days: int = CERTIFICATE_DAYS) -> Credentials:
    """Issues the certificate `name` again, however much of its lifetime is left; returns its files' paths.

    `name` is one of `issued_names`; that of the API is issued for the hosts that it has. Raises `PkiError`
    where the folder has no such certificate, and without a usable root.
    """
    credentials = credentials_of(directory, name)
    before = read_certificate(credentials.certificate)
    if name == "gateway":
        profile = gateway_profile()
    elif name == "api":
        try:
            hosts = before.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            raise PkiError(f"{credentials.certificate} names no host") from None
        profile = structs.replace(api_profile(()), names=tuple(hosts))
    else:
        profile = cluster_profile(name.removeprefix(_OF_CLUSTER))
    return _issue(directory, credentials, profile, days, again=True)


def issued_names(directory: Path) -> list[str]:
    """Returns the names of the certificates in a folder, without the root: `gateway`, `clusters/beijing`."""
    stems = (path.stem for path in sorted((directory / "clusters").glob("*.pem")))
    names = ["gateway", "api", *(_OF_CLUSTER + stem for stem in stems if tls.REGION.fullmatch(stem))]
    return [name for name in names if credentials_of(directory, name).certificate.exists()]


def credentials_of(directory: Path, name: str) -> Credentials:
    """Returns the paths of the files of the certificate `name` (see `issued_names`), which may be absent.

    Raises `PkiError` for a name that no certificate has.
    """
    if name == "gateway":
        return tls.gateway_credentials(directory)
    if name == "api":
        return tls.api_credentials(directory)
    if not name.startswith(_OF_CLUSTER):
        raise PkiError(f"{name!r} is no certificate's name; these are gateway, api and {_OF_CLUSTER}REGION")
    return tls.cluster_credentials(directory, name.removeprefix(_OF_CLUSTER))


def _issue(
    directory: Path,
    credentials: Credentials,
    profile: CertificateProfile,
    days: int,
    *,
    again: bool = False,
) -> Credentials:
    now = datetime.now(UTC)
    if found := _root_problems(directory, now) or _signing_problems(directory):
        raise PkiError(found[0])
    with _issuer_lock(directory / "ca.key"):
        good = not _problems(directory, credentials, profile, now)
        if not again and good and not _ends_soon(read_certificate(credentials.certificate), now):
            return credentials
        key = new_key()
        root, root_key = read_certificate(directory / "ca.pem"), read_key(directory / "ca.key")
        certificate = signed(profile, key, root=root, root_key=root_key, days=days)
        make_private_folder(credentials.certificate.parent)
        for path, content in (
            (credentials.key, key_pem(key)),
            (credentials.certificate, certificate_pem(certificate)),
        ):
            replace_file(path, content)
        return credentials


def _ends_soon(certificate: x509.Certificate, now: datetime) -> bool:
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < lifetime * RENEWED_BELOW


@contextmanager
def _issuer_lock(path: Path) -> Iterator[None]:
    """Holds a lock on the file at `path` inside `with`: one process at a time issues certificates.

    Two at once could leave the key of one beside the certificate of the other.
    """
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# Verification


def verify(directory: Path, *, now: datetime | None = None) -> list[str]:
    """Verifies the certificates in a folder; returns a sentence for each fault, so none if all are good.

    An absent file is not a fault, except the root's certificate: a machine holds only what it needs. Without
    the root's certificate nothing else is checked.
    """
    now = now or datetime.now(UTC)
    found = _root_problems(directory, now)
    if _unreadable(read_certificate, directory / "ca.pem"):
        return found
    if (directory / "ca.key").exists():
        found += _signing_problems(directory)
    for credentials, profile in _issued(directory):
        if credentials.certificate.exists() or credentials.key.exists():
            found += _problems(directory, credentials, profile, now)
    return found


def _issued(directory: Path) -> Iterator[tuple[Credentials, CertificateProfile]]:
    yield tls.gateway_credentials(directory), gateway_profile()
    yield tls.api_credentials(directory), api_profile(())  # under which names it was issued is not known here
    stems = {path.stem for path in (directory / "clusters").glob("*.*")}
    for region in sorted(stem for stem in stems if tls.REGION.fullmatch(stem)):
        yield tls.cluster_credentials(directory, region), cluster_profile(region)


def _root_problems(directory: Path, now: datetime) -> list[str]:
    path = directory / "ca.pem"
    if not path.exists():
        return [f"{path} is missing: create a root first"]
    return _unreadable(read_certificate, path) or _out_of_date(path, read_certificate(path), now)


def _signing_problems(directory: Path) -> list[str]:
    path = directory / "ca.key"
    if not path.exists():
        return [f"{path} is missing: certificates are issued where the root's key is"]
    if unreadable := _unreadable(read_key, path):
        return unreadable
    fits = read_key(path).public_key() == read_certificate(directory / "ca.pem").public_key()
    mismatch = [] if fits else [f"{path} is not the key of {directory / 'ca.pem'}"]
    return tls.key_permission_problems(path) + mismatch


def _problems(
    directory: Path, credentials: Credentials, profile: CertificateProfile, now: datetime
) -> list[str]:
    path = credentials.certificate
    if unreadable := _unreadable(read_certificate, path) + _unreadable(read_key, credentials.key):
        return unreadable
    certificate, key = read_certificate(path), read_key(credentials.key)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [f"{path} does not say what it is for"]
    if not any(is_issued_by(certificate, root) for root in read_certificates(directory / "ca.pem")):
        return [f"{path} was not issued by {directory / 'ca.pem'}"]
    found = tls.key_permission_problems(credentials.key)
    if certificate.public_key() != key.public_key():
        found.append(f"{credentials.key} is not the key of {path}")
    if list(usage) != [profile.usage] or (profile.names and set(names) != set(profile.names)):
        found.append(f"{path} is not a certificate of {profile.name}")
    return found + _out_of_date(path, certificate, now)


def _unreadable(read: Callable[[Path], object], path: Path) -> list[str]:
    try:
        read(path)
    except PkiError as error:
        return [str(error)]
    return []


def _out_of_date(path: Path, certificate: x509.Certificate, now: datetime) -> list[str]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= now:
        return [f"{path} expired on {ends:%Y-%m-%d %H:%M} UTC"]
    return [f"{path} is not valid before {begins:%Y-%m-%d %H:%M} UTC"] if begins > now else []
