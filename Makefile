# Two commands on a fresh machine: `make run` and `make test`. Both set everything up first, once.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help setup setup-dbt setup-airflow setup-lowest run dbt test test-all test-fast bench bench-scale picture lint format lock clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
WORKERS ?= 2
READY := .venv/.ready
# Optional parts: `make setup EXTRAS=dashboard`, or `EXTRAS="dashboard s3"`. They stay, also for other targets, until EXTRAS names others or none.
OPTIONAL := dashboard s3
SET_UP := $(shell cat .venv/.extras 2>/dev/null)
EXTRAS ?= $(SET_UP)
UNKNOWN := $(filter-out $(OPTIONAL),$(EXTRAS))
$(if $(UNKNOWN),$(error EXTRAS names $(UNKNOWN); there is $(OPTIONAL)))
LOCKS := requirements/uv.txt requirements/build.txt requirements/lock.txt $(EXTRAS:%=requirements/%.txt)
ifneq ($(sort $(EXTRAS)),$(sort $(SET_UP)))
.PHONY: $(READY)
endif
SAY = { printf 'error: %s\n' "$(1)" >&2; rm -f $(READY); exit 1; }

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Make the environment, find or fetch a JDK, fetch the jars; seconds when it is there
	@$(BIN)/python -m lakehouse.spark.java >/dev/null && $(BIN)/python -m lakehouse.spark.jars $(filter s3,$(EXTRAS)) >/dev/null \
		&& $(BIN)/python -m lakehouse.warmup >/dev/null

$(READY): pyproject.toml spark-defaults.conf $(LOCKS) Makefile
	@test -n "$(PYTHON)" || $(call SAY,No Python 3.11 or newer was found; install one or say which: make PYTHON=/path/to/python3)
	@test -x $(BIN)/python || { rm -rf .venv && $(PYTHON) -m venv .venv; } \
		|| $(call SAY,$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv)
	@echo "installing the locked Python packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt \
		|| $(call SAY,pip could not install requirements/uv.txt; is PyPI reachable?)
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes \
		--build-constraints requirements/build.txt $(filter-out requirements/build.txt,$(LOCKS)) \
		|| $(call SAY,uv could not install requirements/lock.txt; is PyPI reachable and the disk not full?)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/build.txt -e . \
		|| $(call SAY,The package itself could not be installed; what was printed above says why)
	@echo "looking for a JDK 17 or newer ..."
	@java_home=$$($(BIN)/python -m lakehouse.spark.java) || { rm -f $(READY); exit 1; }; \
		conf=$$($(BIN)/python -c 'import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parent / "conf")') && \
		mkdir -p "$$conf" && printf '%s\n' \
			"# Written by make setup, so that spark-submit finds what the lakehouse command finds." \
			"JAVA_HOME=\"\$${JAVA_HOME:-$$java_home}\"" \
			"PYSPARK_PYTHON=\"\$${PYSPARK_PYTHON:-$(CURDIR)/$(BIN)/python}\"" > "$$conf/spark-env.sh"
	@echo "fetching the pinned jars ..."
	@$(BIN)/python -m lakehouse.spark.jars $(filter s3,$(EXTRAS)) >.venv/jars.log 2>&1 || { tail -n 3 .venv/jars.log >&2; rm -f $(READY); exit 1; }
	@echo "letting spark-submit resolve the same jars into Ivy's cache ..."
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/spark-submit --properties-file spark-defaults.conf jobs/run.py --help \
		>.venv/submit.log 2>&1 || echo "spark-submit could not (see .venv/submit.log); it tries again when you call it" >&2
	@echo "archiving the JVM's classes, so that Spark starts faster ..."
	@$(BIN)/python -m lakehouse.warmup >/dev/null || { rm -f $(READY); exit 1; }
	@echo "$(EXTRAS)" > .venv/.extras
	@touch $(READY)

run: setup ## Set up and run the whole pipeline on the simulator and an embedded PostgreSQL
	@$(BIN)/lakehouse demo

setup-dbt: setup .venv-dbt/.ready ## Make dbt's own environment, too

dbt: setup-dbt ## Build and test the dbt models on what `make run` left; DBT="docs generate" runs another dbt command
	@LAKEHOUSE_ROOT="$${LAKEHOUSE_ROOT:-data/demo}" $(BIN)/python dbt/run.py $(DBT)
DBT ?= build

setup-airflow: setup .venv-airflow/.ready ## Make Airflow's own environment, for the tests of the DAG

setup-lowest: setup .venv-lowest/.ready ## Make an environment with the lowest Spark and Delta, for their test

.venv-%/.ready: requirements/%.txt
	@echo "installing the locked packages of $*, in an environment of its own ..."
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$* && $(BIN)/uv pip sync --quiet --require-hashes \
		--python .venv-$*/bin/python --build-constraints requirements/build.txt requirements/$*.txt \
		|| $(call SAY,uv could not install requirements/$*.txt; is PyPI reachable and the disk not full?)
	@touch $@

test: setup ## Set up and run the tests, but for the slow ones
	$(BIN)/pytest -m "not slow" -n $(WORKERS) --dist worksteal

test-fast: setup ## Run the unit tests: no server, no process of their own
	$(BIN)/pytest tests/unit -n $(WORKERS) --dist worksteal

test-all: setup ## Run all tests, the slow ones too (real size, fresh processes, real kills), and show what took longest
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --durations=40

bench: setup ## Measure beside the case study's method, Polars and DuckDB; writes docs/benchmarks.md (an hour and a quarter)
	$(BIN)/python -m bench.compare --document docs/benchmarks.md

bench-scale: setup ## Measure 3, 30 and 100 years of Silver and Gold, here and on a cluster of two workers, and what comes after (an hour and a half)
	$(BIN)/python -m bench.scale --years 3 30 100 --where local --place .cache/bench-scale
	$(BIN)/python -m bench.scale --years 3 30 100 --where cluster --place .cache/bench-scale

picture: setup ## Take the README's picture of the report anew (needs Chromium; two minutes)
	PYTHONPATH=. $(BIN)/python docs/picture.py

lint: setup ## Check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-header --python-version 3.11 --quiet

lock: ## Renew the locked versions and hashes (needs an environment)
	$(COMPILE) pyproject.toml --extra notebook --group dev --output-file requirements/lock.txt
	for extra in $(OPTIONAL); do $(COMPILE) pyproject.toml --extra $$extra --constraint requirements/lock.txt \
		--output-file requirements/$$extra.txt || exit 1; done
	$(COMPILE) pyproject.toml --override requirements/lowest.in --output-file requirements/lowest.txt
	for name in build uv dbt airflow; do $(COMPILE) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done

clean: ## Remove the environment, caches and the demo's lake; your own lake stays
	rm -rf .venv .venv-dbt .venv-airflow .venv-lowest .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis data/demo data/demo.postgres
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
