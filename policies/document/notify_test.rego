package waypost.notify_test

import data.waypost.fixtures

test_a_webhook_of_the_tenant if permitted("https://hooks.test/x?y=z")

test_a_webhook_with_a_port_and_capitals if permitted("https://Hooks.Test:8443")

test_a_webhook_of_somebody_else if refused("https://hooks.test.evil.example/x", "hooks.test.evil.example")

test_a_webhook_that_has_the_host_in_its_path if refused("https://evil.example/hooks.test", "evil.example")

test_a_tenant_without_webhooks if fixtures.holds({
	"data": json.remove(fixtures.world, ["tenants/payments/notify"]),
	"input": fixtures.submitting({"notify": [{"url": "https://hooks.test/"}]}),
	"want": {"allow": false, "rules": ["notify.host"]},
})

permitted(url) if fixtures.holds({
	"data": fixtures.world,
	"input": fixtures.submitting({"notify": [{"url": url, "on": ["Failed"]}]}),
	"want": {"allow": true},
})

refused(url, host) if fixtures.holds({
	"data": fixtures.world,
	"input": fixtures.submitting({"notify": [{"url": url, "on": ["Failed"]}]}),
	"want": {"allow": false, "reasons": [{"rule": "notify.host", "message": sprintf("notify: the tenant may not notify %s", [host])}]},
})
