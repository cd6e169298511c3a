"""Measures how many of the bytes written to a TCP connection the client has acknowledged."""

import asyncio
import socket
import struct
from typing import Final

TCP_INFO: Final = struct.Struct("@120xQ")
"""The layout of the beginning of Linux' `struct tcp_info`, up to `tcpi_bytes_acked`."""


def bytes_taken(transport: asyncio.Transport) -> int:
    """Returns the number of bytes that the client has acknowledged on a TCP connection so far.

    It is read from the kernel: the transport's buffer does not say what waits below it, in TLS and the
    socket. Returns 0 for a connection that was lost.
    """
    try:
        connection: socket.socket | None = transport.get_extra_info("socket")
    except AttributeError:
        # asyncio's TLS transport (CPython 3.11), once it is closed after its connection was lost.
        return 0
    if connection is None:
        return 0  # the same, before it is closed
    try:
        return int(
            TCP_INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))[0]
        )
    except OSError:
        return 0
