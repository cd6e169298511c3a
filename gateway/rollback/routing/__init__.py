"""Routing revisions as a kind of release: finds the one in force, its evidence, and rolls it back.

`queries` has the PromQL about a revision, and is pure; `releases` puts it together with the store.
"""
