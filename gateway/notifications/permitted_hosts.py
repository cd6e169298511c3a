"""Checks at submission that a document's webhooks are among those that the gateway may call."""

from collections.abc import Iterator
from typing import Final

import httpx

from gateway.core.loopback import is_loopback
from gateway.documents.workflow import Workflow
from gateway.ended_run_settings import NotificationSettings
from waypost.egress.allow_list import Egress
from waypost.json_pointer import FieldError

SETTING: Final = "the setting notifications.egress"


def notify_errors(workflow: Workflow, settings: NotificationSettings) -> Iterator[FieldError]:
    """Yields an error for each webhook in `spec.notify` that this gateway never calls."""
    egress = Egress(settings.egress, setting=SETTING)
    for index, notify in enumerate(workflow.spec.notify):
        at = f"/spec/notify/{index}/url"
        if not settings.egress:
            yield FieldError(at, "this gateway sends no notifications: notifications.egress lists no hosts")
            continue
        try:
            url = httpx.URL(notify.url)
            host = url.host
        except (httpx.InvalidURL, UnicodeError):  # IDNA knows no such name
            yield FieldError(at, "is no address")
            continue
        port = url.port or (443 if url.scheme == "https" else 80)
        if url.scheme != "https" and not is_loopback(host):
            yield FieldError(at, "must be https: its path may be a secret")
        elif fault := egress.host_fault(host, port):
            yield FieldError(at, fault)
