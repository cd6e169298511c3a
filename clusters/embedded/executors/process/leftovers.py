"""Finds and kills the processes that a task's execution left behind, also outside its process group.

A process that leaves the group (setsid(2)) and loses its parent becomes an adopted child of this process,
which is a subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)). The environment with which it was started names the
execution (try) that it belongs to, unless the task has started it with another one.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Collection
from typing import Final

from msgspec import Struct

from clusters.embedded.executors.process.watchdog import environment_of, reap_children, signal_group
from clusters.embedded.executors.process.watchdog_client import AWAITED_CHILDREN

GONE_SECONDS = 1.0
NAMELESS_SECONDS = 0.5
"""The seconds for which an adopted child without an environment may belong to any try.

A process that executes another program, or ends and has not yet handed us its children, has no environment
for a moment. One that has none for so long was started without.
"""


class AdoptedChildren:
    """The living processes that this process has adopted after their parents' end, with their environments.

    Children come to this process since it is a subreaper. The list is that of the last `refresh`.
    """

    def __init__(self) -> None:
        self._environments: dict[int, frozenset[bytes]] = {}
        self._nameless_since: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"AdoptedChildren({sorted(self._environments)}, nameless={sorted(self._nameless_since)})"

    def refresh(self) -> None:
        """Reaps the adopted child processes that have ended and reads the environments of the others."""
        now, known = time.monotonic(), self._nameless_since
        found = {pid: environment_of(pid) for pid in reap_children(spared=AWAITED_CHILDREN)}
        self._environments = {pid: frozenset(items) for pid, items in found.items() if items}
        self._nameless_since = {pid: known.get(pid, now) for pid, items in found.items() if not items}

    def started_with(self, identity: Collection[bytes]) -> list[int]:
        """Returns the pids of the adopted processes whose environment has all of `identity`.

        Each item of `identity` is a variable as `NAME=value`.
        """
        return [pid for pid, items in self._environments.items() if items.issuperset(identity)]

    def any_nameless(self) -> bool:
        """Returns whether some adopted process is nameless: it has no environment yet that names its try.

        One that has had no environment for `NAMELESS_SECONDS` no longer counts.
        """
        now = time.monotonic()
        return any(now < since + NAMELESS_SECONDS for since in self._nameless_since.values())


ADOPTED: Final = AdoptedChildren()
"""The adopted children of this process, in one object, since a process adopts for all its tries."""


class Leftovers(Struct, frozen=True, kw_only=True):
    """The remaining processes of one execution of a task (try); true as a bool if there may be any."""

    groups: tuple[int, ...]
    """The try's process groups that still have a member, even if only a zombie."""
    adopted: tuple[int, ...]
    """The pids of the adopted children that the try has started."""
    uncertain: bool
    """Whether an adopted child has no environment yet: this try may have started it."""

    def __bool__(self) -> bool:
        return bool(self.groups or self.adopted or self.uncertain)


def find_leftovers(groups: Collection[int], identity: Collection[bytes]) -> Leftovers:
    """Finds the remaining processes of a task's execution: members of its process groups, and adopted ones.

    `groups` are the ids of these groups. The adopted processes are those whose environment has all of
    `identity` (`NAME=value` each).
    """
    return Leftovers(
        groups=tuple(group for group in groups if _has_members(group)),
        adopted=tuple(ADOPTED.started_with(identity)),
        uncertain=ADOPTED.any_nameless(),
    )


def kill_leftovers(leftovers: Leftovers) -> None:
    """Sends SIGKILL to all remaining processes of a task's execution; reaps those that are our children."""
    for group in leftovers.groups:
        signal_group(group)
        with contextlib.suppress(ChildProcessError):  # none of its members is our child, for now
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
    for pid in leftovers.adopted:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(os.getpgid(pid), signal.SIGKILL)


async def clear_leftovers(groups: Collection[int], identity: Collection[bytes]) -> None:
    """Kills the remaining processes of one execution of a task (try), repeatedly until none is left.

    A process may have started another just before it was killed. Gives up after `GONE_SECONDS`: a process may
    hang in the kernel.
    """
    until = time.monotonic() + GONE_SECONDS
    while True:
        ADOPTED.refresh()
        leftovers = find_leftovers(groups, identity)
        kill_leftovers(leftovers)
        if not leftovers or time.monotonic() >= until:
            return
        await asyncio.sleep(0.002)


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user's, but there
        return True
    return True
