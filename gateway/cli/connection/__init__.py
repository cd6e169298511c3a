"""Connections of commands to a gateway: the environment's proxies, retries, explanations of refused tokens.

`gateway/cli/client.py` opens the connection with these.
"""
