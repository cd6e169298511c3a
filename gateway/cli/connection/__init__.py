"""Connections of commands to a gateway: proxies of the environment, retries, explanation of refused tokens.

`gateway/cli/client.py` opens the connection with these.
"""
