"""A real OPA that fetches its bundle from a gateway, and reports to it, for tests."""

import json
from pathlib import Path

from gateway.cli.dev.opa_process import OpaProcess
from tests.gateway.policy.opa.keys import VERIFIES, write_public_key
from tests.opa_fixture import OPA


class PollingOpa(OpaProcess):
    """An OPA that fetches its bundle as the configuration file says."""

    def command(self) -> list[str]:
        words = super().command()
        words[words.index("--bundle")] = "--config-file"
        return words


def polling_opa(folder: Path, port: int, path: str, *, partition: str = "") -> PollingOpa:
    """An OPA that fetches `path` at a port of this machine, by long polling; its files are in `folder`."""
    assert OPA is not None
    folder.mkdir()
    config = {
        "services": {"waypost": {"url": f"http://127.0.0.1:{port}"}},
        "keys": {"waypost": {"algorithm": "ES256", "key": write_public_key(folder / "key").read_text()}},
        "bundles": {
            "policy": {
                "service": "waypost",
                "resource": path,
                "signing": {"keyid": VERIFIES.key_id},
                "polling": {
                    "min_delay_seconds": 1,
                    "max_delay_seconds": 2,
                    "long_polling_timeout_seconds": 30,
                },
            }
        },
        "status": {"service": "waypost", **({"partition_name": partition} if partition else {})},
    }
    (folder / "opa.json").write_text(json.dumps(config))
    return PollingOpa(OPA, folder / "opa.json", folder / "opa.sock", log=folder / "opa.log")
