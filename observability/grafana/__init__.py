"""Generates Grafana dashboards and alert rules from code, with the provisioning files for them.

`pages.py` lists the dashboards with their audience, made of the panels in `gateway_panels`, `policy_panels`,
`release_panels` and `cluster_panels`; `build.py` writes them as JSON into `dashboards/` (`make generated`),
by the types of Grafana's own SDK, and into each alert the link to its panel. That SDK is a dependency of
development alone: nothing that runs imports this package.
"""
