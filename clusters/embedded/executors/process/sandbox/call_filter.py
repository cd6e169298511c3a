"""Builds the filter of system calls (seccomp) of a sandbox: no user namespaces, keyrings and rings in it.

In a user namespace of its own a task could mount file systems in memory, past every limit of memory. Keyrings
are the kernel's own store: keys outlive a try, and tasks of all tenants of an ordinary user's cluster share
them. What is asked of the kernel through a ring (io_uring) passes no filter.
"""

import errno
import platform
import struct
from typing import Final

from msgspec import Struct

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions of classic BPF (linux/bpf_common.h)."""
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Where a call's facts are (struct seccomp_data), on little-endian machines."""
ALLOW: Final = 0x7FFF_0000
FAIL: Final = 0x0005_0000
NEW_USER: Final = 0x1000_0000
X32: Final = 0x4000_0000
"""The bit of calls of x86-64's second interface, which would be a way round the numbers."""
IO_URING_SETUP, CLONE3 = 425, 435
"""Calls that are as if the kernel did not have them; of their numbers all architectures have the same."""


class Calls(Struct, frozen=True):
    """The numbers of an architecture's calls: what its kernel calls it, keyrings, `unshare` and `clone`."""

    architecture: int
    keyrings: tuple[int, int, int]
    unshare: int
    clone: int


MACHINES: Final = {
    "x86_64": Calls(0xC000_003E, (248, 249, 250), 272, 56),
    "aarch64": Calls(0xC000_00B7, (217, 218, 219), 97, 220),
}


def call_filter(machine: str) -> bytes:
    """Returns the filter as a program of BPF; empty for a machine whose calls are not known.

    `clone3` fails as if the kernel did not have it, as its flags cannot be read: C libraries then use
    `clone`. So does `io_uring_setup`: programs then ask the kernel directly. So does every call of another
    architecture, such as those of 32-bit programs.
    """
    if (calls := MACHINES.get(machine)) is None:
        return b""
    allow, deny, absent = 13, 14, 15
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 2, absent, calls.architecture),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, absent, 4, X32),
        (EQUAL, absent, 5, CLONE3),
        (EQUAL, absent, 6, IO_URING_SETUP),
        *((EQUAL, deny, 7 + at, number) for at, number in enumerate(calls.keyrings)),
        (EQUAL, 11, 10, calls.unshare),
        (EQUAL, 11, allow, calls.clone),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, deny, allow, NEW_USER),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, FAIL | errno.EPERM),
        (RETURN, 0, 0, FAIL | errno.ENOSYS),
    ]
    return b"".join(_instruction(at, *line) for at, line in enumerate(lines))


def _instruction(at: int, code: int, then: int, otherwise: int, value: int) -> bytes:
    """Encodes the instruction at line `at`; the kernel counts jumps from the line after it."""
    if code in (LOAD, RETURN):
        return struct.pack("<HBBI", code, 0, 0, value)
    return struct.pack("<HBBI", code, then - at - 1, otherwise - at - 1, value)


FILTER: Final = call_filter(platform.machine())
"""The filter of this machine."""
