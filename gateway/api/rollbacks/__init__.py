"""The API handlers for automatic rollbacks: receive alerts, and list the rollbacks that followed."""
