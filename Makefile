# Everything needs only Python 3.11 or newer with venv, git and make.
PYTHON ?= python3
CRM ?= pipedrive
DEALS ?= 5000
RUNS ?= 200
SEED ?= 1
UV = .run/uv/bin/uv
export UV_PROJECT_ENVIRONMENT = $(CURDIR)/.venv

.PHONY: run docs generate test chaos lint format bench stop clean

run: .venv/ready      ## load, model, and show what came out; CRM=hubspot reads the other CRM
	@.venv/bin/python orchestrate/run.py --crm $(CRM) --deals $(DEALS)

docs: .venv/ready     ## the site of the models: columns, tests, lineage
	@.venv/bin/python orchestrate/docs.py

generate: .venv/ready ## what other files repeat of the tap's streams and settings
	@.venv/bin/python tap-pipedrive/generate.py

test: .venv/ready     ## every test
	@.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

chaos: .venv/ready    ## more hard days than `test` has: RUNS of them, from number SEED on
	@CHAOS_RUNS=$(RUNS) CHAOS_SEED=$(SEED) .venv/bin/python -m pytest --numprocesses 2 tests/chaos

lint: .venv/ready     ## style and types
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

format: .venv/ready
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

bench: .venv/ready    ## measurements, see benchmarks/; BENCH=quick takes three minutes
	@.venv/bin/python benchmarks/bench.py $(BENCH)

stop:                 ## stop the embedded Postgres
	@test ! -x .venv/bin/warehouse || .venv/bin/warehouse down

clean:                ## undo everything that run and test have made
	@test ! -x .venv/bin/warehouse || .venv/bin/warehouse down --delete
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@rm -rf .run .venv .meltano output transform/target transform/logs transform/demo_seeds .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml uv.lock tap-pipedrive/pyproject.toml sandbox/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 …")'
	@echo "Setting up .venv"
	@$(PYTHON) -m venv .run/uv && .run/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(UV) sync --quiet --locked --python $(PYTHON)
	@touch $@
