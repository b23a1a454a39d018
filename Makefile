# Developer tasks. Needs GNU make 3.81 (macOS) or newer and Python 3.11 or newer.

PYTHON ?= python3
JOBS   ?= 2
ARGS   ?=

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
DOCS_TESTS = $(wildcard tests/docs tests/test_docs*.py tests/test_readme*.py)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint type cov coverage docs bench bench-peers soak test-clocks
.PHONY: learn-evidence sqlalchemy-floor sqlalchemy-tests peer-suites spark-tests build
.PHONY: release site constraints clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## Create .venv and install leadlog and all that developers need (PYTHON=python3)

$(STAMP): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>/dev/null) || found=missing; \
		echo "leadlog needs Python 3.11 or newer, but '$(PYTHON)' is $$found;" \
		"try: make install PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "creating $(VENV) with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv --clear $(VENV); } || { \
		echo "could not create $(VENV): on Debian or Ubuntu, install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) (only when pyproject.toml or .ci/constraints.txt changed)"
	@$(PIP) install -qq --constraint .ci/constraints.txt --upgrade pip
	@# Modules are compiled on first import; most of the dependencies' modules never are.
	@$(PIP) install -qq --no-compile --constraint .ci/constraints.txt --editable '.[all]' \
		--group dev
	@touch $@

demo: install ## Run the main job on generated leads: logs, a table by tier, jq commands to try
	@$(BIN)/leadlog demo $(ARGS)

test: install ## Run all tests but the benchmarks and Spark's (ARGS="-k name" narrows)
	@bash .ci/system-packages
	$(PYTEST) -n $(JOBS) --dist worksteal -m "not (bench or spark)" --benchmark-disable $(ARGS)

lint: install ## Check style, formatting, spelling, wording and dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell leadlog processors docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/docs/test_prose.py
	@# Tests count as users, but their own unused arguments are fixtures and doubles' signatures.
	@found=$$($(BIN)/vulture); code=$$?; found=$$(echo "$$found" | grep -v '^tests/'); \
	echo "$(BIN)/vulture: $${found:-no dead code}"; \
	case $$code in 0) ;; 3) test -z "$$found" ;; *) exit $$code ;; esac

type: install ## Check types (mypy --strict, pyright) and the direction of imports
	$(BIN)/mypy --strict
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

cov: install ## Run the tests with branch coverage and name the lines that nothing ran
	@bash .ci/system-packages
	$(PYTEST) -n $(JOBS) -m "not (bench or spark)" --benchmark-disable --cov --cov-report=term-missing $(ARGS)

coverage: install ## Check that the branch coverage of the processors does not drop (.ci/coverage)
	$(PYTEST) tests/processors -p no:xdist -m "not (slow or bench)" --benchmark-disable --cov --cov-config=.ci/coverage $(ARGS)

docs: install ## Write docs/reference from the code and test the documentation
	$(BIN)/python docs/generate.py
	$(PYTEST) $(DOCS_TESTS) $(ARGS)

bench: install ## Measure the ratios of tests/bench on a quiet machine
	$(PYTEST) $(or $(ARGS),tests/bench) -m bench -p no:xdist --benchmark-enable --timeout 900

bench-peers: install ## Compare capture with OpenTelemetry's instrumentation, in a separate environment
	$(PYTEST) tests/bench/test_capture_peers.py -m bench -p no:xdist --benchmark-enable $(ARGS)

soak: install ## Run the slow and fault tests for longer, and the generated ones with many more examples
	@bash .ci/system-packages
	SOAK=1 $(PYTEST) -n $(JOBS) -m "(slow or fault or hypothesis) and not (bench or spark)" --benchmark-disable --timeout 3600 $(ARGS)
	@$(MAKE) --no-print-directory test-clocks ARGS=--everything

test-clocks: install ## Run the tests that read the clock on other dates, over midnight and on 29 February
	@bash .ci/system-packages
	@bash .ci/system-packages clocks
	$(BIN)/python -m tests.clocks.run --jobs $(JOBS) $(ARGS)

sqlalchemy-tests: install ## Run SQLAlchemy's own ORM tests without and with capture, and compare
	PYTHONPATH=tests/peer_suites $(BIN)/python -m leadlog_peers.run --suite sqlalchemy --jobs $(JOBS) $(ARGS)

peer-suites: install ## Run the tests of five projects on SQLAlchemy without and with capture, and compare
	PYTHONPATH=tests/peer_suites $(BIN)/python -m leadlog_peers.run --jobs $(JOBS) $(ARGS)

sqlalchemy-floor: install ## Run the tests that depend on SQLAlchemy on the oldest supported version (VERSION=2.0.40)
	bash .ci/sqlalchemy '==$(or $(VERSION),2.0.40)' $(ARGS)

spark-tests: install ## Install PySpark (500 MB) and Java 17, and compare Spark with DuckDB and plain Python
	@bash .ci/system-packages java
	@$(PIP) install -qq --constraint .ci/constraints.txt --group spark
	$(PYTEST) -m spark -p no:xdist --benchmark-disable $(ARGS) tests/analytics

learn-evidence: install ## Measure data sets and models on public flights, honest and with leaks
	@$(PIP) install -qq --constraint .ci/constraints.txt --group evidence
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/python -m tests.training.flights --folder "$$folder" $(ARGS)
	$(PYTEST) -p no:xdist --benchmark-disable tests/training/interchange.py

build: install ## Build the wheel and the source distribution into dist/
	@rm -rf dist
	$(BIN)/python -m build --no-isolation

release: build ## Build, check and install the wheel in a clean environment (uploads nothing)
	@$(PIP) install -qq --constraint .ci/constraints.txt --group release
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents --toplevel leadlog,leadlog_processors dist/*.whl
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; $(BIN)/python -m venv "$$tmp/venv"; \
	"$$tmp/venv/bin/python" -m pip --disable-pip-version-check install -qq dist/*.whl; \
	cd "$$tmp"; venv/bin/leadlog --version; venv/bin/leadlog demo --count 20 >demo.txt; \
	venv/bin/leadlog doctor >doctor.txt; tail -n 3 doctor.txt; venv/bin/python -m pip check

site: install ## Write these docs and the reference of the Python API as a web site into site/
	@$(PIP) install -qq --constraint .ci/constraints.txt --group docs
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html"

constraints: ## Resolve the newest versions in a clean environment and pin them
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(PYTHON) -m venv "$$tmp/venv"; pip="$$tmp/venv/bin/python -m pip --disable-pip-version-check"; \
	$$pip install -qq --upgrade pip; \
	$$pip install -qq --editable '.[all]' --group dev --group evidence --group spark --group docs --group release; \
	{ sed '/^[^#]/,$$d' .ci/constraints.txt; \
	  $$pip freeze --all --exclude-editable --exclude leadlog --exclude setuptools; } >"$$tmp/new"; \
	cp "$$tmp/new" .ci/constraints.txt; git --no-pager diff --stat -- .ci/constraints.txt || true

clean: ## Remove builds, caches and measurements (keeps .venv and all logs)
	rm -rf build dist site *.egg-info htmlcov .cache .coverage .coverage.* coverage.xml .benchmarks .hypothesis \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find leadlog processors tests docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
