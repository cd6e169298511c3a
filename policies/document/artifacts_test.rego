package waypost.artifacts_test

import data.waypost.fixtures

test_a_file_below_a_folder_of_the_tenant if fetches("exports", "daily/orders.csv")

test_a_file_that_the_tenant_may_fetch_by_its_name if fetches("shared", "rates.csv")

test_a_file_of_another_folder if fetches_not("exports", "weekly/orders.csv", "artifact: the tenant may not fetch exports/weekly/orders.csv")

test_a_folder_that_only_begins_alike if fetches_not("exports", "dailyx/orders.csv", "artifact: the tenant may not fetch exports/dailyx/orders.csv")

test_a_file_that_only_begins_alike if fetches_not("shared", "rates.csv2", "artifact: the tenant may not fetch shared/rates.csv2")

test_a_placeholder_below_the_folder if fetches("exports", "daily/${item}")

test_a_placeholder_in_place_of_the_folder if fetches_not("exports", "${params.folder}/orders.csv", "artifact: the tenant may not fetch exports/${params.folder}/orders.csv")

test_a_target_in_a_storage_of_the_tenant if stores("results", "orders.csv")

test_what_may_be_fetched_may_not_be_stored if fixtures.holds({
	"data": fixtures.world,
	"input": storing("exports", "daily/orders.csv"),
	"want": {"allow": false, "rules": ["artifact.tenant"], "reasons": [{
		"rule": "artifact.tenant",
		"message": "artifact: the tenant may not store exports/daily/orders.csv",
	}]},
})

test_a_tenant_without_artifacts_gets_none if fixtures.holds({
	"data": json.remove(fixtures.world, ["tenants/payments/artifacts"]),
	"input": fetching("exports", "daily/orders.csv"),
	"want": fixtures.refused(["artifact.tenant"]),
})

test_a_tenant_that_may_only_store if fixtures.holds({
	"data": json.remove(fixtures.world, ["tenants/payments/artifacts/read"]),
	"input": fetching("exports", "daily/orders.csv"),
	"want": fixtures.refused(["artifact.tenant"]),
})

test_an_artifact_without_a_path if fixtures.holds({
	"data": fixtures.world,
	"input": submitting({"source": {"file": {"storage": "exports"}}}),
	"want": fixtures.refused(["artifact.tenant"]),
})

test_other_sources_are_data_for_the_task if fixtures.holds({
	"data": fixtures.world,
	"input": submitting({"source": {"s3": {"path": "backup/1"}}, "target": {"mysql": {"storage": "x"}}}),
	"want": {"allow": true},
})

test_an_artifact_taken_from_the_tenant_keeps_a_run_from_its_next_region if fixtures.holds({
	"data": json.remove(fixtures.world, ["tenants/payments/artifacts"]),
	"input": fixtures.placing({"workflow": {"spec": {"tasks": [task({"target": {"s3": {"storage": "results", "path": "a"}}})]}}}),
	"want": {"allow": false, "rules": ["artifact.tenant"]},
})

task(changes) := object.union({"name": "pack", "type": "process", "run": {"command": ["true"]}, "needs": []}, changes)

submitting(changes) := fixtures.submitting({"tasks": [task(changes)]})

fetching(storage, path) := submitting({"source": {"file": {"storage": storage, "path": path}}})

storing(storage, path) := submitting({"target": {"s3": {"storage": storage, "path": path}}})

fetches(storage, path) if fixtures.holds({"data": fixtures.world, "input": fetching(storage, path), "want": {"allow": true}})

stores(storage, path) if fixtures.holds({"data": fixtures.world, "input": storing(storage, path), "want": {"allow": true}})

fetches_not(storage, path, message) if fixtures.holds({
	"data": fixtures.world,
	"input": fetching(storage, path),
	"want": {"allow": false, "rules": ["artifact.tenant"], "reasons": [{"rule": "artifact.tenant", "message": message}]},
})
