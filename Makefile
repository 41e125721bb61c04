# The single door to the project. Needs Python 3.10-3.13, git and make; everything else is installed into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# Where this is set, every program that a test starts compiles all it imports: a server takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell tools/find_python)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

CORPUS ?= tests/pipelines
BACKEND ?= local
SEEDS ?= 300
FIRST ?= 0
MINUTES ?= 1
WORKERS ?= 2
ARGS ?=

.PHONY: reference api-coverage coverage fuzz-rest fuzz-grpc help setup demo test test-programs test-unit test-container test-kube test-kube-faults test-kueue lint format generate conformance simulate fuzz beside bench serve build clean test-wheels

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install everything into .venv

$(STAMP): requirements.lock pyproject.toml clients/python/pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.10-3.13 found; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	awk '/^uv==/, !/\\$$/' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e clients/python -e .
	@touch $@

requirements.lock: ; $(MAKE) lock

.PHONY: lock
lock: ## Resolve dependencies anew (pyproject.toml -> requirements.lock)
	$(BIN)/uv lock --quiet
	$(BIN)/uv export --quiet --all-groups --no-emit-workspace --no-header --format requirements-txt -o requirements.lock

# Names of files change with their content, so that index.html is written last and says when all was built.
UI := server/penstock_server/ui_bundle/index.html
UI_SOURCES := $(shell find clients/web clients/typescript/src -name node_modules -prune -o -type f -print)

.PHONY: ui
ui: $(UI) ## Build the web UI, which the server serves at /

$(UI): $(STAMP) tools/ui.py $(UI_SOURCES)
	$(BIN)/python -m tools.ui

demo: $(STAMP) $(UI) ## Run a real pipeline end to end and look at its lineage
	$(BIN)/python -m tools.demo $(ARGS)

serve: $(STAMP) $(UI) ## Start server and executor (penstock up)
	$(BIN)/penstock up $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/.programs-tests $(UI) ## Pictures of the web UI's pages into build/screenshots: ARGS="--only phone"
	$(BIN)/python -m tools.screenshots $(ARGS)

test-programs: $(STAMP) ## Install what tests start besides Python: databases, object stores, a browser, podman
	$(BIN)/python -m tools.programs

$(VENV)/.programs-%: $(STAMP) tools/programs.py tools/debian.py clients/typescript/package-lock.json clients/go/go.sum
	$(BIN)/python -m tools.programs $*
	@touch $@

# What a machine of two cores and no cluster can prove, two tests at a time.
SUITE := pytest tests --ignore=tests/kube --ignore=tests/container --numprocesses=$(WORKERS) --durations=60

test: $(VENV)/.programs-tests $(UI) ## Unit, contract, simulation, conformance and end-to-end tests
	$(BIN)/python -m $(SUITE) $(ARGS)

test-unit: $(STAMP) ## Unit tests alone: under a minute on two cores
	$(BIN)/python -m pytest -q tests/unit --numprocesses=$(WORKERS) $(ARGS)

coverage: $(VENV)/.programs-tests $(UI) ## What part of each package `make test` runs, programs that tests start included
	rm -rf build/coverage
	$(BIN)/coverage run -m $(SUITE) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o build/coverage/report.json
	$(BIN)/python -m tools.coverage_table build/coverage/report.json

test-container: $(VENV)/.programs-containers ## The tests that run containers, with podman
	$(BIN)/python -m pytest tests/container $(ARGS)

test-kube: $(VENV)/.programs-cluster ## The tests that need a cluster, on the one of KUBECONFIG
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG: set it to the cluster to test on (docs/develop-on-kubernetes.md makes one)" >&2; exit 1; }
	$(BIN)/python -m pytest tests/kube --ignore=tests/kube/test_faults.py --ignore=tests/kube/test_worker_faults.py --ignore=tests/kube/test_kueue.py $(ARGS)

test-kube-faults: $(VENV)/.programs-cluster ## Kills, refusals and stalls on the cluster of KUBECONFIG, with what they came to
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG: set it to the cluster to test on (docs/develop-on-kubernetes.md makes one)" >&2; exit 1; }
	$(BIN)/python -m pytest tests/kube/test_faults.py tests/kube/test_worker_faults.py $(ARGS)

test-kueue: $(VENV)/.programs-cluster $(VENV)/.programs-queues ## Tasks in queues of Kueue, which is built and run beside the cluster of KUBECONFIG
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG: set it to the cluster to test on (docs/develop-on-kubernetes.md makes one)" >&2; exit 1; }
	$(BIN)/python -m pytest tests/kube/test_kueue.py $(ARGS)

lint: $(STAMP) ## Format, lint, types, import contracts, protos, links of the documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/python -m tools.ui --check
	@$(MAKE) --no-print-directory docs

.PHONY: audit advisories
audit: $(STAMP) ## Hashes of the locks, digest of the base image, licences; asks nobody
	$(BIN)/python -m tools.audit

advisories: $(STAMP) ## Ask what vulnerabilities are known of what the locks name
	$(BIN)/python -m tools.advisories

format: $(STAMP) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(STAMP) ## Make the generated code and the wrapper of Pods again
	$(BIN)/python tools/generate.py
	$(BIN)/python tools/build_wrapper.py

fuzz: $(VENV)/.programs-tests ## Fuzz documents, expressions, arguments, the wrapper of Pods: MINUTES=1
	$(BIN)/python -m tools.fuzz --minutes $(MINUTES) $(ARGS)

conformance: $(STAMP) ## Run compiled pipelines against a server of its own: CORPUS=DIR BACKEND=local
	$(BIN)/python -m tools.conformance --corpus $(CORPUS) --backend $(BACKEND) $(ARGS)

simulate: $(STAMP) ## Simulate the engine under faults: SEEDS=300
	$(BIN)/python -m tools.simulate --seeds $(SEEDS) --first $(FIRST) $(ARGS)

beside: $(STAMP) ## Our pipelines under kfp.local and Penstock, side by side (docs/kfp-local.md)
	$(BIN)/python -m tools.beside $(ARGS)

fuzz-rest: $(STAMP) ## schemathesis against the gateway: MINUTES=1
	REST_FUZZ_SECONDS=$$(( $(MINUTES) * 60 )) $(BIN)/python -m pytest -q --timeout=0 tests/fuzz/test_rest.py

fuzz-grpc: $(STAMP) ## Messages made over reflection, some changed byte by byte, to every RPC: MINUTES=1
	RPC_FUZZ_SECONDS=$$(( $(MINUTES) * 60 )) $(BIN)/python -m pytest -q --timeout=0 tests/fuzz/test_rpc.py

api-coverage: $(VENV)/.programs-tests ## Write docs/api-coverage.md from what the clients really call
	PENSTOCK_WRITE_API_COVERAGE=1 $(BIN)/python -m pytest -q tests/clients/test_coverage.py

reference: $(STAMP) ## Write the pages of docs/ that are made from the programs, the protos and the code
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.reference_rest
	$(BIN)/python -m tools.reference_metrics

bench: $(VENV)/.programs-tests ## Measure the API, the engine and local runs, with peers side by side: ARGS="--only api"
	$(BIN)/python -m tools.bench $(ARGS)

build: $(STAMP) $(UI) ## Build the wheels into dist/, each with its bill of materials
	rm -rf dist build/sbom
	$(BIN)/python -m tools.sbom build/sbom
	$(BIN)/uv build --quiet --all-packages --wheel --no-build-isolation --python $(BIN)/python

test-wheels: build ## Install the wheels with plain pip and run the demo's pipeline
	$(BIN)/python -m tools.check_wheels dist

# What the site has, as it lies in the repository: pages, and files that they link to.
SITE := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs deploy tests/pipelines/wine_quality.py \
	$(wildcard clients/*/README.md clients/*/examples/run_pipeline*)
# Draws the diagrams in the browser. Fetched once, so that no page asks another host for it.
MERMAID_VERSION := 11.12.0
MERMAID := build/mermaid/$(MERMAID_VERSION)/package/dist/mermaid.min.js

.PHONY: docs docs-serve docs-pages
$(MERMAID): | $(STAMP)
	mkdir -p build/mermaid/$(MERMAID_VERSION)
	cd build/mermaid && PATH="$(CURDIR)/$(BIN):$$PATH" npm pack --silent mermaid@$(MERMAID_VERSION)
	tar -xzmf build/mermaid/mermaid-$(MERMAID_VERSION).tgz -C build/mermaid/$(MERMAID_VERSION) package/dist/mermaid.min.js

docs-pages: $(MERMAID)
	@rm -rf build/pages
	@for one in $(SITE); do mkdir -p build/pages/$$(dirname $$one) && ln -s $(CURDIR)/$$one build/pages/$$one || exit; done
	@ln -s $(CURDIR)/$(MERMAID) build/pages/mermaid.js

docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs: $(STAMP) docs-pages ## Build the documentation into build/site; a link that leads nowhere is an error
	$(BIN)/mkdocs build --strict $(ARGS)

docs-serve: $(STAMP) docs-pages ## Show the documentation on port 8000, built again when a page is saved
	$(BIN)/mkdocs serve --livereload $(addprefix --watch ,$(SITE)) $(ARGS)

.PHONY: image deploy-check
image: build ## Build the container image into build/penstock.tar, over the OCI archive PENSTOCK_BASE_ARCHIVE
	$(BIN)/python -m tools.build_image $(ARGS)

deploy-check: $(VENV)/.programs-deploy ## Render and check deploy/, against the API server too where KUBECONFIG is set
	$(BIN)/python -m tools.deploy_check

clean: ## Remove what was installed and built
	rm -rf $(VENV) .venv-* dist build server/penstock_server/ui_bundle .demo .mypy_cache .ruff_cache .pytest_cache
