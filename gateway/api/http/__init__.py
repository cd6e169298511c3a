"""One HTTP call: authentication, query, body, response or problem document; and the feeds of event streams.

May import what `gateway/api` may import, but nothing of `gateway/api` outside this room: the handlers stand
on it.
"""
