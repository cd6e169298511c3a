package waypost.document_test

import rego.v1

import data.waypost.document
import data.waypost.fixtures

everywhere := ["beijing", "shanghai", "shenzhen"]

cases := {
	# Images
	"an image that is banned": case(fixtures.picturing("docker.io/untrusted/x:1"), {
		"allow": false,
		"rules": ["image.banned"],
		"reasons": [{"rule": "image.banned", "message": "image: task pack uses docker.io/untrusted/x:1"}],
	}),
	"a banned image without its registry": case(fixtures.picturing("untrusted/x:1"), fixtures.refused(["image.banned"])),
	"a banned image by Docker's other name": case(fixtures.picturing("index.docker.io/untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned image by Docker's third name": case(fixtures.picturing("registry-1.docker.io/untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned image with a port": case(fixtures.picturing("docker.io:443/untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned image in other letter case": case(fixtures.picturing("Docker.IO/untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned official image": case(fixtures.picturing("miner:latest"), fixtures.refused(["image.banned"])),
	"a banned official image with its registry": case(fixtures.picturing("docker.io/miner"), fixtures.refused(["image.banned"])),
	"a ban in capitals": case(fixtures.picturing("ghcr.io/unknown/x"), fixtures.refused(["image.banned"])),
	"an image of a registry of one's own": case(fixtures.picturing("localhost/untrusted/x"), permitted(everywhere)),
	"an image of another registry": case(fixtures.picturing("registry.test/untrusted/x"), permitted(everywhere)),
	"an image of a registry on a port": case(fixtures.picturing("registry:5000/untrusted/x"), permitted(everywhere)),
	"an image that nobody banned": case(fixtures.picturing("python:3.11"), permitted(everywhere)),
	"an image behind a placeholder": case(fixtures.picturing("${params.image}"), fixtures.refused(["image.unreadable"])),
	"an image that is no string": case(fixtures.picturing({"name": "x"}), fixtures.refused(["image.unreadable"])),
	"an image that is null": case(fixtures.picturing(null), permitted(everywhere)),
	"an image behind a scheme": case(fixtures.picturing("docker://untrusted/x"), fixtures.refused(["image.unreadable"])),
	"an image that goes up a folder": case(fixtures.picturing("docker.io/library/../untrusted/x"), fixtures.refused(["image.unreadable"])),
	"an image with two slashes": case(fixtures.picturing("docker.io//untrusted/x"), fixtures.refused(["image.unreadable"])),
	"an image in letters that only look alike": case(fixtures.picturing("untruſted/x"), fixtures.refused(["image.unreadable"])),
	"a banned image by Docker's fourth name": case(fixtures.picturing("registry.hub.docker.com/untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned image with another port": case(fixtures.picturing("registry-1.docker.io:0080/untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned image of a host with a dot at its end": case(fixtures.picturing("docker.io./untrusted/x"), fixtures.refused(["image.banned"])),
	"a banned image of another registry, with dot and port": case(fixtures.picturing("ghcr.io.:443/unknown/x"), fixtures.refused(["image.banned"])),
	"a banned image by its digest": case(fixtures.picturing("untrusted/x@sha256:0a"), fixtures.refused(["image.banned"])),
	"an official image with a dot in its name": case(fixtures.picturing("node.js"), permitted(everywhere)),
	"a ban on a registry, without a slash": {
		"input": fixtures.picturing("index.docker.io/python"),
		"data": object.union(fixtures.world, {"banned_images": ["docker.io"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a ban by Docker's other name": {
		"input": fixtures.picturing("untrusted/x"),
		"data": object.union(fixtures.world, {"banned_images": ["index.docker.io/untrusted/"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a ban on an official image by its name alone": {
		"input": fixtures.picturing("docker.io/library/miner:2"),
		"data": object.union(fixtures.world, {"banned_images": ["miner"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a ban that names no registry, and the image does": {
		"input": fixtures.picturing("docker.io/untrusted/x"),
		"data": object.union(fixtures.world, {"banned_images": ["untrusted/"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a quote in an image": case(fixtures.picturing(`docker.io/untrusted/"}]}`), fixtures.refused(["image.unreadable"])),
	"two banned images": case(
		fixtures.submitting({"tasks": [docker("a", "untrusted/x"), docker("b", "untrusted/y"), docker("c", "python")]}),
		{"allow": false, "rules": ["image.banned"], "reasons": [
			{"rule": "image.banned", "message": "image: task a uses untrusted/x"},
			{"rule": "image.banned", "message": "image: task b uses untrusted/y"},
		]},
	),
	"a ban on everything of Docker's": {
		"input": fixtures.picturing("python"),
		"data": object.union(fixtures.world, {"banned_images": ["docker.io/"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a ban that names no registry": {
		"input": fixtures.picturing("Untrusted/x"),
		"data": object.union(fixtures.world, {"banned_images": ["untrusted/"]}),
		"want": fixtures.refused(["image.banned"]),
	},
	"a placeholder where no image is banned": {
		"input": fixtures.picturing("${params.image}"),
		"data": object.union(fixtures.world, {"banned_images": []}),
		"want": permitted(everywhere),
	},
	# Executors
	"an executor that is banned": case(of_type("kubernetes"), {
		"allow": false,
		"rules": ["executor.banned"],
		"reasons": [{"rule": "executor.banned", "message": "executor: kubernetes is banned"}],
	}),
	"an executor that the tenant may not use": case(research(of_type("process")), {
		"allow": false,
		"rules": ["executor.tenant"],
		"reasons": [{"rule": "executor.tenant", "message": "executor: process is not among those of the tenant"}],
	}),
	"an executor that the tenant may use": case(research(of_type("delay")), permitted(["shenzhen"])),
	# Sizes
	"a priority at the cap": case(fixtures.submitting({"priority": 7}), permitted(everywhere)),
	"a priority above the cap": case(fixtures.submitting({"priority": 8}), {
		"allow": false,
		"rules": ["priority.cap"],
		"reasons": [{"rule": "priority.cap", "message": "priority: 8 is above the tenant's cap of 7"}],
	}),
	"as many shards as there may be": case(fixtures.submitting({"shards": {"count": 8}}), permitted(everywhere)),
	"too many shards by count": case(fixtures.submitting({"shards": {"count": 9}}), {
		"allow": false,
		"rules": ["shards.maximum"],
		"reasons": [{"rule": "shards.maximum", "message": "shards: 9, and the tenant may have 8"}],
	}),
	"as many items as there may be shards": case(fixtures.submitting({"shards": {"items": numbers.range(1, 8)}}), permitted(everywhere)),
	"too many shards by items": case(fixtures.submitting({"shards": {"items": numbers.range(1, 9)}}), fixtures.refused(["shards.maximum"])),
	"a count beside too many items": case(
		fixtures.submitting({"shards": {"count": 1, "items": numbers.range(1, 9)}}),
		fixtures.refused(["shards.maximum"]),
	),
	"a deadline at the maximum": case(fixtures.submitting({"deadlineSeconds": 3600}), permitted(everywhere)),
	"a deadline beyond the maximum": case(fixtures.submitting({"deadlineSeconds": 3601}), {
		"allow": false,
		"rules": ["deadline.maximum"],
		"reasons": [{"rule": "deadline.maximum", "message": "deadline: 3601 s, and the tenant may have 3600 s"}],
	}),
	"a tenant without limits but its regions": case(
		research(fixtures.submitting({"priority": 9, "shards": {"count": 1000}, "deadlineSeconds": 1000000, "tasks": [task("delay")]})),
		{"allow": true, "obligations": {"regions": ["shenzhen"]}},
	),
	# Regions
	"a data class": case(fixtures.submitting({"dataClass": "pii"}), permitted(["beijing", "shanghai"])),
	"a data class that is not known": case(fixtures.submitting({"dataClass": "secret"}), {
		"allow": false,
		"rules": ["placement.nowhere", "residency.unknown"],
		"reasons": [
			{"rule": "placement.nowhere", "message": "placement: no region is permitted"},
			{"rule": "residency.unknown", "message": "residency: data class secret is not known here"},
		],
	}),
	"a data class that may be nowhere": case(fixtures.submitting({"dataClass": "nowhere"}), fixtures.refused(["placement.nowhere"])),
	"a data class in none of the tenant's regions": case(
		research(fixtures.submitting({"dataClass": "pii", "tasks": [task("delay")]})),
		fixtures.refused(["placement.nowhere"]),
	),
	"a data class that is no word": case(fixtures.submitting({"dataClass": false}), fixtures.refused(["residency.unknown"])),
	"a tenant without regions": case(
		object.union(fixtures.submission({}), {"principal": {"tenant": "idle"}, "workflow": {"metadata": {"tenant": "idle"}}}),
		fixtures.refused(["placement.nowhere"]),
	),
	"a wish, which is for the placement": case(wishing(["shanghai", "atlantis"], null), permitted(everywhere)),
	"a wish within a data class": case(wishing(["shanghai", "shenzhen"], "pii"), permitted(["beijing", "shanghai"])),
	"a wish that is not permitted": case(wishing(["shenzhen"], "pii"), {
		"allow": false,
		"rules": ["placement.wishes"],
		"reasons": [{
			"rule": "placement.wishes",
			"message": "placement: none of the wished regions is permitted, only beijing, shanghai",
		}],
	}),
}

case(input_, want) := {"input": input_, "data": fixtures.world, "want": want}

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
