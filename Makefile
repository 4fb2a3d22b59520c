# Two commands do everything on a machine with Python 3.11 or newer and make:
#   make refresh   install, run the weekly refresh, say where to look
#   make test      install, run the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: refresh test check dev bench bench-full bench-peers lock clean-state install docs time-page sbom audit
.DEFAULT_GOAL := refresh

# uv installs the hashed lock in seconds; it is itself pinned by hash and lives in the same environment.
$(VENV)/.installed: pyproject.toml requirements.lock requirements-uv.lock
	@echo "Installing into $(VENV) (once; about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.12 or the like")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@# Where Python must not write bytecode (containers often), every command would compile what it imports again: 9 s of a refresh.
	@if [ -n "$$PYTHONDONTWRITEBYTECODE" ]; then $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true; fi
	@touch $@

install: $(VENV)/.installed

refresh: $(VENV)/.installed
	@$(BIN)/mhwg refresh

test: $(VENV)/.installed
	@$(BIN)/python -m pytest -n auto --dist loadscope $(TESTS)

dev: $(VENV)/.installed
	@$(BIN)/mhwg dev

check: $(VENV)/.installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/house

# Pages made from the catalogue: indicators, its fields, the data dictionary.
docs: $(VENV)/.installed
	@$(BIN)/python -m warehouse.indicator_reference
	@$(BIN)/python -m warehouse.catalogue_reference
	@$(BIN)/python -m warehouse.catalogue.processing
	@$(BIN)/python -m benchmarks.report

# The March question of docs/time.md, played anew: about a minute.
time-page: $(VENV)/.installed
	@$(BIN)/python -m pytest tests/flow/test_the_march_question.py -q -k tells_the_play --write-page

# What it costs, against a floor measured in the same run: minutes, and the long one (50 million values: over an hour). Both go on
# where they were interrupted; `--again` measures anew. The page docs/performance.md is made of the committed figures.
bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks

bench-full: $(VENV)/.installed
	@$(BIN)/python -m benchmarks --full

# The same work with what others would take, in an environment of its own: newest versions, not in requirements.lock.
bench-peers: $(VENV)/.installed
	@test -x var/peers/bin/python || $(BIN)/uv venv --quiet var/peers
	@$(BIN)/uv pip install --quiet --python var/peers/bin/python --group peers
	@$(BIN)/python -m benchmarks --only peers

# Every installed package with version and hash, in CycloneDX.
sbom: $(VENV)/.installed
	@$(BIN)/uv lock --quiet
	@$(BIN)/uv export --quiet --frozen --no-dev --all-extras --format cyclonedx1.5 -o var/sbom.json
	@rm -f uv.lock
	@echo "var/sbom.json"

# Known vulnerabilities of the versions in requirements.lock. Exit 0: none known, 3: some, 2: nobody could be asked.
audit: $(VENV)/.installed
	@$(BIN)/python deploy/audit_dependencies.py

# Resolve anew and export with hashes and without any index host.
lock: $(VENV)/.installed
	@$(BIN)/uv lock --quiet
	@$(BIN)/uv export --quiet --frozen --no-emit-project --all-groups --no-group peers --all-extras --no-header --no-annotate --format requirements-txt -o requirements.lock
	@rm -f uv.lock
