"""Tests streams of lines from a cluster: where a line ends, and what a broken line means."""

import ssl

import msgspec
import pytest
from msgspec.json import Decoder

from clusters import transport
from clusters.errors import ClusterError
from clusters.transport import Purpose
from tests.clusters.transport_servers import (
    NUMBER,
    connect_to,
    serving,
    streaming,
)

TEXT = Decoder(str)


async def test_lines_end_at_newlines_alone(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """JSON text may hold U+2028, which `str.splitlines` takes for a line end; pieces may end anywhere."""
    values = ["one", "a\u2028b\u0085c\x0bd", "ü" * 100, "last"]
    wire = b"\n\n".join(msgspec.json.encode(value) for value in values) + b"\n"
    pieces = [wire[at : at + 3] for at in range(0, len(wire), 3)]

    async with serving(streaming(*pieces), server_tls) as port, connect_to(port, client_tls) as transport:
        assert [line async for line in transport.lines(Purpose.STREAM, "/", TEXT, {})] == values


async def test_a_line_of_another_form_ends_the_stream(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """What came before it counts."""
    async with (
        serving(streaming(b"1\n2\nthree\n4\n"), server_tls) as port,
        connect_to(port, client_tls) as transport,
    ):
        lines = transport.lines(Purpose.STREAM, "/", NUMBER, {})
        assert [await anext(lines), await anext(lines)] == [1, 2]
        with pytest.raises(ClusterError, match="BadAnswer"):
            await anext(lines)


async def test_a_line_has_a_bound_of_its_own(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far below that of an answer: several streams are open to each region."""
    monkeypatch.setattr(transport, "LINE_BYTES", 100_000)
    text = b'"' + b"x" * 90_000 + b'"'

    async with (
        serving(streaming(text + b"\n", text * 2), server_tls) as port,
        connect_to(port, client_tls) as region,
    ):
        lines = region.lines(Purpose.STREAM, "/", TEXT, {})
        assert len(await anext(lines)) == 90_000
        with pytest.raises(ClusterError, match="BadAnswer: a line over 100000 bytes"):
            await anext(lines)


async def test_a_stream_that_ends_within_a_line_is_bad(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """`12` may have been `123`."""
    async with serving(streaming(b"1\n12"), server_tls) as port, connect_to(port, client_tls) as transport:
        lines = transport.lines(Purpose.STREAM, "/", NUMBER, {})
        assert await anext(lines) == 1
        with pytest.raises(ClusterError, match="within a line"):
            await anext(lines)
