"""A worker process for tests: answers with the greeting and the request, sleeps, or dies."""

import os
import time

from waypost.worker_process import Answer, Progress, serve


def prepare(greeting: bytes) -> Answer:
    def answer(request: bytes, progress: Progress) -> bytes:
        progress(7)
        if request == b"die":
            os.abort()
        if request == b"sleep":
            time.sleep(60)
        return greeting + request

    return answer


if __name__ == "__main__":
    serve(prepare)
