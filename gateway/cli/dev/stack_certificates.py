"""Issues the TLS certificates of a development stack, and hands each region its own."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from waypost.files.permissions import make_private_folder, write_private
from waypost.pki import authority
from waypost.tls import Credentials, cluster_credentials


def issue_certificates(folder: Path, regions: Mapping[str, Path]) -> None:
    """Issues the certificates of a gateway, in `folder`, and of each region, in the folder that it maps to.

    They are of a new root, whose key is not kept. All processes are started after this, so none of them holds
    a certificate of an earlier root.
    """
    shutil.rmtree(folder, ignore_errors=True)
    authority.create_root(folder)
    authority.issue_gateway(folder)
    for region, own in regions.items():
        _hand_over(authority.issue_cluster(folder, region), cluster_credentials(own, region))
    (folder / "ca.key").unlink()


def _hand_over(issued: Credentials, given: Credentials) -> None:
    """Moves a region's key and certificate to where they are `given`, with a copy of the root's.

    The region's tasks run as its user, and must not find the gateway's key.
    """
    make_private_folder(given.certificate.parent)
    for source, copy in (
        (issued.root, given.root),
        (issued.key, given.key),
        (issued.certificate, given.certificate),
    ):
        write_private(copy, source.read_bytes())
    issued.key.unlink()
    issued.certificate.unlink()  # one without its key would be a fault to `waypost pki verify`
