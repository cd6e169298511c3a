"""What stands between a command and its gateway: proxies of the environment, retries, the caller's own token.

`gateway/cli/client.py` opens the connection with these.
"""
