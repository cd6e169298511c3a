"""The main program of a reader process: answers requests to read documents."""

import gc
from pkgutil import resolve_name

import msgspec

from gateway.documents.workflow import Workflow
from gateway.submission.obligations import obliged_workflow
from gateway.submission.reading.messages import ReaderGreeting, ReaderRequest, ReadRequest
from gateway.submission.reading.read_document import DocumentRules, read_document
from waypost.worker_process import Answer, Progress, serve
from waypost.workflow.run_types import DeclaredExecutors

_decode_request = msgspec.msgpack.Decoder(ReaderRequest).decode
_decode_workflow = msgspec.json.Decoder(Workflow).decode


def prepare(greeting: bytes) -> Answer:
    """Builds the process's request handler, and exempts all loaded objects from garbage collection."""
    answer = request_handler(greeting)
    gc.freeze()
    return answer


def request_handler(greeting: bytes) -> Answer:
    """Builds the request handler of a reader process from its start-up message."""
    given = msgspec.msgpack.decode(greeting, type=ReaderGreeting)
    run_types = {name: resolve_name(run_type) for name, run_type in given.run_types.items()}
    rules = DocumentRules(
        limits=given.limits,
        executors=DeclaredExecutors(run_types=run_types, exclusive=given.exclusive, secrets=given.secrets),
        engines=given.engines,
    )

    def answer(payload: bytes, progress: Progress) -> bytes:
        request = _decode_request(payload)
        if isinstance(request, ReadRequest):
            return msgspec.msgpack.encode(read_document(request, rules, progress))
        return msgspec.json.encode(obliged_workflow(_decode_workflow(request.canonical), request.obligations))

    return answer


if __name__ == "__main__":
    serve(prepare)
