"""The API's handlers for automatic rollbacks: they receive alerts, and list the rollbacks that followed."""
