# What the service files of this folder say: an example of tests for one's own.
package waypost.services_files_test

import data.waypost.services

audit := "spiffe://cluster.local/ns/audit/sa/audit"

ledger := {
	"service": "finance",
	"port": 8080,
	"method": "GET",
	"path": "/ledger/2026",
	"workload": audit,
	"claims": {
		"iss": "https://login.example.com/realms/corporate",
		"aud": "finance",
		"sub": "ann",
		"scope": "openid read:finance",
	},
}

allowed(changes) if {
	decision := services.decision with input as object.union(ledger, changes)
	decision.allow
}

test_auditors_read_the_ledger if allowed({})

test_nobody_writes_it if {
	every method in {"POST", "PUT", "PATCH", "DELETE"} {
		not allowed({"method": method})
	}
}

test_another_scope_is_not_enough if not allowed({"claims": {"scope": "openid"}})

test_another_workload_is_not_enough if not allowed({"workload": "spiffe://cluster.local/ns/shop/sa/checkout"})

test_prometheus_alone_scrapes_metrics if {
	scrape := {"port": 9090, "path": "/metrics"}
	not allowed(scrape)
	allowed(object.union(scrape, {"workload": "spiffe://cluster.local/ns/monitoring/sa/prometheus"}))
}
