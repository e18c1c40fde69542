# Two commands: `make run` (set up, run the main job) and `make test` (set up, pass the tests).
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
DAPPOPS := $(VENV)/bin/dappops
# What the host may have beside Python: OpenCL on the processor, sandboxes, containers, network namespaces, packet loss
HOST_PACKAGES := pocl-opencl-icd ocl-icd-libopencl1 bubblewrap crun iproute2 nftables
export DAPPOPS_HOST_PACKAGES ?= yes

# Built or fetched with npm, where there is npm
NODE_PARTS := contracts/node_modules/.ready engine/server/static/built/.ready tests/clients/js/node_modules/.ready

.DEFAULT_GOAL := help
.PHONY: help setup host page run test test-all lint bench docs lock clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements.lock requirements-torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: $$($(PYTHON) --version)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv"; exit 2; }
	$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	$(PIP) install --quiet -r requirements-torch.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Compiler, forge, Anvil and the second verifier's libraries: for the tests only; without Node.js those tests are skipped
contracts/node_modules/.ready: contracts/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix contracts --silent --no-progress && touch $@; \
	else echo "no npm: tests of contracts and of external chains will be skipped"; fi

# Editor, map and graph of the query page, bundled; without npm the page is a plain box and says so
engine/server/static/built/.ready: engine/server/web/package-lock.json engine/server/web/build.mjs $(wildcard engine/server/web/src/*)
	@if command -v npm >/dev/null; then npm ci --prefix engine/server/web --silent --no-progress \
	  && npm run --prefix engine/server/web --silent build && touch $@; \
	else echo "no npm: the query page is not built, its plain box works"; fi

page: engine/server/static/built/.ready ## build the query page (Node.js with npm)

# JavaScript clients that the tests ask the endpoint with
tests/clients/js/node_modules/.ready: tests/clients/js/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/clients/js --silent --no-progress && touch $@; \
	else echo "no npm: the JavaScript clients will not be tried"; fi

setup: $(VENV)/.ready ## create the virtual environment from the lock file

host: ## Debian packages the story can use (root and apt-get only; DAPPOPS_HOST_PACKAGES=no leaves them out)
	@missing=""; for p in $(HOST_PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q "ok installed" || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ] || [ "$$DAPPOPS_HOST_PACKAGES" = no ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "not installed:$$missing (needs root and apt-get); the story does without and says so"; exit 0; fi; \
	echo "installing$$missing"; \
	(timeout 120 apt-get update -qq; DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y -qq --no-install-recommends $$missing) >/dev/null 2>&1 \
	  || echo "could not be installed:$$missing; the story does without and says so"

run: setup host engine/server/static/built/.ready ## play the whole story of the flagship application, on this machine
	$(DAPPOPS) demo

test: setup host $(NODE_PARTS) ## the tests, quick effort (under 10 minutes on 2 cores)
	$(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

test-all: setup host $(NODE_PARTS) ## the same tests at full effort
	DAPPOPS_EFFORT=full $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

lint: setup ## ruff, mypy --strict, import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: setup ## benchmarks: figures and ratios against peers, into benchmarks/results
	for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(PY) $$script || exit 1; done

docs: setup ## regenerate the generated parts of the documentation
	$(DAPPOPS) docs

# torch and what only its GPU builds need are left out: its wheels differ between sources
lock: setup ## resolve the dependencies anew
	$(PIP) install --quiet uv
	$(VENV)/bin/uv pip compile pyproject.toml --all-extras --universal --generate-hashes --python-version 3.11 \
	  --no-annotate --no-header --quiet -o requirements.full
	awk '/^[a-z0-9]/ {keep = !($$0 ~ /^(torch|triton|nvidia-[a-z0-9-]+-?cu1|nvidia-(cublas|cuda|cufft|cufile|curand|cusolver|cusparse|nvjitlink|nvshmem|nvtx)[a-z0-9-]*|cuda-)/)} keep' requirements.full > requirements.lock
	rm requirements.full

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
