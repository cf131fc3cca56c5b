# Everything that people or .ci/run start. `make` alone lists the targets.
PY := .venv/bin/python
FAST := $(wildcard tests/unit tests/properties tests/simulation tests/cli tests/scenarios)

.PHONY: help install test e2e lint format bench proof matrix thorough breaks manifests reference demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-10s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## make ./.venv with the locked packages and this project

.venv/.installed: requirements.lock pyproject.toml
	@if command -v uv >/dev/null; then \
		{ [ -x $(PY) ] || uv venv --quiet .venv; } && \
		uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock && \
		uv pip install --quiet --python $(PY) --no-deps -e . ; \
	else \
		{ [ -x $(PY) ] || python3 -m venv .venv; } && \
		{ $(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; } && \
		$(PY) -m pip install --quiet --require-hashes -r requirements.lock && \
		$(PY) -m pip install --quiet --no-deps -e . ; \
	fi
	@touch $@

test: install ## run all tests that need no cluster
	$(PY) -m pytest -n 2 $(FAST) $(EXTRA)

e2e: install ## run the tests on a real Kubernetes on this machine (root; INPLACE_E2E_INSTANCE=dev uses a running one)
	$(PY) -m tests.cluster build
	$(PY) -m pytest -m e2e -n 9 --dist=worksteal -o timeout=600 tests/scenarios tests/e2e $(EXTRA)

lint: install ## check style, types and layers
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: install ## format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: install ## measure passes, memory and start-up; fails beyond a bound
	$(PY) -m tests.bench

proof: install ## run the long tests on a real Kubernetes (root; an hour or more)
	$(PY) -m tests.cluster build
	$(PY) -m pytest -m proof -n 3 --dist=worksteal -o timeout=1800 tests/scenarios tests/e2e $(EXTRA)

matrix: install ## run the e2e tests on every supported release of Kubernetes (root; two hours)
	$(PY) -m tests.cluster.matrix

thorough: install ## run 2,000 random scenarios for each property, on the embedded cluster
	INPLACE_HYPOTHESIS=thorough $(PY) -m pytest -n 2 -o timeout=3300 tests/properties $(EXTRA)

breaks: install ## break each safety rule in a copy; the tests must notice
	$(PY) -m tests.mutation

manifests: ## render deploy/install.yaml and install-namespace.yaml (kubectl)
	kubectl kustomize deploy/overlays/cluster > deploy/install.yaml
	kubectl kustomize deploy/overlays/namespace > deploy/install-namespace.yaml

reference: install ## write docs/crd.md from the CRD, and docs/json.md and docs/schemas from the program
	$(PY) docs/crd.py > docs/crd.md
	$(PY) docs/json_reference.py

demo: install ## show an upgrade in place, without a cluster
	@.venv/bin/inplace demo

clean: ## remove what the tools left behind, except ./.venv
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .bench *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
