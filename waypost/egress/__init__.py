"""Outgoing HTTP connections: which hosts may be called, and how much of their answers is read.

`allow_list` decides which hosts and addresses a setting permits, and `checked_connections` connects to
addresses that were checked, and to no other. `bounded_connections` bounds the head of an answer, and the rate
of its small pieces. Used by tasks of clusters that call hosts, by the gateway's notifications, and by its
calls to clusters.
"""
