"""Parts of the commands' HTTP client: proxies from the environment, retries, explanations of refused tokens.

`gateway/cli/client.py` opens the connection with these.
"""
