# Everything needs only Python 3.11, 3.12 or 3.13 with venv, git and make.
PYTHON ?= python3
CRM ?= pipedrive
DEALS ?= 5000
RUNS ?= 20
INPUTS ?= 1000000
SEED ?= 1
UV_VERSION = 0.13.9
SLOW_TESTS = $(patsubst %,tests/%.py,tap/test_bookmarks tap/test_budget tap/test_fuzz tap/test_reuse \
	sandbox/test_generate sandbox/test_generate_troubles sandbox/test_server_cli sandbox/test_warehouse)
FAST_TESTS = $(filter-out $(SLOW_TESTS),$(wildcard tests/tap/test_*.py tests/sandbox/test_*.py)) tests/api \
	$(patsubst %,tests/project/test_%.py,agreement coverage documents)
UV = .run/uv/bin/uv
export UV_PROJECT_ENVIRONMENT = $(CURDIR)/.venv
export PYTHONUTF8 = 1
OURS = .venv/bin/python -m orchestrate

BUILDER ?= $(shell command -v docker || command -v buildah)
PYTEST = .venv/bin/python -m pytest --numprocesses auto --no-loadscope-reorder

.DEFAULT_GOAL = help
.PHONY: $(shell awk -F : '/^[a-z-]+:.*## / {print $$1}' $(MAKEFILE_LIST))

help:                 ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

run: .venv/ready      ## load the data, build the models, and show the results; CRM=hubspot reads the other CRM
	@$(OURS).run --crm $(CRM) --deals $(DEALS)

demo: .venv/ready     ## run with invented data, also into a database in .env; DEALS=500 for a small account
	@$(OURS).run --crm $(CRM) --deals $(DEALS) --demo

status: .venv/ready   ## show what is running, when the last runs were, how they ended, and what they cost
	@$(OURS).status

report: .venv/ready   ## write the page of the dashboards from the present warehouse
	@$(OURS).look

open: .venv/ready     ## open that page in a browser
	@$(OURS).look --open

reload: .venv/ready   ## make the next run read everything again into the same columns; STATE_ID=… as in `meltano state list`
	@$(OURS).reload $(if $(STATE_ID),--state-id $(STATE_ID))

metabase: .venv/ready ## give a running Metabase, which .env names, the database and the dashboards
	@$(OURS).metabase

review: .venv/ready   ## write the Monday review as a page, and send it to the receivers in .env
	@$(OURS).review

docs: .venv/ready     ## build the documents and the models' page as a searchable site
	@$(OURS).docs

generate: .venv/ready ## write the parts of files that repeat the tap's streams and settings, and Grafana's dashboards
	@.venv/bin/python tap-pipedrive/generate.py && .venv/bin/python -m analyze.exposures
	@.venv/bin/python deploy/observe/dashboards.py

sample: .venv/ready   ## write the output of `make run` into the READMEs
	@.venv/bin/python -m tests.project.sample_output

pictures: .venv/ready ## take the pictures of the demo's pages for the documents
	@.venv/bin/python -m tests.project.pictures

test: .venv/ready     ## run every test whose programs are installed
	@$(PYTEST) $(PYTEST_ARGS)

test-fast: .venv/ready  ## run the tests that start neither Meltano nor dbt nor Postgres, in two minutes
	@$(PYTEST) $(FAST_TESTS) $(PYTEST_ARGS)

tap: .venv/ready      ## test the taps and the sandboxes
	@$(PYTEST) tests/tap tests/sandbox tests/api $(PYTEST_ARGS)

tap-alone:            ## test the tap as installed by pip, with any PYTHON from 3.11 to 3.14, with the sandbox
	@.ci/tap-alone $(PYTHON) $(PRE)

pipeline: .venv/ready  ## test Meltano, tap and target: every table compared with the account; hard days; upgrades
	@$(PYTEST) tests/pipeline tests/chaos tests/upgrade $(PYTEST_ARGS)

transform: .venv/ready  ## test the models
	@$(PYTEST) tests/transform $(PYTEST_ARGS)

project: .venv/ready  ## test the documents, their commands, and `make run` and similar commands
	@$(PYTEST) tests/project $(PYTEST_ARGS)

look: .venv/ready     ## test the page of the dashboards in a browser
	@$(PYTEST) -m look $(PYTEST_ARGS)

newest: .venv/ready   ## test with the newest WHAT (sdk, meltano, dbt, airflow), including pre-releases
	@.ci/newest $(WHAT)

system-packages:      ## install Debian's packages with programs that some tests need; as root or with sudo
	@.ci/packages

observe: .venv/ready  ## test metrics, rules, alerts and dashboards with the real Prometheus and related programs
	@$(PYTEST) tests/observe $(PYTEST_ARGS)

chaos: .venv/ready    ## test more hard days than `test` does: RUNS of them, from number SEED on
	@CHAOS_RUNS=$(RUNS) CHAOS_SEED=$(SEED) $(PYTEST) tests/chaos

image:                ## build the images pipedrive-warehouse:runtime and :airflow, with docker or buildah
	@for target in runtime airflow; do \
		$(BUILDER) build $(IMAGE_ARGS) --target $$target --tag pipedrive-warehouse:$$target \
			--build-arg REVISION=$$(git rev-parse HEAD 2> /dev/null || echo unknown) . || exit 1; \
	done

image-test: .venv/ready  ## build the images, and run the pipeline in one of them
	@$(PYTEST) -m image $(PYTEST_ARGS)

service: .venv/ready  ## test the pipeline with the services of deploy/compose.yaml as processes
	@$(PYTEST) -m service $(PYTEST_ARGS)

kubernetes: .venv/ready  ## start everything in a cluster on this machine, such as minikube, with the passwords of .env
	@$(OURS).kubernetes up

kubernetes-down: .venv/ready  ## remove everything from that cluster except the volumes
	@$(OURS).kubernetes down

clouds: .venv/ready   ## test the manifests for Kubernetes, the plan for AWS and the workflows, as far as they run here
	@$(PYTEST) -m clouds $(PYTEST_ARGS)

airflow-env: .venv/ready  ## install Airflow in its own environment, .run/airflow
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/.run/airflow $(UV) sync --quiet --locked --project orchestrate/airflow --python $(PYTHON)
	@.venv/bin/meltano schedule list --format=json > orchestrate/schedules.json

airflow: .venv/ready  ## test the DAGs with the Airflow of deploy/compose.yaml as processes
	@$(PYTEST) -m airflow $(PYTEST_ARGS)

release-check: .venv/ready  ## check whether TAG=v0.1.0 can be released: versions and changelog
	@.venv/bin/python .ci/release.py check $(TAG)

release-notes: .venv/ready  ## create a release at GitHub with the section of the changelog
	@.venv/bin/python .ci/release.py notes $(TAG) | gh release create $(TAG) --verify-tag --title $(TAG) --notes-file -

packages: .venv/ready  ## build the packages of tap and sandbox for PyPI in dist/
	@rm -rf dist && for name in tap-pipedrive-warehouse pipedrive-sandbox; do $(UV) build --quiet --package $$name --out-dir dist || exit 1; done
	@ls dist

licences: .venv/ready ## list the licences of all packages that run
	@.venv/bin/python .ci/licences.py

image-copy:           ## copy an image unchanged into another registry: FROM, TO, VERSION, DIGEST
	@docker buildx imagetools create --tag $(TO):$(VERSION) $(FROM)@$(DIGEST)
	@docker buildx imagetools inspect $(TO)@$(DIGEST)

# The image of the last deployment is kept unless TF_VAR_image_digest names another one.
TERRAFORM = cd deploy/terraform && terraform init -input=false -reconfigure -backend-config=bucket=$(STATE_BUCKET) \
	-backend-config=region=$(TF_VAR_region) && \
	export TF_VAR_image_digest="$${TF_VAR_image_digest:-$$(terraform output -raw image_digest 2> /dev/null)}" &&

terraform-plan:       ## show what would change in the AWS account: STATE_BUCKET, TF_VAR_region, …
	@$(TERRAFORM) terraform plan -input=false -lock=false

terraform-apply:      ## apply these changes
	@$(TERRAFORM) terraform apply -input=false -auto-approve

fuzz: .venv/ready     ## test more random pages, headers and states than `test` does: INPUTS of them, from number SEED on
	@FUZZ_INPUTS=$(INPUTS) FUZZ_SEED=$(SEED) .venv/bin/python -m pytest tests/tap/test_fuzz_many.py -q

properties: .venv/ready  ## test properties with other examples than `test` uses, which are always the same
	@NEW_EXAMPLES=yes $(PYTEST) -m hypothesis $(PYTEST_ARGS)

next-dbt: .venv/ready  ## test the models with the next release line of dbt, in its own environment
	@$(PYTEST) -m next_dbt tests/transform

lint: .venv/ready     ## check style, types and spelling
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
	@.venv/bin/sqlfluff lint --quiet --disable-progress-bar transform/models transform/tests transform/macros
	@.venv/bin/yamllint --strict .
	@git ls-files -z | xargs -0 .venv/bin/codespell

format: .venv/ready   ## repair style automatically where possible
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

bench: .venv/ready    ## measure, see benchmarks/; BENCH=quick takes three minutes
	@.venv/bin/python benchmarks/bench.py $(BENCH)

# Without .venv, no run is at work and no Postgres is up. The commands hold the lock of `make run` until their end.
SET_UP = $(if $(wildcard .venv),.venv/ready)
ALONE = $(if $(wildcard .venv),$(OURS).alone --target $@)

stop: $(SET_UP)       ## stop the embedded Postgres; its data stay
	@$(if $(SET_UP),$(ALONE) .venv/bin/warehouse down)

check-account: .venv/ready ## check which uncertain facts about the API hold for your account, and write a file; 82 tokens
	@$(OURS).check_account

erase: .venv/ready    ## erase a person from the warehouse: PERSON=an id of Pipedrive or an e-mail address
	@$(OURS).erase

drop-demo: .venv/ready ## remove the invented data from the database in .env
	@$(OURS).drop_demo

clean: $(SET_UP)      ## remove everything that run and test have made in this folder, including the data
	@$(ALONE) sh -ec 'test ! -d .venv || .venv/bin/warehouse down --delete; \
		test ! -d .run/images || CONTAINERS_STORAGE_CONF=.run/images/storage.conf buildah rm --all > /dev/null; \
		find . -name __pycache__ -prune -exec rm -rf {} +; \
		rm -rf .run .venv .meltano dist output transform/target transform/logs transform/demo_seeds \
			.pytest_cache .mypy_cache .ruff_cache .hypothesis'

# The programs of a virtual environment contain its path: after a move, it is made again.
ifneq ($(shell cat .venv/ready 2> /dev/null),$(CURDIR))
.PHONY: .venv/ready
endif
.venv/ready: pyproject.toml uv.lock tap-pipedrive/pyproject.toml sandbox/pyproject.toml warehouse/pyproject.toml plugins/postgres-sessions/pyproject.toml plugins/run-metrics/pyproject.toml plugins/tap-hubspot/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt-get install python3-venv as root." >&2; exit 1; }
	@echo "Setting up .venv"
	@if test -e .venv && test "$$(cat .venv/ready 2> /dev/null)" != "$(CURDIR)"; then rm -rf .venv; fi
	@test "$$($(UV) --version 2> /dev/null | cut -d ' ' -f 2)" = $(UV_VERSION) || { \
		$(PYTHON) -m venv --clear .run/uv && \
		.run/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@$(UV) sync --quiet --locked --python $(PYTHON)
	@$(PYTHON) orchestrate/relative_paths.py .venv
	@printf %s "$(CURDIR)" > $@
