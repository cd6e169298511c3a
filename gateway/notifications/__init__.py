"""Notifications: calls webhooks when runs have ended, as documents ask for (`spec.notify`).

The store keeps each message from the commit that ends the run until it is delivered. `message` builds and
signs messages, `delivery` sends them by `webhook_calls`, `permitted_hosts` checks documents at submission.
"""
