"""A real OPA for tests that fetches its bundle from a gateway and reports to it."""

import json
from pathlib import Path

from gateway.cli.dev.opa_process import OpaProcess
from gateway.cli.dev.stack_opa import polling_configuration
from tests.gateway.policy.opa.keys import write_public_key
from tests.opa_fixture import OPA


def polling_opa(folder: Path, port: int, path: str, *, partition: str = "") -> OpaProcess:
    """Returns an OPA process that fetches the bundle `path` from a port of this machine, by long polling."""
    assert OPA is not None
    folder.mkdir()
    key = write_public_key(folder / "key").read_text()
    config = polling_configuration(f"http://127.0.0.1:{port}", key, resource=path, partition=partition)
    # Without it, it sends nobody what it decides.
    del config["decision_logs"]
    (folder / "opa.json").write_text(json.dumps(config))
    return OpaProcess(OPA, None, folder / "opa.sock", log=folder / "opa.log", config=folder / "opa.json")
