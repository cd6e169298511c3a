"""Tests that every notification of Alertmanager and Grafana is read, and that no other leads to a failure.

No sender repeats what was refused: an alert that is not understood is lost.
"""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import Invalid, Malformed, TooLarge
from gateway.rollback.webhook import read_alerts
from tests.gateway.rollback.webhook_samples import SAMPLES, grafana, prometheus, prometheus_alert

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["firing", "resolved"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_what_both_send_is_read(sample: tuple[dict[str, Any], list[tuple[str, bool]], int]) -> None:
    """Also what only some versions have, and what Go writes for what is not there."""
    sent, alerts, left_out = sample
    for body in (msgspec.json.encode(sent), json.dumps(sent).encode()):
        read = read_alerts(body, now=7.0)
        assert [(alert.kind, alert.resolved) for alert in read.alerts] == alerts
        assert (read.left_out, read.group) == (left_out, sent["groupKey"])
        assert {alert.received_at for alert in read.alerts} <= {7.0}


def test_an_alert_is_known_by_what_its_sender_repeats() -> None:
    (first,) = read_alerts(msgspec.json.encode(prometheus()), now=1.0).alerts
    (again,) = read_alerts(msgspec.json.encode(prometheus(prometheus_alert("resolved"))), now=2.0).alerts
    identity = (first.group, first.fingerprint, first.starts_at)
    assert identity == (again.group, again.fingerprint, again.starts_at)
    assert (first.name, first.subject) == ("WaypostReleaseFails", "demo/nightly@3")


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(["notification", "alert", "labels"]), data=st.data())
def test_whatever_is_sent_is_read_or_refused_with_its_place(place: str, data: st.DataObject) -> None:
    """Never with a failure of ours; and what was read can be stored."""
    alert = prometheus_alert()
    sent = grafana(alert)
    target = {"notification": sent, "alert": alert, "labels": alert["labels"]}[place]
    name = data.draw(st.sampled_from(sorted(target)) | st.text(max_size=9))
    target[name] = data.draw(ANYTHING)
    body = json.dumps(sent, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    try:
        read = read_alerts(body, now=1.0)
    except (Invalid, Malformed) as error:
        refused: Invalid | Malformed = error
    else:
        texts = [
            text
            for one in read.alerts
            for text in (one.group, one.fingerprint, one.starts_at, one.name, one.kind, one.subject)
        ]
        assert b"\0" not in "".join(texts).encode()
        assert read.left_out >= 0
        return
    assert refused.errors or isinstance(refused, Malformed)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 800), st.integers(0, 60))
def test_a_body_that_is_damaged_is_refused_or_read(noise: bytes, place: int, cut: int) -> None:
    whole = msgspec.json.encode(grafana())
    body = whole[:place] + noise + whole[place + cut :]
    with suppress(Invalid, Malformed):
        read_alerts(body, now=1.0)


@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_what_nests_too_deep_is_refused(opened: str) -> None:
    """Also in a field that is ignored."""
    body = json.dumps(grafana(values=0)).replace('"values": 0', f'"values": {opened * 60_000}')
    with pytest.raises((TooLarge, Malformed, Invalid)):
        read_alerts(body.encode(), now=1.0)
