"""Chooses which notifications are sent next, so that no host and no tenant delays another. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from gateway.core.run import Notification


class Lane(NamedTuple):
    """Notifications of one tenant to one host that were tried equally often, and when the first was due."""

    tenant: str
    host: str
    tries: int
    due_at: float


# How many are under way to the host, tries, due time, host, notifications: heapq sorts by it.
Queued: TypeAlias = tuple[int, int, float, str, Iterator[Notification]]


class ClaimRoom(Struct, frozen=True, kw_only=True):
    """How many notifications a gateway can begin to send, by what it is sending already."""

    limit: int
    """The most in all."""
    of_one_tenant: int
    """The most of one tenant that may be under way at once."""
    to_one_host: int
    """The most to one host that may be under way at once, whosesoever they are."""
    sending: Mapping[tuple[str, str], int] = {}
    """The notifications that are under way, by tenant and host."""

    def full_hosts(self) -> frozenset[str]:
        """Returns the hosts to which nothing more can be sent now."""
        hosts = Counter[str]()
        for (_, host), count in self.sending.items():
            hosts[host] += count
        return frozenset(host for host, count in hosts.items() if count >= self.to_one_host)


def choose(waiting: Iterable[tuple[Lane, Iterator[Notification]]], room: ClaimRoom) -> list[Notification]:
    """Returns the notifications to be sent next, out of those that are due in each lane, in their order.

    The tenant with the fewest under way comes first, and of its hosts that with the fewest; then what was
    tried least: a host that is away for hours keeps no new message from it waiting.
    """
    tenants, hosts = Counter[str](), Counter[str]()
    for (tenant, host), count in room.sending.items():
        tenants[tenant] += count
        hosts[host] += count
    lanes: dict[str, list[Queued]] = {}
    for lane, rows in waiting:
        under_way = room.sending.get((lane.tenant, lane.host), 0)
        lanes.setdefault(lane.tenant, []).append((under_way, lane.tries, lane.due_at, lane.host, rows))
    for queue in lanes.values():
        heapify(queue)
    order = [(tenants[tenant], queue[0][2], tenant) for tenant, queue in lanes.items()]
    heapify(order)
    chosen = list[Notification]()
    while order and len(chosen) < room.limit:
        under_way, first, tenant = order[0]
        found = None if under_way >= room.of_one_tenant else _next_of(lanes[tenant], hosts, room.to_one_host)
        if found is None:
            heappop(order)
            continue
        heapreplace(order, (under_way + 1, first, tenant))
        chosen.append(found)
    return chosen


def _next_of(queue: list[Queued], hosts: Counter[str], to_one_host: int) -> Notification | None:
    """Takes the next notification out of a tenant's lanes; None if it has none to a host with room."""
    while queue:
        under_way, tries, due_at, host, rows = heappop(queue)
        if hosts[host] < to_one_host and (found := next(rows, None)) is not None:
            hosts[host] += 1
            heappush(queue, (under_way + 1, tries, due_at, host, rows))
            return found
    return None
