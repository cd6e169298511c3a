"""Reads and checks uploaded policy bundle archives; refuses those that no engine here could use."""

from collections.abc import Iterator

from msgspec import Struct, structs

from gateway.policy.bundle import DATA_FILE, OPA_ENGINE, Bundle, bundle_of
from gateway.policy.embedded.loading import check_bundle
from gateway.policy.opa import batches
from gateway.policy.opa.bundle_archive import (
    MANIFEST,
    SIGNATURES,
    ArchiveError,
    Files,
    Manifest,
    manifest_of,
    unpack,
)
from gateway.policy.opa.bundle_signature import VerificationKey, verify
from gateway.policy.source import BundleError, Diagnostic

RULES_SUFFIX = ".rego"


class GatedBundle(Struct, frozen=True, kw_only=True):
    """An uploaded policy bundle that passed the checks: its archive, its manifest, its rules and data."""

    archive: bytes
    manifest: Manifest
    bundle: Bundle


class BundleGate:
    """Checks uploaded policy bundles and verifies their signatures with `key`.

    Without `key`, bundles are accepted without a signature if `unsigned`, and else refused. `opa`: the
    gateway asks an OPA, so that a bundle may be one that only an OPA can evaluate.
    """

    def __init__(self, *, key: VerificationKey | None, unsigned: bool, opa: bool) -> None:
        self.key, self.unsigned, self.opa = key, unsigned, opa

    def check(self, archive: bytes) -> GatedBundle:
        """Verifies the signature of a policy bundle archive and checks its rules; returns the bundle.

        Takes long: not for the event loop. Raises `ArchiveError` for what is no bundle, or not signed as it
        must be, and `BundleError`, with file and line, for rules and data that cannot be used.
        """
        if self.key is not None:
            verify(archive, self.key)
        elif not self.unsigned:
            raise ArchiveError("this gateway has no key to verify it with: set policy.bundle_key")
        found = self.read(archive)
        if found.manifest.engine == OPA_ENGINE:
            if not self.opa:
                detail = "this bundle wants engine opa: set policy.engine to one"
                raise BundleError([Diagnostic(file=MANIFEST, line=0, detail=detail)])
        elif diagnostics := check_bundle(found.bundle):
            raise BundleError(diagnostics)
        return found

    def read(self, archive: bytes) -> GatedBundle:
        """Reads a policy bundle from an `archive`, without verifying its signature or compiling its rules.

        Raises `ArchiveError` for a damaged archive or a wrong manifest, and `BundleError` for missing or
        unknown files and for data that do not fit their schema.
        """
        files = unpack(archive)
        manifest = manifest_of(files)
        if manifest.engine not in ("", OPA_ENGINE):
            raise ArchiveError(f"its metadata.engine is {manifest.engine!r:.50}: opa, or none")
        for_opa = manifest.engine == OPA_ENGINE
        if not for_opa and (unknown := list(_unknown_files(files))):
            raise BundleError(unknown)
        if DATA_FILE not in files and not for_opa:
            raise BundleError([Diagnostic(file=DATA_FILE, line=0, detail="it is missing")])
        texts = {name: _text(name, files) for name in sorted(files) if _is_rule(name)}
        data = _text(DATA_FILE, files) if DATA_FILE in files else None
        if not texts:
            raise BundleError([Diagnostic(file="rules", line=0, detail="there are none: no .rego file")])
        bundle = bundle_of(texts.items(), data, engine=manifest.engine)
        # Under the revision that OPA says in its answers too.
        named = structs.replace(bundle, revision=manifest.revision)
        return GatedBundle(archive=archive, manifest=manifest, bundle=named)


def _is_rule(name: str) -> bool:
    # What `waypost policy build` adds for OPA is no rule of the bundle, and no part of its revision.
    return name.endswith(RULES_SUFFIX) and name != batches.MODULE_NAME


def _unknown_files(files: Files) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each file of a bundle that OPA might load and the embedded engine would not."""
    for name in sorted(files):
        if name not in (MANIFEST, SIGNATURES, DATA_FILE) and not name.endswith(RULES_SUFFIX):
            yield Diagnostic(file=name, line=0, detail="a bundle has rules (.rego) and one data.json alone")


def _text(name: str, files: Files) -> str:
    try:
        return files[name].decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError([Diagnostic(file=name, line=0, detail="is not UTF-8")]) from error
