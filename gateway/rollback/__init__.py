"""Automatic rollback of bad releases, triggered by alerts and decided on evidence from Prometheus.

`latest_release` finds what an alert may be about, `decision` decides by gates, both pure; `verification` says
whether the rollback has helped. `prometheus` queries the `evidence`. `controller` is the loop: it reads
alerts
from the store, makes one change, and writes each of them with the numbers that it saw. `webhook` parses
alerts.
"""
