package waypost.closed_regions_test

import data.waypost.fixtures

night := {"region": "shenzhen", "rule": "hours.shenzhen", "message": "placement: shenzhen is closed at night"}

# What each decision says of a document with `changes` in its spec, while house rules close `closed`.
decided(action, changes, closed) := decision if {
	question := {
		"action": action,
		"at": 1764000000,
		"context": {"run": fixtures.run},
		"principal": fixtures.principal,
		"workflow": object.union(fixtures.workflow, {"spec": object.union(fixtures.spec, changes)}),
	}
	decision := fixtures.asked(action) with input as question
		with data.tenants as fixtures.world.tenants
		with data.residency as fixtures.world.residency
		with data.banned_images as []
		with data.banned_executors as []
		with data.operators as {}
		with data.security as {}
		with data.levels as {}
		with data.mask as []
		with data.waypost.house as {"closed": closed}
}

actions := ["runs:submit", "runs:place", "runs:retry"]

# Whether all actions on documents permit these regions, by these rules of the house.
permits(changes, closed, regions, rules) if {
	every action in actions {
		decision := decided(action, changes, closed)
		decision.allow
		decision.obligations.regions == regions
		{rule | some rule in decision.rules} - {"document.permitted", "scope.granted", "tenant.permitted"} == rules
	}
}

refuses(changes, closed, rules) if {
	every action in actions {
		decision := decided(action, changes, closed)
		not decision.allow
		decision.rules == rules
	}
}

test_a_closed_region_is_not_permitted if permits({}, {night}, {"beijing", "shanghai"}, {"hours.shenzhen"})

test_the_name_of_a_region_is_enough if permits({}, {"shenzhen", night}, {"beijing", "shanghai"}, {"hours.shenzhen", "house"})

test_a_region_without_a_rule_is_the_houses if permits({}, {{"region": "beijing"}}, {"shanghai", "shenzhen"}, {"house"})

test_nothing_closed if permits({}, set(), {"beijing", "shanghai", "shenzhen"}, set())

test_no_region_is_added if permits({"dataClass": "pii"}, {"elsewhere"}, {"beijing", "shanghai"}, set())

test_what_the_data_do_not_offer_is_closed_by_nobody if permits({"dataClass": "pii"}, {night}, {"beijing", "shanghai"}, set())

test_a_wish_that_is_left if permits(
	{"placement": {"regions": ["beijing", "shenzhen"]}},
	{night}, {"beijing", "shanghai"}, {"hours.shenzhen"},
)

test_a_wish_that_is_closed if refuses(
	{"placement": {"regions": ["shenzhen"]}},
	{night, "beijing"}, {"hours.shenzhen", "placement.wishes"},
)

test_all_closed if refuses({}, {night, "beijing", "shanghai"}, {"hours.shenzhen", "house", "placement.nowhere"})

test_all_closed_that_the_data_offer if refuses(
	{"dataClass": "pii"},
	{night, "beijing", "shanghai"}, {"house", "placement.nowhere"},
)

test_a_closed_region_has_a_sentence if {
	reasons := decided("runs:submit", {"placement": {"regions": ["shenzhen"]}}, {"shenzhen"}).reasons
	{"rule": "house", "message": "placement: shenzhen is closed"} in reasons
}

test_what_cannot_be_read_refuses if {
	every entry in [5, null, {"regions": ["shenzhen"]}, {"region": 5}, ["shenzhen"]] {
		refuses({}, {entry}, {"closed.unreadable"})
	}
	every closed in ["shenzhen", ["shenzhen"], {"shenzhen": true}, false, null] {
		every action in actions {
			decision := decided(action, {}, closed)
			not decision.allow
			"closed.unreadable" in decision.rules
		}
	}
}

test_reading_asks_for_no_region if {
	decision := decided("runs:read", {}, {night})
	decision.rules == {"scope.granted", "tenant.permitted"}
}
