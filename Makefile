# Everything here needs Python 3.11 or newer and PyPI, nothing else; test-browser needs a Chromium as well,
# and test-postgresql a PostgreSQL.
# Airflow 2.11 ends at Python 3.12: `make test-airflow2 PYTHON=python3.12` where python3 is newer.

PYTHON ?= python3
# uv installs in seconds what takes pip minutes. INSTALLER=pip is for machines whose pip is set up to go
# through a mirror, which uv does not know of.
INSTALLER ?= uv
# Options for pytest, e.g. make test PYTEST="-k walk"
PYTEST ?=
# Many tests wait for an emulated Coupa that is slow on purpose: two more than there are processors.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 2)")

AIRFLOW := 3.3
AIRFLOW2 := 2.11
VENV := .venv
VENV2 := .venv-airflow2

ifeq ($(INSTALLER),pip)
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check
else
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check uv \
	&& $(1)/bin/uv pip install --quiet --python $(1)/bin/python
endif

.PHONY: help demo test test-airflow2 test-browser test-postgresql lint format benchmark constraints clean

help:
	@echo "demo             run the nightly DAG against the emulator on a real Airflow, and report"
	@echo "test             all tests that PyPI alone can supply, on Airflow $(AIRFLOW)"
	@echo "test-airflow2    the core of the tests on Airflow $(AIRFLOW2)"
	@echo "test-browser     the connection form in a headless Chromium (apt-get install chromium)"
	@echo "test-postgresql  tests that need a database server (apt-get install postgresql)"
	@echo "lint             ruff and mypy"
	@echo "format           let ruff put the code in form"
	@echo "benchmark        measure extracts, loads and pushes against other ways to make them"
	@echo "constraints      renew constraints/"
	@echo "clean            remove what was made here"

demo: $(VENV)/.demo
	$(VENV)/bin/python demo/run.py

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m "not browser and not postgresql" -n $(WORKERS) --dist worksteal --timeout 900 $(PYTEST)

# Without what never meets Airflow and is tested at length on 3.3; operators bring some of it in.
test-airflow2: $(VENV2)/.test
	$(VENV2)/bin/python -m pytest -m "not browser and not postgresql and not slow" -n $(WORKERS) --dist worksteal --timeout 300 \
		--ignore tests/parallel --ignore tests/extract --ignore tests/completeness --ignore tests/emulator --ignore tests/resources --ignore tests/benchmarks --ignore tests/load --ignore tests/push $(PYTEST)

test-browser: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m browser --timeout 600 tests/browser $(PYTEST)

test-postgresql: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m postgresql -n 2 --dist loadfile --timeout 600 $(PYTEST)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

benchmark: $(VENV)/.dev
	$(VENV)/bin/python tests/benchmarks

# The newest versions for Airflow 3.3. Airflow 2.11 breaks with much that came after it: there the time stands
# still, except for what this provider needs newer and what depends on nothing.
constraints: $(VENV)/.dev
	echo "apache-airflow==3.3.*" | $(VENV)/bin/uv pip compile --quiet --upgrade --python-version 3.11 \
		--no-header --no-annotate --all-extras pyproject.toml - -o constraints/airflow-$(AIRFLOW).txt
	echo "apache-airflow==2.11.2" | $(VENV)/bin/uv pip compile --quiet --upgrade --python-version 3.11 \
		--no-header --no-annotate --extra emulator --extra test --exclude-newer 2026-04-30 \
		--exclude-newer-package apache-airflow-providers-common-compat=2026-11-23 \
		--exclude-newer-package pyroaring=2026-11-23 \
		pyproject.toml - -o constraints/airflow-$(AIRFLOW2).txt

clean:
	rm -rf $(VENV) $(VENV2) .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an environment is made again when what it is made from changes.

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV2)/bin/python:
	$(PYTHON) -m venv $(VENV2)

$(VENV)/.demo: pyproject.toml constraints/airflow-$(AIRFLOW).txt | $(VENV)/bin/python
	$(call install,$(VENV)) -c constraints/airflow-$(AIRFLOW).txt apache-airflow -e ".[emulator,database,duckdb]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints/airflow-$(AIRFLOW).txt | $(VENV)/bin/python
	$(call install,$(VENV)) -c constraints/airflow-$(AIRFLOW).txt apache-airflow -e ".[emulator,test,database,duckdb,browser,postgresql,benchmark,dev]"
	@touch $@ $(VENV)/.demo

$(VENV2)/.test: pyproject.toml constraints/airflow-$(AIRFLOW2).txt | $(VENV2)/bin/python
	$(call install,$(VENV2)) -c constraints/airflow-$(AIRFLOW2).txt apache-airflow -e ".[emulator,test]"
	@touch $@
