"""Packs a policy bundle into the archive that OPA loads: a .tar.gz of its rules, data and manifest."""

import gzip
import io
import tarfile
from typing import Final

import msgspec

from gateway.policy.bundle import Bundle
from gateway.policy.opa import batches

MANIFEST: Final = ".manifest"
DATA: Final = "data.json"


def pack_bundle(bundle: Bundle) -> bytes:
    """The archive of `bundle`, without its tests and schemas. The same bundle gives the same bytes.

    Its manifest has the bundle's revision, by which OPA says in each answer what it has decided with, and one
    root: no other bundle, and nobody who writes to OPA's API, can add rules or data.
    """
    manifest = {"revision": bundle.revision, "roots": [""], "rego_version": 1}
    files = {
        MANIFEST: msgspec.json.encode(manifest),
        DATA: bundle.source.data.encode(),
        batches.MODULE_NAME: batches.MODULE.encode(),
        **{name: text.encode() for name, text in bundle.source.modules},
    }
    packed = io.BytesIO()
    # Neither the time nor the owner of a file is in it: who builds the same rules again gets the same file.
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in files.items():
            entry = tarfile.TarInfo(f"/{name}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
