"""The type of the `run` of an `http` task."""

import re
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from waypost.workflow.run_types import Argument, argument_text

REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""The methods of which HTTP says that a second request does what the first did (RFC 9110, 9.2.2)."""
OWN_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
)
"""The headers that the executor sets itself: others in their place could make one request into two."""
HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")

HeaderName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$", description="the name of a header")
]


class HeaderSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a header that is a secret of the task: its name, and what stands before it."""

    secret: str
    prefix: str = ""

    def __post_init__(self) -> None:
        if not HEADER_VALUE.fullmatch(self.prefix):
            raise ValueError("the prefix has characters that no header can hold")


class HttpRun(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `run` of an `http` task: one request, and which answers count as success."""

    url: Annotated[str, Meta(min_length=1, max_length=8_192)]
    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: dict[HeaderName, Argument] = {}
    headers_from: dict[HeaderName, HeaderSecret] = {}
    """The headers whose values are secrets of the task (`spec.secrets`, as `env`)."""
    body: Any = None
    """The body: text is sent as it is, any other value as JSON; null: none."""
    expected_status: (
        Annotated[tuple[Annotated[int, Meta(ge=100, le=599)], ...], Meta(min_length=1)] | None
    ) = None
    """The status codes that count as success; default: 200 to 299."""
    safe: bool | None = None
    """Whether a second request does no harm, so that one whose answer was lost may be repeated.

    Default: by the method; GET, HEAD, OPTIONS, PUT and DELETE are.
    """
    answer: Literal["output", "ignore"] = "output"
    """Whether the answer's body becomes the output of the task."""

    def __post_init__(self) -> None:
        if fault := url_fault(self.url):
            raise ValueError(f"the url {fault}")
        for name in (*self.headers, *self.headers_from):
            if name.lower() in OWN_HEADERS:
                raise ValueError(f"the header {name} is set by the executor itself")
        for name, value in self.headers.items():
            if not HEADER_VALUE.fullmatch(argument_text(value)):
                raise ValueError(f"the header {name} has a value with characters that no header can hold")

    @property
    def repeatable(self) -> bool:
        """Returns whether a second request does no harm."""
        return self.method in REPEATABLE if self.safe is None else self.safe


def url_fault(url: str) -> str:
    """Returns what is wrong with a URL that an `http` task is to call; empty if nothing is."""
    if not url.isprintable() or " " in url:
        return "has blanks or characters that cannot be printed"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    if parts.scheme not in ("http", "https"):
        return "must begin with https:// or http://"
    if not parts.hostname:
        return "names no host"
    if parts.username is not None or parts.password is not None:
        return "holds a user or a password, and URLs are logged: use a header"
    return "has the port 0" if port == 0 else ""
