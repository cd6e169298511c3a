"""The executor of `http` tasks: sends one request; the answer is the output."""

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final, Self

import httpx
import msgspec
from msgspec import Meta, Struct

from clusters.embedded.executors.http.answer import format_status, outcome_of_answer, read_body
from clusters.embedded.executors.http.run_type import HttpRun, url_fault
from clusters.embedded.executors.interface import ExecutorContext, Lease, run_of
from clusters.embedded.executors.task_log import append_to_log
from clusters.embedded.scheduling.launch import Launch, Outcome
from clusters.embedded.storage.state_folder import TaskFolders
from waypost.egress.allow_list import Egress
from waypost.egress.bounded_connections import ExcessiveAnswer, begin_body
from waypost.egress.checked_connections import (
    RESOLVING,
    CheckedBackend,
    CheckedTransport,
    EgressRefused,
)
from waypost.workflow.run_types import argument_text

SETTING: Final = "the cluster's setting egress"
REDIRECTS: Final = 5
"""The most redirects, all within one host, that are followed."""
LOGGED_BYTES: Final = 4_096
"""The bytes of an answer that counts as a failure which go into the task's log."""
EARLIER_SECONDS: Final = 0.05
"""The time before a try's end at which the executor ends it itself: it knows if it may be repeated."""


class HttpSettings(Struct, frozen=True, kw_only=True):
    """The settings of the executor of `http` tasks: which hosts they may call, and for how long."""

    egress: tuple[str, ...] = ()
    """The hosts that tasks may call; none by default.

    Each is a name, `*.` and a name for all below it, `*` for any, an address or a network, with `:PORT` where
    that is neither 80 nor 443. Addresses that are not public need a rule of their own.
    """
    ca_file: str = ""
    """The file of the root certificates (PEM) to trust; empty: those of this machine."""
    connect_seconds: Annotated[float, Meta(gt=0, le=300)] = 10.0
    """The seconds that finding the address and connecting may take."""
    request_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """The seconds that one request may take in all, if the task's `timeoutSeconds` is not sooner."""

    def __post_init__(self) -> None:
        Egress(self.egress, setting=SETTING)


class HttpExecutor:
    """Executes `http` tasks by sending their requests. Implements `Executor`.

    Each try has a connection of its own, which ends with it: nothing of one tenant's is left for the next.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._egress = Egress(settings.egress, setting=SETTING)
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"HttpExecutor({self._egress})"

    async def __aenter__(self) -> Self:
        # Not the threads of the event loop: names that take long to look up would keep logs waiting.
        resolvers = ThreadPoolExecutor(RESOLVING, thread_name_prefix="resolve")
        self._stack.callback(resolvers.shutdown, wait=False, cancel_futures=True)
        self._backend = CheckedBackend(self._egress, resolvers)
        self._tls = await asyncio.to_thread(_roots, self._settings.ca_file)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def execute(
        self,
        launch: Launch,
        folders: TaskFolders,
        lease: Lease | None,  # noqa: ARG002
    ) -> Outcome:
        if isinstance(run := run_of(launch, HttpRun), Outcome):
            return run
        missing = {header.secret for header in run.headers_from.values()} - launch.secrets.environment.keys()
        if missing:
            why = f"headersFrom: the task has no secret {', '.join(sorted(missing))} (as `env`)"
            return Outcome(succeeded=False, final=True, reason=why)
        request = _Request(run, launch, folders)
        seconds = min(self._settings.request_seconds, (launch.task.timeout_seconds or 1e9) - EARLIER_SECONDS)
        try:
            async with asyncio.timeout(seconds), self._client() as client:
                return await request.send(client)
        except TimeoutError:
            failure = request.failure(f"no answer within {seconds + EARLIER_SECONDS:.3g} s")
            return msgspec.structs.replace(failure, timed_out=True)
        except EgressRefused as error:
            return request.failure(str(error), final=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # IDNA knows no such name
            return request.failure(str(error) or type(error).__name__)
        except ExcessiveAnswer as error:
            return request.failure(f"the answer is not one of HTTP: {error}")

    def _client(self) -> httpx.AsyncClient:
        transport = CheckedTransport(self._backend, self._tls)
        times = httpx.Timeout(None, connect=self._settings.connect_seconds)
        return httpx.AsyncClient(transport=transport, timeout=times, trust_env=False)


class _Request:
    """The request of one try, with what is known of its fate."""

    def __init__(self, run: HttpRun, launch: Launch, folders: TaskFolders) -> None:
        self._run, self._launch, self._log = run, launch, folders.log
        self._sent = False
        """Whether the request may have reached its host."""
        # Without the query, which may hold a secret.
        self._name = f"{run.method} {run.url.partition('?')[0].partition('#')[0]}"

    async def send(self, client: httpx.AsyncClient) -> Outcome:
        """Sends the request, follows redirects within its host, and returns the outcome of the answer.

        Raises `httpx.HTTPError`, `EgressRefused` and `ExcessiveAnswer`.
        """
        run = self._run
        request = client.build_request(
            run.method,
            run.url,
            headers=self._headers(),
            content=_content(run.body),
            extensions=self._watched(),
        )
        for _ in range(REDIRECTS + 1):
            response = await client.send(request, stream=True)
            begin_body(response)
            following = response.next_request
            if following is None or response.status_code in (run.expected_status or ()):
                return await self._finish(response)
            await response.aclose()
            if _origin(following.url) != _origin(request.url) or url_fault(str(following.url)):
                return self.failure(f"is redirected to {_origin(following.url)}, another host", final=True)
            request = following
            request.extensions |= self._watched()
        return self.failure(f"is redirected more than {REDIRECTS} times")

    def failure(self, what: str, *, final: bool = False) -> Outcome:
        """Returns the outcome of a request without a usable answer, and writes it to the task's log.

        A request that may have reached its host is repeated only if that does no harm.
        """
        what = self._launch.secrets.mask.text(what)  # h11 shows a header that it refuses
        lost = self._sent and not self._run.repeatable
        advice = (
            "; it is not repeated, since it may have had its effect (`safe: true` permits it)" if lost else ""
        )
        append_to_log(self._log, f"{self._name}: {what}")
        return Outcome(succeeded=False, final=final or lost, reason=f"{self._name}: {what}{advice}")

    async def _finish(self, response: httpx.Response) -> Outcome:
        body = await read_body(response)
        await response.aclose()
        outcome = outcome_of_answer(self._run, response, body)
        shown = "" if outcome.succeeded else "\n" + body[:LOGGED_BYTES].decode(errors="replace")
        # An answer may repeat what was sent.
        shown = self._launch.secrets.mask.text(shown)
        append_to_log(self._log, f"{self._name}: {format_status(response.status_code)}{shown}")
        return (
            outcome
            if outcome.succeeded
            else msgspec.structs.replace(outcome, reason=f"{self._name}: {outcome.reason}")
        )

    def _headers(self) -> dict[str, str]:
        launch, run = self._launch, self._run
        attempt = launch.attempt
        given = {name.lower(): argument_text(value) for name, value in run.headers.items()}
        own = {"accept-encoding": "identity", "user-agent": "waypost"}
        if not isinstance(run.body, str | None):
            own["content-type"] = "application/json"
        elif run.body is not None:
            own["content-type"] = "text/plain; charset=utf-8"
        if run.method in ("POST", "PATCH"):
            # The same for all tries, also after a failover: a host that knows the header acts once.
            own["idempotency-key"] = f"{attempt.run}/{attempt.shard}/{launch.task.name}"
        if launch.span is not None and "traceparent" not in given:
            own |= {name.lower(): value for name, value in launch.span.environment.items()}
        secret = {
            name.lower(): header.prefix.encode() + launch.secrets.environment[header.secret]
            for name, header in run.headers_from.items()
        }
        return own | given | {name: value.decode("latin-1") for name, value in secret.items()}

    def _watched(self) -> dict[str, Any]:
        """Returns the extension of a request by which httpcore reports that it is being sent."""

        async def watch(event: str, _: Any) -> None:
            if event.endswith("send_request_headers.started"):
                self._sent = True

        return {"trace": watch}


def unavailable(_: ExecutorContext, settings: HttpSettings) -> str:
    """Returns why a cluster with these settings runs no `http` tasks; empty if it does."""
    if not settings.egress:
        return "its setting egress lists no host that tasks may call"
    try:
        _roots(settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        return f"its setting ca_file: {error.strerror or error}"
    return ""


def _roots(ca_file: str) -> ssl.SSLContext:
    return (
        ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
    )


def _content(body: Any) -> bytes | None:
    if body is None:
        return None
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


def _origin(url: httpx.URL) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{url.scheme}://{url.host}:{port}"
