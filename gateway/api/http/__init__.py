"""What every API operation uses to handle an HTTP request: authentication, query, body, response, errors.

It may import what `gateway/api` may import, but nothing of `gateway/api` outside this package: the handlers
are built on it.
"""
