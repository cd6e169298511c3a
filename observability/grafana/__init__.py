"""Generates Grafana dashboards and alert rules from code, with the provisioning files for them.

`pages.py` lists the dashboards with their audience, made of the panels in `gateway_panels`, `policy_panels`
and `cluster_panels`; `build.py` writes them as JSON into `dashboards/` (`make generated`), by the types of
Grafana's own SDK. That SDK is a dependency of development alone: nothing that runs imports this room
(package).
"""
