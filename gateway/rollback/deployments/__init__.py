"""Deployments outside of Waypost as a kind of release: finds the newest version, its evidence, rolls it back.

`versions` finds the version that an alert is about, `queries` has the PromQL from the settings, `request`
makes the signed HTTP request from its template, all pure; `sender` sends it, `releases` puts them together.
"""
