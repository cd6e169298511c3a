package waypost.services_test

import data.waypost.services

identity := "spiffe://cluster.local/ns/audit/sa/audit"

ledger := {
	"namespace": "finance",
	"workload": {"app": "ledger"},
	"ports": {"http": [8080, 9090], "tcp": [5432]},
	"issuers": [{"issuer": "https://a.test", "audiences": ["ledger", "books"]}, {"issuer": "b", "audiences": ["https://b.test/"]}],
	"allow": [
		{
			"name": "audit",
			"issuers": ["https://a.test"],
			"audiences": ["ledger"],
			"workloads": [identity],
			"scopes": ["read:finance", "read:ledger"],
			"tenants": ["audit", "tax"],
			"methods": ["GET"],
			"paths": ["/ledger", "/ledger/*"],
			"ports": [8080],
		},
		{"name": "metrics", "token": "optional", "workloads": ["spiffe://cluster.local/ns/m/sa/prometheus"], "paths": ["/metrics"]},
		{"name": "database", "token": "optional", "workloads": ["spiffe://cluster.local/ns/d/sa/app"], "ports": [5432]},
		{"name": "anyone", "paths": ["/open"]},
	],
}

database := {
	"namespace": "finance",
	"workload": {"app": "database"},
	"ports": {"tcp": [5432]},
	"tenantClaim": "org",
	"allow": [{"name": "app", "token": "optional", "workloads": [identity]}],
}

claims := {"iss": "https://a.test", "sub": "x", "aud": ["ledger"], "scope": "read:finance read:ledger", "tenant": "audit"}

good := {"service": "ledger", "port": 8080, "method": "GET", "path": "/ledger", "workload": identity, "claims": claims}

decided(changes) := decision if {
	decision := services.decision with input as object.union(object.remove(good, object.keys(changes)), changes)
		with data.services as {"ledger": ledger, "database": database}
}

# The ways by which a request is let in that differs from the good one in `changes`, where that is permitted.
by(changes) := decision.rules if {
	decision := decided(changes)
	decision.allow == true
	count(decision.reasons) == 0
}

refused(changes) if decided(changes).allow == false

with_claims(changes) := {"claims": object.union(claims, changes)}

test_what_fits_is_let_in if by({}) == {"audit"}

test_below_a_path if by({"path": "/ledger/2026/q4"}) == {"audit"}

test_the_query_is_not_the_path if by({"path": "/ledger?year=2026#q4"}) == {"audit"}

test_scopes_may_be_a_list if by(with_claims({"scope": ["read:ledger", "other", "read:finance"]})) == {"audit"}

test_an_audience_may_be_a_text if by(with_claims({"aud": "ledger"})) == {"audit"}

test_a_tenant_may_be_one_of_a_list if by(with_claims({"tenant": ["x", "tax"]})) == {"audit"}

test_where_no_token_is_needed_none_is_missed if {
	by({"claims": null, "path": "/metrics", "port": 9090, "workload": "spiffe://cluster.local/ns/m/sa/prometheus"}) == {"metrics"}
}

test_a_tcp_port_knows_the_workload_alone if {
	by({"claims": null, "method": null, "path": null, "port": 5432, "workload": "spiffe://cluster.local/ns/d/sa/app"}) == {"database"}
}

test_without_ports_the_tcp_ports_count_where_there_are_no_others if {
	by({"service": "database", "claims": null, "method": null, "path": null, "port": 5432}) == {"app"}
	by({"service": "database", "port": 5432}) == {"app"}
}

test_everybody_with_a_token if by({"path": "/open", "workload": "spiffe://a/ns/b/sa/c", "method": "PUT", "port": 9090}) == {"anyone"}

test_each_part_must_fit if {
	every changes in [
		{"method": "POST"},
		{"method": "get"},
		{"method": null},
		{"path": "/ledgers"},
		{"path": "/"},
		{"path": null},
		{"port": 9090},
		{"port": 5432},
		{"port": 1},
		{"workload": "spiffe://cluster.local/ns/audit/sa/other"},
		{"workload": "cluster.local/ns/audit/sa/audit"},
		{"workload": null},
		{"claims": null},
		{"claims": {}},
		{"service": "unknown"},
		with_claims({"iss": "https://a.test/"}),
		with_claims({"iss": "b", "aud": "https://b.test/"}),
		with_claims({"aud": "books"}),
		with_claims({"aud": ["ledger", 1]}),
		with_claims({"aud": []}),
		with_claims({"aud": null}),
		with_claims({"aud": "https://ledger/"}),
		with_claims({"sub": ""}),
		with_claims({"sub": 1}),
		with_claims({"sub": "a\nb"}),
		with_claims({"scope": "read:finance"}),
		with_claims({"scope": "read:finance-x read:ledger"}),
		with_claims({"scope": ["read:finance read:ledger"]}),
		with_claims({"scope": "read:finance\tread:ledger"}),
		with_claims({"scope": 1}),
		with_claims({"tenant": "audit tax"}),
		with_claims({"tenant": 1}),
		{"claims": object.remove(claims, ["tenant"])},
		{"claims": object.remove(claims, ["sub"])},
	] {
		refused(changes)
	}
}

test_a_refused_token_lets_nobody_in_where_none_is_needed if {
	metrics := {"path": "/metrics", "port": 9090, "workload": "spiffe://cluster.local/ns/m/sa/prometheus"}
	by(object.union(metrics, with_claims({"aud": "http://ledger"}))) == {"metrics"}
	refused(object.union(metrics, with_claims({"aud": "other"})))
	refused(object.union(metrics, with_claims({"sub": 1})))
	refused(object.union(metrics, with_claims({"iss": "c"})))
}

test_each_missing_part_is_named if {
	decision := decided({"method": "PUT", "port": 9090, "claims": {"iss": "c"}, "workload": null, "path": "/x"})
	messages := {reason.message | some reason in decision.reasons}
	"audit: does not fit: iss, method, path, port, scopes, sub, tenant, workload" in messages
	"workload: the caller has no identity, and mutual TLS is strict" in messages
	"token: it is not of an issuer, and for an audience, that the service takes" in messages
	decision.rules == {"anyone", "audit", "database", "metrics", "token.refused", "workload.missing"}
}

test_what_does_not_fit_of_a_token_is_named if {
	some missing in decided({"claims": null}).reasons
	missing.message == "audit: does not fit: scopes, tenant, token"
	some other in decided(with_claims({"aud": "books"})).reasons
	other.message == "audit: does not fit: aud"
}

test_an_unknown_service_is_said_to_be if {
	decided({"service": "unknown"}).reasons == {{"rule": "service.unknown", "message": "service: it has no file"}}
}
