"""The handling of one HTTP call: authentication, query, body, response or problem document, event feeds.

May import what `gateway/api` may import, but nothing of `gateway/api` outside this room: the handlers stand
on it.
"""
