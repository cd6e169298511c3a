package waypost.document_test

import data.waypost.document
import data.waypost.fixtures

everywhere := ["beijing", "shanghai", "shenzhen"]

test_an_image_that_is_banned if case(fixtures.picturing("docker.io/untrusted/x:1"), {
	"allow": false,
	"rules": ["image.banned"],
	"reasons": [{"rule": "image.banned", "message": "image: task pack uses docker.io/untrusted/x:1"}],
})

test_a_banned_image_without_its_registry if case(fixtures.picturing("untrusted/x:1"), fixtures.refused(["image.banned"]))

test_a_banned_image_by_dockers_other_name if case(fixtures.picturing("index.docker.io/untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_by_dockers_third_name if case(fixtures.picturing("registry-1.docker.io/untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_with_a_port if case(fixtures.picturing("docker.io:443/untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_in_other_letter_case if case(fixtures.picturing("Docker.IO/untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_official_image if case(fixtures.picturing("miner:latest"), fixtures.refused(["image.banned"]))

test_a_banned_official_image_with_its_registry if case(fixtures.picturing("docker.io/miner"), fixtures.refused(["image.banned"]))

test_a_ban_in_capitals if case(fixtures.picturing("ghcr.io/unknown/x"), fixtures.refused(["image.banned"]))

test_an_image_of_a_registry_of_ones_own if case(fixtures.picturing("localhost/untrusted/x"), permitted(everywhere))

test_an_image_of_another_registry if case(fixtures.picturing("registry.test/untrusted/x"), permitted(everywhere))

test_an_image_of_a_registry_on_a_port if case(fixtures.picturing("registry:5000/untrusted/x"), permitted(everywhere))

test_an_image_that_nobody_banned if case(fixtures.picturing("python:3.11"), permitted(everywhere))

test_an_image_behind_a_placeholder if case(fixtures.picturing("${params.image}"), fixtures.refused(["image.unreadable"]))

test_an_image_that_is_no_string if case(fixtures.picturing({"name": "x"}), fixtures.refused(["image.unreadable"]))

test_an_image_that_is_null if case(fixtures.picturing(null), permitted(everywhere))

test_an_image_behind_a_scheme if case(fixtures.picturing("docker://untrusted/x"), fixtures.refused(["image.unreadable"]))

test_an_image_that_goes_up_a_folder if case(fixtures.picturing("docker.io/library/../untrusted/x"), fixtures.refused(["image.unreadable"]))

test_an_image_with_two_slashes if case(fixtures.picturing("docker.io//untrusted/x"), fixtures.refused(["image.unreadable"]))

test_an_image_in_letters_that_only_look_alike if case(fixtures.picturing("untruſted/x"), fixtures.refused(["image.unreadable"]))

test_a_banned_image_by_dockers_fourth_name if case(fixtures.picturing("registry.hub.docker.com/untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_with_another_port if case(fixtures.picturing("registry-1.docker.io:0080/untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_of_a_host_with_a_dot_at_its_end if case(fixtures.picturing("docker.io./untrusted/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_of_another_registry_with_dot_and_port if case(fixtures.picturing("ghcr.io.:443/unknown/x"), fixtures.refused(["image.banned"]))

test_a_banned_image_by_its_digest if case(fixtures.picturing("untrusted/x@sha256:0a"), fixtures.refused(["image.banned"]))

test_an_official_image_with_a_dot_in_its_name if case(fixtures.picturing("node.js"), permitted(everywhere))

test_a_ban_on_a_registry_without_a_slash if fixtures.holds({
	"input": fixtures.picturing("index.docker.io/python"),
	"data": object.union(fixtures.world, {"banned_images": ["docker.io"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_ban_by_dockers_other_name if fixtures.holds({
	"input": fixtures.picturing("untrusted/x"),
	"data": object.union(fixtures.world, {"banned_images": ["index.docker.io/untrusted/"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_ban_on_an_official_image_by_its_name_alone if fixtures.holds({
	"input": fixtures.picturing("docker.io/library/miner:2"),
	"data": object.union(fixtures.world, {"banned_images": ["miner"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_ban_that_names_no_registry_and_the_image_does if fixtures.holds({
	"input": fixtures.picturing("docker.io/untrusted/x"),
	"data": object.union(fixtures.world, {"banned_images": ["untrusted/"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_quote_in_an_image if case(fixtures.picturing(`docker.io/untrusted/"}]}`), fixtures.refused(["image.unreadable"]))

test_two_banned_images if case(
	fixtures.submitting({"tasks": [docker("a", "untrusted/x"), docker("b", "untrusted/y"), docker("c", "python")]}),
	{"allow": false, "rules": ["image.banned"], "reasons": [
		{"rule": "image.banned", "message": "image: task a uses untrusted/x"},
		{"rule": "image.banned", "message": "image: task b uses untrusted/y"},
	]},
)

test_a_ban_on_everything_of_dockers if fixtures.holds({
	"input": fixtures.picturing("python"),
	"data": object.union(fixtures.world, {"banned_images": ["docker.io/"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_ban_that_names_no_registry if fixtures.holds({
	"input": fixtures.picturing("Untrusted/x"),
	"data": object.union(fixtures.world, {"banned_images": ["untrusted/"]}),
	"want": fixtures.refused(["image.banned"]),
})

test_a_placeholder_where_no_image_is_banned if fixtures.holds({
	"input": fixtures.picturing("${params.image}"),
	"data": object.union(fixtures.world, {"banned_images": []}),
	"want": permitted(everywhere),
})

# Executors

test_an_executor_that_is_banned if case(of_type("kubernetes"), {
	"allow": false,
	"rules": ["executor.banned"],
	"reasons": [{"rule": "executor.banned", "message": "executor: kubernetes is banned"}],
})

test_an_executor_that_the_tenant_may_not_use if case(research(of_type("process")), {
	"allow": false,
	"rules": ["executor.tenant"],
	"reasons": [{"rule": "executor.tenant", "message": "executor: process is not among those of the tenant"}],
})

test_an_executor_that_the_tenant_may_use if case(research(of_type("delay")), permitted(["shenzhen"]))

# Sizes

test_a_priority_at_the_cap if case(fixtures.submitting({"priority": 7}), permitted(everywhere))

test_a_priority_above_the_cap if case(fixtures.submitting({"priority": 8}), {
	"allow": false,
	"rules": ["priority.cap"],
	"reasons": [{"rule": "priority.cap", "message": "priority: 8 is above the tenant's cap of 7"}],
})

test_as_many_shards_as_there_may_be if case(fixtures.submitting({"shards": {"count": 8}}), permitted(everywhere))

test_too_many_shards_by_count if case(fixtures.submitting({"shards": {"count": 9}}), {
	"allow": false,
	"rules": ["shards.maximum"],
	"reasons": [{"rule": "shards.maximum", "message": "shards: 9, and the tenant may have 8"}],
})

test_as_many_items_as_there_may_be_shards if case(fixtures.submitting({"shards": {"items": numbers.range(1, 8)}}), permitted(everywhere))

test_too_many_shards_by_items if case(fixtures.submitting({"shards": {"items": numbers.range(1, 9)}}), fixtures.refused(["shards.maximum"]))

test_a_count_beside_too_many_items if case(
	fixtures.submitting({"shards": {"count": 1, "items": numbers.range(1, 9)}}),
	fixtures.refused(["shards.maximum"]),
)

test_a_deadline_at_the_maximum if case(fixtures.submitting({"deadlineSeconds": 3600}), permitted(everywhere))

test_a_deadline_beyond_the_maximum if case(fixtures.submitting({"deadlineSeconds": 3601}), {
	"allow": false,
	"rules": ["deadline.maximum"],
	"reasons": [{"rule": "deadline.maximum", "message": "deadline: 3601 s, and the tenant may have 3600 s"}],
})

test_finally_within_the_maximum if case(fixtures.submitting({"finallySeconds": 3600}), permitted(everywhere))

test_finally_beyond_the_maximum if case(fixtures.submitting({"finallySeconds": 3601}), {
	"allow": false,
	"rules": ["deadline.maximum"],
	"reasons": [{"rule": "deadline.maximum", "message": "finally: 3601 s, and the tenant may have 3600 s"}],
})

test_a_tenant_without_limits_but_its_regions if case(
	research(fixtures.submitting({"priority": 9, "shards": {"count": 1000}, "deadlineSeconds": 1000000, "tasks": [task("delay")]})),
	{"allow": true, "obligations": {"regions": ["shenzhen"]}},
)

# Regions

test_a_data_class if case(fixtures.submitting({"dataClass": "pii"}), permitted(["beijing", "shanghai"]))

test_a_data_class_that_is_not_known if case(fixtures.submitting({"dataClass": "secret"}), {
	"allow": false,
	"rules": ["placement.nowhere", "residency.unknown"],
	"reasons": [
		{"rule": "placement.nowhere", "message": "placement: no region is permitted"},
		{"rule": "residency.unknown", "message": "residency: data class secret is not known here"},
	],
})

test_a_data_class_that_may_be_nowhere if case(fixtures.submitting({"dataClass": "nowhere"}), fixtures.refused(["placement.nowhere"]))

test_a_data_class_in_none_of_the_tenants_regions if case(
	research(fixtures.submitting({"dataClass": "pii", "tasks": [task("delay")]})),
	fixtures.refused(["placement.nowhere"]),
)

test_a_data_class_that_is_no_word if case(fixtures.submitting({"dataClass": false}), fixtures.refused(["placement.nowhere", "residency.unknown"]))

test_a_tenant_without_regions if case(
	object.union(fixtures.submission({}), {"principal": {"tenant": "idle"}, "workflow": {"metadata": {"tenant": "idle"}}}),
	fixtures.refused(["placement.nowhere"]),
)

test_a_wish_which_is_for_the_placement if case(wishing(["shanghai", "atlantis"], null), permitted(everywhere))

test_a_wish_within_a_data_class if case(wishing(["shanghai", "shenzhen"], "pii"), permitted(["beijing", "shanghai"]))

test_a_wish_that_is_not_permitted if case(wishing(["shenzhen"], "pii"), {
	"allow": false,
	"rules": ["placement.wishes"],
	"reasons": [{
		"rule": "placement.wishes",
		"message": "placement: none of the wished regions is permitted, only beijing, shanghai",
	}],
})

case(question, want) if fixtures.holds({"input": question, "data": fixtures.world, "want": want})

permitted(regions) := {"allow": true, "reasons": [], "obligations": {"regions": regions}}

task(type) := {"name": "pack", "type": type, "run": {}, "needs": []}

docker(name, image) := {"name": name, "type": "docker", "run": {"image": image}, "needs": []}

of_type(type) := fixtures.submitting({"tasks": [task(type)]})

wishing(regions, class) := fixtures.submitting({"dataClass": class, "placement": {"regions": regions}})

research(input_) := object.union(input_, {"principal": {"tenant": "research"}, "workflow": {"metadata": {"tenant": "research"}}})

test_an_image_is_read_as_a_runtime_reads_it if {
	document.full_name("Python") == "docker.io/library/python"
	document.full_name("me/x:1") == "docker.io/me/x:1"
	document.full_name("ghcr.io/me/x") == "ghcr.io/me/x"
	document.full_name("localhost/x") == "localhost/x"
	document.full_name("docker.io/x") == "docker.io/library/x"
}
