"""Tests which webhooks a document may name, by the gateway's settings."""

import pytest

from gateway.ended_run_settings import NotificationSettings
from gateway.notifications.permitted_hosts import notify_errors
from tests.gateway.documents.documents import document, errors_in, read, schema_errors_in

EGRESS = ("hooks.example.com", "*.ops.example.com:8443", "127.0.0.1:*")


def faults(url: str, *egress: str) -> list[tuple[str, str]]:
    given = document(notify=[{"url": url}])
    assert errors_in(given) == {}
    settings = NotificationSettings(egress=egress)
    return [(error.pointer, error.detail) for error in notify_errors(read(given), settings)]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/services/T0/B0?x=1",
        "https://HOOKS.example.com",
        "https://a.ops.example.com:8443/",
        "http://127.0.0.1:9000/hook",
    ],
)
def test_listed_hosts_are_permitted(url: str) -> None:
    assert faults(url, *EGRESS) == []


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("https://example.com/", "the setting notifications.egress does not list example.com:443"),
        ("https://hooks.example.com:8080/", "does not list hooks.example.com:8080"),
        ("https://169.254.169.254/latest", "does not list 169.254.169.254:443"),
        ("http://hooks.example.com/", "must be https"),
        ("https://xn--/", "is no address"),
    ],
)
def test_others_are_refused_where_they_stand(url: str, detail: str) -> None:
    ((pointer, found),) = faults(url, *EGRESS)

    assert pointer == "/spec/notify/0/url"
    assert detail in found


def test_without_a_list_nobody_is_notified() -> None:
    ((_, detail),) = faults("https://hooks.example.com/")

    assert detail == "this gateway sends no notifications: notifications.egress lists no hosts"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "https://user:pass@a/",
        "https://",
        "/hook",
        "https://a b/",
        "https://a\nb/",
        "https://[::1]/",
    ],
)
def test_addresses_have_a_form(url: str) -> None:
    """No user, no password: an address is shown to all who see the document."""
    assert set(schema_errors_in(document(notify=[{"url": url}]))) == {"/spec/notify/0/url"}


def test_ends_are_named() -> None:
    found = schema_errors_in(document(notify=[{"url": "https://a/", "on": ["Failure"]}]))

    assert set(found) == {"/spec/notify/0/on/0"}
