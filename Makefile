# Two commands do all set-up on a fresh machine: `make run` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
# What is compiled is kept, whatever the shell says: each process would compile the whole program again.
export PYTHONDONTWRITEBYTECODE :=
# Tests of files that bring a store of their own, or need none, show nothing new there.
S3_NOT := $(patsubst %,tests/domains/storage/test_%.py,blobs clamd imaging names s3 sniffing streaming)
S3_TESTS := $(filter-out $(S3_NOT),$(wildcard tests/domains/storage/test_*.py tests/domains/*/test_attachments.py)) tests/races/test_storage_quota.py
RUN := $(VENV)/.ready-run
DEV := $(VENV)/.ready-dev
BROWSER := $(VENV)/.ready-browser
# Its generator wants an older typer than the API does.
SDK_VENV := .venv-sdk
SDK_READY := $(SDK_VENV)/.ready
SDK := sdk/python

.PHONY: help run test test-pg15 test-pg16 test-redis test-browser test-icaljs test-clamd test-s3 test-sdk test-tus soak lint format bench bench-large openapi sdk matrix lock clean

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements/run.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(BROWSER): requirements/browser.txt $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/browser.txt
	@touch $@

$(SDK_READY): requirements/sdk.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(SDK_VENV)
	$(SDK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/sdk.txt
	@touch $@

run: $(RUN) ## Everything alive on this machine; Ctrl-C stops it
	@exec $(BIN)/pm-api dev

test: $(DEV) ## The whole suite, on a PostgreSQL of its own
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not soak"

test-pg16: $(DEV) ## The same on PostgreSQL 16
	PM_TEST_PG_MAJOR=16 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not soak"

test-pg15: $(DEV) ## The same on Debian's PostgreSQL 15 (apt-get install postgresql-15)
	PM_TEST_PG_MAJOR=15 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not soak"

test-redis: $(DEV) ## Shared rate limits on Debian's Redis (installs redis-server)
	command -v redis-server >/dev/null || apt-get install -y redis-server
	$(BIN)/python -m pytest -q tests/core/test_ratelimit.py

test-browser: $(BROWSER) ## Buying, renewing and leaving in a real Chromium (installs Debian's where there is none)
	command -v chromium chromium-browser google-chrome >/dev/null || apt-get install -y chromium || true
	PM_BROWSER=1 $(BIN)/python -m pytest -q tests/browser

test-icaljs: $(DEV) ## Feeds read by ical.js from npm, where there is node
	@command -v npm >/dev/null && command -v node >/dev/null || { echo "Skipped: node and npm are not here."; exit 0; }; \
	npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix .data/icaljs ical.js@2 \
	|| { echo "Skipped: ical.js cannot be fetched."; exit 0; }; \
	PM_ICALJS="$(CURDIR)/.data/icaljs/node_modules/ical.js/dist/ical.js" $(BIN)/python -m pytest -q tests/domains/calendar/test_icaljs.py

test-clamd: $(DEV) ## The virus scanner: Debian's clamd finds the EICAR file (installs clamav-daemon)
	command -v clamd /usr/sbin/clamd >/dev/null || apt-get install -y --no-install-recommends clamav-daemon
	$(BIN)/python -m pytest -q -rs tests/domains/storage/test_clamd.py

test-s3: $(DEV) ## All that reads or writes files once more, with the files in moto's S3
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m "not soak" -p tests.support.all_in_s3 $(S3_TESTS)

test-sdk: $(DEV) sdk ## The generated client against a served API
	PM_SDK="$(CURDIR)/$(SDK)" $(BIN)/python -m pytest -q tests/contract/test_sdk.py

test-tus: $(DEV) ## tuspy, tus-js-client and Uppy with 1 GB each over a line that breaks, where there is node (10 GB of disk)
	@command -v npm >/dev/null && command -v node >/dev/null || { echo "Skipped: node and npm are not here."; exit 0; }; \
	rm -rf .data/tus && mkdir -p .data/tus && cp tests/storage_clients/node/* .data/tus/ && \
	npm install --silent --no-package-lock --no-audit --no-fund --prefix .data/tus \
	|| { echo "Skipped: the clients cannot be fetched."; exit 0; }; \
	PM_TUS_CLIENTS="$(CURDIR)/.data/tus" $(BIN)/python -m pytest -q -n 0 tests/storage_clients

soak: $(DEV) ## The long versions of races, kills, fuzzing and volume (about an hour)
	PM_SOAK=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup

lint: $(DEV) ## Style, types, fences, migrations, and the committed documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.checks.migrations
	$(BIN)/pm-api openapi --check

format: $(DEV) ## Put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## Ratios within one run: spends against a no-op, an ORM transaction and pgbench
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.webhooks
	$(BIN)/python -m benchmarks.logins
	$(BIN)/python -m benchmarks.messages
	$(BIN)/python -m benchmarks.calendar
	$(BIN)/python -m benchmarks.storage

bench-large: $(DEV) ## Wall times of accounts of 10,000 to 10 million entries (half an hour, 15 GB)
	$(BIN)/python -m benchmarks.large
	$(BIN)/python -m benchmarks.search

openapi: $(DEV) ## Write openapi.json
	$(BIN)/pm-api openapi

sdk: $(SDK_READY) ## Write a Python client of openapi.json to sdk/python
	rm -rf $(SDK) && mkdir -p $(dir $(SDK))
	@PATH="$(CURDIR)/$(SDK_VENV)/bin:$$PATH" openapi-python-client generate --path openapi.json --config tools/sdk.yaml \
	--meta setup --output-path $(SDK)
	@echo 'It is in $(CURDIR)/$(SDK). To use it:'
	@echo '  pip install $(CURDIR)/$(SDK)'
	@echo '  from pm_api_client import AuthenticatedClient; from pm_api_client.api.identity import list_workspaces'
	@echo '  list_workspaces.sync(client=AuthenticatedClient("http://127.0.0.1:8000", token="an access token or API key"))'

matrix: $(DEV) ## Write access_matrix.csv
	$(BIN)/python -m pytest -q tests/architecture/test_access_matrix.py --write-access-matrix

lock: $(DEV) ## Write the hashed locks again
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements/production.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml --extra embedded --group build -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml --extra embedded --group build --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --constraints requirements/dev.txt --group browser -o requirements/browser.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --group sdk -o requirements/sdk.txt

clean: ## Remove the virtual environments, the generated client and all local data
	rm -rf $(VENV) $(SDK_VENV) $(SDK) .data
