"""Translates every failure of a call over HTTP into a `ClusterError`, with its cause in words."""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
import msgspec

from clusters.errors import ClusterError
from waypost.egress.bounded_connections import ExcessiveAnswer

CERTIFICATE_ALERTS: Final = ("UNKNOWN_CA", "ACCESS_DENIED")
"""The TLS alerts that concern the client's certificate although their names do not say so."""


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Translates every failure of an HTTP call inside the `with` block into a `ClusterError`."""
    try:
        yield
    except httpx.PoolTimeout as error:
        raise ClusterError("Busy", "all connections to this cluster are in use") from error
    except httpx.TimeoutException as error:
        raise ClusterError("Timeout", type(error).__name__) from error
    # OSError: httpx 0.28.1 (httpcore 1.0.9, `AnyIOStream.read`) does not translate an `ssl.SSLError` after
    # the handshake. Smallest case: TLS 1.3, where a server refuses the client's certificate by an alert that
    # comes with the first read.
    except (httpx.HTTPError, OSError) as error:
        raise _connection_error(error) from error
    except msgspec.DecodeError as error:
        raise ClusterError("BadAnswer", str(error)) from error
    except ExcessiveAnswer as error:
        raise ClusterError("BadAnswer", str(error)) from error
    except RecursionError as error:
        raise ClusterError("BadAnswer", "it is nested too deep") from error


def _connection_error(error: BaseException) -> ClusterError:
    """Converts a failed connection's error to a `ClusterError`: `Forbidden` or `Unreachable`.

    `Forbidden` if a certificate was refused. The detail is the innermost cause, in words: httpx's own text
    says less.
    """
    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    # It was us who refused: no certificate of that cluster, or one that has expired.
    if isinstance(tls, ssl.SSLCertVerificationError):
        why = getattr(tls, "verify_message", "") or tls.strerror or str(tls)
        detail = f"the cluster's certificate is not accepted: {why.rstrip('.')}"
        return ClusterError("Forbidden", detail, retryable=False)
    # The other side ended the handshake, or does not speak TLS.
    if tls is not None:
        return _tls_error(tls.reason or str(tls))
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.errno]
    # The last one is the innermost: the system's own error, which says most.
    if system:
        return ClusterError("Unreachable", f"{_system_words(system[-1])}{_at_address(error)}")
    said = next(filter(None, map(str, causes)), "")
    return ClusterError("Unreachable", said or "the connection was closed")


def _at_address(error: BaseException) -> str:
    """Returns the address of a failed call as text for a message (`: 10.1.0.5:7101`), or an empty text."""
    try:
        url = error.request.url if isinstance(error, httpx.RequestError) else None
    except RuntimeError:  # httpx says so where no request was set
        url = None
    return "" if url is None else f": {url.netloc.decode()}"


def _tls_error(reason: str) -> ClusterError:
    """Returns the `ClusterError` for a TLS failure, by OpenSSL's name of it (`TLSV1_ALERT_UNKNOWN_CA`)."""
    _, alert, word = reason.partition("ALERT_")
    words = (word or reason).lower().replace("_", " ")
    # An alert was sent by the other side, so it is the cluster that refused.
    if alert:
        what = "our certificate" if "CERTIFICATE" in word or word in CERTIFICATE_ALERTS else "TLS with us"
        detail = f"the cluster does not accept {what}: {words}"
        return ClusterError("Forbidden", detail, retryable=False)
    # OpenSSL's name for bytes that are no TLS record.
    if reason == "WRONG_VERSION_NUMBER":
        return ClusterError("Unreachable", "what answers at this address does not speak TLS")
    return ClusterError("Unreachable", f"TLS failed: {words}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and then the chain of its causes; of an exception group, the first error."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = first or cause.__cause__ or cause.__context__


def _system_words(error: OSError) -> str:
    # Of a name that is not found `errno` is a number of its own, and asyncio's text for others is Python's.
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)
