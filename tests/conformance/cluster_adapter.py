"""The conformance suite of `ClusterAdapter`: inherit it, and provide the fixture `adapter`."""

from tests.conformance.cluster_batches import BatchConformance
from tests.conformance.cluster_leases import LeaseConformance
from tests.conformance.cluster_lies import LyingClusterConformance
from tests.conformance.cluster_streams import EventStreamConformance, LogConformance


class ClusterAdapterConformance(
    BatchConformance, EventStreamConformance, LeaseConformance, LogConformance, LyingClusterConformance
):
    """The conformance tests of everything that a cluster promises to the gateway.

    Each test starts with an empty cluster of the region beijing that has the executors `delay` and `process`.
    The tests call the adapter as the gateway does, with its checks.
    """
