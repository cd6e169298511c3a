package waypost.secrets_test

import data.waypost.fixtures

test_a_secret_of_the_tenant if permitted("smtp/password")

test_a_secret_below_a_folder_of_the_tenant if permitted("payments/db/password")

test_a_secret_of_another_tenant if refused("research/db/password", "secret: the tenant may not use research/db/password")

test_a_secret_that_only_begins_alike if refused("smtp/password2", "secret: the tenant may not use smtp/password2")

test_a_folder_that_only_begins_alike if refused("paymentsx/db", "secret: the tenant may not use paymentsx/db")

test_a_tenant_without_secrets_gets_none if fixtures.holds({
	"data": object.union(fixtures.world, {"tenants": {"payments": {"secrets": []}}}),
	"input": fixtures.with_secret("payments/db"),
	"want": fixtures.refused(["secret.tenant"]),
})

test_a_tenant_whose_secrets_nobody_has_named_gets_none if fixtures.holds({
	"data": json.remove(fixtures.world, ["tenants/payments/secrets"]),
	"input": fixtures.with_secret("payments/db"),
	"want": {"allow": false},
})

test_one_of_several_secrets_is_enough if fixtures.holds({
	"data": fixtures.world,
	"input": fixtures.submitting({"secrets": [{"name": "A", "from": "smtp/password"}, {"name": "B", "from": "root/key"}]}),
	"want": fixtures.refused(["secret.tenant"]),
})

test_a_secret_taken_from_the_tenant_keeps_a_run_from_its_next_region if fixtures.holds({
	"data": fixtures.world,
	"input": fixtures.placing({"workflow": {"spec": {"secrets": [{"name": "A", "from": "root/key", "as": "file"}]}}}),
	"want": {"allow": false, "rules": ["secret.tenant"]},
})

permitted(name) if fixtures.holds({"data": fixtures.world, "input": fixtures.with_secret(name), "want": {"allow": true}})

refused(name, message) if fixtures.holds({
	"data": fixtures.world,
	"input": fixtures.with_secret(name),
	"want": {"allow": false, "rules": ["secret.tenant"], "reasons": [{"rule": "secret.tenant", "message": message}]},
})
