"""Grafana dashboards as code, and Grafana's provisioning files for them.

`pages.py` says what is shown to whom, made of the panels in `gateway_panels`, `policy_panels` and
`cluster_panels`; `build.py` writes it as JSON into `dashboards/` (`make generated`), by the types of
Grafana's own SDK. That is a dependency of development alone: nothing that runs imports this room.
"""
