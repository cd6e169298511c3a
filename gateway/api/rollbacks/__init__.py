"""The handlers about rollbacks that the gateway does by itself: alerts that are sent, and what followed."""
