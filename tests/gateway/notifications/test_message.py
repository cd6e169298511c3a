"""Tests the messages to webhooks, and their signatures."""

import json

from gateway.core.run import Notification, RunPhase
from gateway.notifications.message import message_body, signed_headers
from tests.conformance.store_values import NOW, admission


def test_messages_are_signed_as_standard_webhooks_says() -> None:
    """With the example of its libraries: receivers use these."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        now=1_614_265_330.9,
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
    )


def test_a_message_says_which_run_ended_and_how() -> None:
    """Not what it was about: params and outputs stay where callers have to show a token."""
    run = admission("run-1", labels={"team": "data"}, workflow=b'{"spec":{"params":{"p":"private"}}}').run
    one = Notification(
        id="n",
        run="run-1",
        tenant="payments",
        url="https://h.test/",
        host="h.test",
        phase=RunPhase.FAILED,
        at=NOW,
    )

    assert json.loads(message_body(one, run)) == {
        "type": "run.ended",
        "timestamp": NOW,
        "data": {
            "run": "run-1",
            "name": "nightly",
            "tenant": "payments",
            "phase": "Failed",
            "labels": {"team": "data"},
            "released": "",
        },
    }
