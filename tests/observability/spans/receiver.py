"""A receiver of OTLP/HTTP: keeps the spans that it is sent, as OpenTelemetry's own types read them."""

import asyncio
import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """An OTLP/HTTP receiver on a free port, which answers `status`, and only while `open` is set."""

    def __init__(self) -> None:
        self.status, self.bodies, self.arrived = 200, list[bytes](), threading.Event()
        self.open = threading.Event()
        self.open.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                packed = self.headers.get("content-encoding") == "gzip"
                outer.bodies.append(gzip.decompress(body) if packed else body)
                outer.arrived.set()
                outer.open.wait()
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests()
            for of_process in request.resource_spans
            for scope in of_process.scope_spans
            for span in scope.spans
        ]

    async def wait_for(self, name: str) -> None:
        """Waits until a span of that name has arrived."""
        while name not in [span.name for span in self.spans()]:
            await asyncio.sleep(0.01)


def attributes(span: Span) -> dict[str, str | int]:
    return {item.key: getattr(item.value, str(item.value.WhichOneof("value"))) for item in span.attributes}
