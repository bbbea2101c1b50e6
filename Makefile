# The commands of this project; `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Test modules or packages, such as TESTS="tests.wire tests.http"; left out: all but tests.soak, and the coverage gate.
TESTS ?=
# Benchmarks by name and options, such as BENCH="web --rounds 5"; left out: all.
BENCH ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

.PHONY: run
run: $(VENV)/installed ## install into .venv and start the daemon with the try-out configuration
	$(BIN)/twistd -n netservices

.PHONY: test
test: lint floors types suite ## lint, floors, types and the whole suite with its coverage gate

.PHONY: lint
lint: $(VENV)/installed-dev ## ruff: rules and form
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: floors
floors: $(VENV)/installed-dev ## import-linter: a module imports only from floors below its own
	$(BIN)/lint-imports

.PHONY: types
types: $(VENV)/installed-dev ## mypy, strict
	$(BIN)/mypy

.PHONY: suite
suite: $(VENV)/installed-dev ## trial, warnings as errors, branch coverage
	$(BIN)/python -m tests.run --coverage $(TESTS)

.PHONY: soak
soak: $(VENV)/installed-dev ## what takes minutes by its nature: kills, crowds, gigabytes
	$(BIN)/python -m tests.run --timeout 1800 --jobs 1 tests.soak

.PHONY: bench
bench: $(VENV)/installed-dev ## measure side by side with the peers that are installed
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: clean
clean: ## remove what the commands above made, except netservices-state
	rm -rf $(VENV) build dist .coverage .coverage.* _trial_temp* .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache

# The stamps are newer than the two files as long as what is installed follows them. An environment that was left half
# made has no working pip, and is made again.
$(VENV)/installed: pyproject.toml constraints.txt
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
