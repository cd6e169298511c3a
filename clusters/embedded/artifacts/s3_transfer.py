"""The program that moves artifacts of kind `s3`, and `BucketStorage`, a bucket behind the S3 API.

It needs the extra `s3` (botocore), which the cluster itself never imports.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from clusters.embedded.artifacts.messages import Transfer, TransferFailed
from clusters.embedded.artifacts.moving import PIECE_BYTES, HashedFile, held_end, serve

PART_BYTES: Final = 16 << 20
"""The size of the parts of a large object, unless it would have too many; smaller ones are put at once."""
PARTS: Final = 10_000
"""The most parts of an object, as S3 has it."""
TRIES: Final = 4
"""How often a request is sent that finds no answer, or one that asks to come again."""
OF_THE_OBJECT: Final = frozenset(
    ("NoSuchKey", "404", "KeyTooLongError", "EntityTooLarge", "InvalidObjectState")
)
"""The errors that come from the object that a document names; others come from the storage."""


class ObjectContent:
    """The content of an object. Implements `Content`."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._body, self.size = answer["Body"], int(answer["ContentLength"])

    def pieces(self) -> Iterator[bytes]:
        with _faults():
            yield from self._body.iter_chunks(PIECE_BYTES)


class BucketStorage:
    """A bucket of an S3 endpoint as a storage. Implements `Storage`."""

    def __init__(self, order: Transfer) -> None:
        storage, credentials = order.storage, order.credentials
        self._bucket, self._prefix = storage.bucket, storage.prefix
        with _faults():
            self._client = botocore.session.Session().create_client(
                "s3",
                endpoint_url=storage.endpoint,
                region_name=storage.region,
                verify=storage.ca_file,
                aws_access_key_id=None if credentials is None else credentials.access_key,
                aws_secret_access_key=None if credentials is None else credentials.secret_key,
                config=_configuration(signed=credentials is not None),
            )

    def __repr__(self) -> str:
        return f"BucketStorage({self._bucket}/{self._prefix})"

    def _named(self, path: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{path}"}

    @contextmanager
    def read(self, path: str) -> Iterator[ObjectContent]:
        with _faults():
            answer = self._client.get_object(**self._named(path))
        with contextlib.closing(answer["Body"]):
            yield ObjectContent(answer)

    def write(self, path: str, content: HashedFile) -> None:
        if content.size <= PART_BYTES:
            body = content.read(content.size)
            with _faults():
                self._client.put_object(**self._named(path), Body=body)
        else:
            self._write_in_parts(self._named(path), content)

    def _write_in_parts(self, named: dict[str, Any], content: HashedFile) -> None:
        """Stores a large object, which appears when its last part is there; takes back what it began."""
        size, parts = max(PART_BYTES, -(-content.size // PARTS)), list[dict[str, Any]]()
        upload: dict[str, str] = {}
        try:
            # The server may have begun it before its answer with the name is here.
            with _faults(), held_end():
                upload["UploadId"] = self._client.create_multipart_upload(**named)["UploadId"]
            while piece := content.read(size):
                number = len(parts) + 1
                with _faults():
                    answer = self._client.upload_part(**named, **upload, PartNumber=number, Body=piece)
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            with _faults():
                self._client.complete_multipart_upload(**named, **upload, MultipartUpload={"Parts": parts})
        except BaseException:
            # Also where this process is to end: parts of which nothing becomes cost as much as objects.
            if upload:
                with contextlib.suppress(BotoCoreError, ClientError, HTTPClientError):
                    self._client.abort_multipart_upload(**named, **upload)
            raise


def _configuration(*, signed: bool) -> Config:
    return Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        # By the setting alone: not by what an environment or a file says.
        proxies={},
        # Not all servers know the checksums that newer clients add; that of a signature covers the content.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        signature_version=None if signed else UNSIGNED,
    )


@contextmanager
def _faults() -> Iterator[None]:
    """Says why a request failed: only by codes, since a server's own words may be anything."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))[:64]
        shown = "there is no such object" if code in ("NoSuchKey", "404") else f"its storage answers {code}"
        raise TransferFailed(shown, lost=code not in OF_THE_OBJECT) from error
    except (BotoCoreError, HTTPClientError) as error:
        raise TransferFailed(f"its storage does not answer: {type(error).__name__}", lost=True) from error


if __name__ == "__main__":
    serve(BucketStorage)
