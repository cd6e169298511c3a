"""A real S3 server for tests: Versity's gateway (Apache-2.0), which keeps objects as files in a folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clusters.embedded.artifacts.messages import Credentials
from clusters.embedded.artifacts.settings import StorageSettings
from tests.conformance.artifact_storage import StorageWorld
from waypost.pki.authority import issue_api

VERSION: Final = "1.8.0"
"""The release that `make s3` builds."""
BUCKET: Final = "backups"
KEYS: Final = Credentials(access_key="tests-of-waypost", secret_key="quiet-finch-in-the-hedge")
READY_SECONDS: Final = 30.0


def find_server() -> Path | None:
    """Returns the path of the server's program, on PATH or from `make s3`; None where there is none."""
    if on_path := shutil.which("versitygw"):
        return Path(on_path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "waypost" / f"versitygw-{VERSION}" / "versitygw"
    return built if built.exists() else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class S3Server(StorageWorld):
    """A running server with one bucket, which can be stopped and started again at its address.

    With `pki`, a folder with a root, it is reached by TLS alone.
    """

    def __init__(self, program: Path, folder: Path, pki: Path | None = None) -> None:
        self._program, self._folder, self._port = program, folder, free_port()
        self._tls = None if pki is None else issue_api(pki, ["127.0.0.1"])
        self.credentials, self.large = KEYS, 96 << 20
        self.settings = StorageSettings(
            endpoint=f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}",
            ca_file=None if self._tls is None else str(self._tls.root),
            bucket=BUCKET,
            prefix="waypost/",
            access_key="s3/id",
            secret_key="s3/key",
            write=True,
        )
        self.client = self._client()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server at its address; returns when it answers and has the bucket."""
        for name in ("objects", "metadata"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        tls = () if self._tls is None else ("--cert", self._tls.certificate, "--key", self._tls.key)
        with (self._folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self._program, "--port", f"127.0.0.1:{self._port}", *tls),
                    *("posix", "--sidecar", self._folder / "metadata", self._folder / "objects"),
                ],
                env={"ROOT_ACCESS_KEY": KEYS.access_key, "ROOT_SECRET_KEY": KEYS.secret_key},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                if BUCKET not in [one["Name"] for one in self.client.list_buckets().get("Buckets", ())]:
                    self.client.create_bucket(Bucket=BUCKET)
            except (BotoCoreError, ClientError):
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Kills the server, as it stands."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    # StorageWorld

    def put(self, path: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"waypost/{path}", Body=content)

    def get(self, path: str) -> bytes | None:
        try:
            return bytes(self.client.get_object(Bucket=BUCKET, Key=f"waypost/{path}")["Body"].read())
        except self.client.exceptions.NoSuchKey:
            return None

    def unfinished(self) -> list[str]:
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def take_away(self) -> None:
        self.stop()

    def _client(self) -> Any:
        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.settings.endpoint,
            region_name="us-east-1",
            verify=self.settings.ca_file,
            aws_access_key_id=KEYS.access_key,
            aws_secret_access_key=KEYS.secret_key,
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@contextmanager
def s3_server(program: Path, folder: Path, pki: Path | None = None) -> Iterator[S3Server]:
    """Runs a server with its objects in `folder` while the context is open."""
    server = S3Server(program, folder, pki)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.client.close()
