"""Automatic rollback of bad releases: an alert is the trigger, and Prometheus has the evidence.

`latest_release` finds what an alert may be about, `decision` decides by gates, both pure; `verification` says
whether it has helped. `prometheus` asks for `evidence`. `controller` is the loop: it reads alerts from the
store, takes one step, and writes each of them with the numbers that it saw. `webhook` reads what is sent.
"""
