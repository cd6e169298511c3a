"""`waypost policy build|sign|verify`: builds the policy bundle that OPA loads, signs it, verifies it."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from gateway.cli.errors import CliError, Exit
from gateway.cli.output import command
from gateway.policy.bundle import read_bundle
from gateway.policy.opa.bundle_archive import ArchiveError, manifest_of, pack_bundle, unpack
from gateway.policy.opa.bundle_signature import (
    BundleKeyError,
    read_signing_key,
    read_verification_key,
    sign,
    verify,
)
from gateway.policy.source import BundleError
from waypost.files.permissions import write_private

SEQUENCE: Final = Number(gte=0, lte=2**53 - 1)
Archive = Annotated[Path, Parameter(help="The archive of a bundle, a .tar.gz.")]
Key = Annotated[Path, Parameter(help="The PEM file of the key, EC on P-256.")]
KeyId = Annotated[str, Parameter(help="The name of the key, as OPA's configuration has it.")]


@command
def build(
    directory: Annotated[Path, Parameter(help="A folder of Rego files.")],
    *,
    output: Annotated[Path, Parameter(name=("--output-file", "-f"), help="Where the archive goes.")],
    sequence: Annotated[
        int, Parameter(validator=SEQUENCE, help="How-manieth release this is; a gateway takes no older one.")
    ],
    data: Annotated[Path | None, Parameter(help="A JSON file in place of the folder's data.")] = None,
) -> int:
    """Pack the Rego rules and data in DIRECTORY into the bundle that OPA loads, and print its revision."""
    try:
        bundle = read_bundle(directory, data)
    except BundleError as error:
        raise CliError("it is no bundle", lines=tuple(str(error).splitlines())) from error
    write_private(output, pack_bundle(bundle, sequence=sequence))
    print(f"{output}: revision {bundle.revision}, sequence {sequence}, not signed")
    return Exit.DONE


@command
def sign_archive(archive: Archive, *, key: Key, key_id: KeyId = "waypost") -> int:
    """Sign the policy bundle ARCHIVE, in place, with ES256 as OPA verifies it."""
    try:
        signed = sign(archive.read_bytes(), read_signing_key(key, key_id))
        manifest = manifest_of(unpack(signed))
    except (ArchiveError, BundleKeyError) as error:
        raise CliError(f"{archive}: {error}") from error
    write_private(archive, signed)
    print(f"{archive}: revision {manifest.revision}, sequence {manifest.sequence}, signed by {key_id}")
    return Exit.DONE


@command
def verify_archive(
    archive: Archive,
    *,
    key: Key,
    key_id: KeyId = "waypost",
    newer_than: Annotated[
        int, Parameter(validator=Number(gte=-1), help="The sequence that it must exceed.")
    ] = -1,
) -> int:
    """Verify that the policy bundle ARCHIVE is whole, and signed by the key whose public half is in KEY."""
    try:
        manifest = verify(archive.read_bytes(), read_verification_key(key, key_id))
    except (ArchiveError, BundleKeyError) as error:
        raise CliError(f"{archive}: {error}") from error
    if manifest.sequence <= newer_than:
        raise CliError(f"{archive}: its sequence {manifest.sequence} is not newer than {newer_than}")
    print(f"{archive}: revision {manifest.revision}, sequence {manifest.sequence}, signed by {key_id}: ok")
    return Exit.DONE
