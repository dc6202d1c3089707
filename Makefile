# One thin line per thing a person types; the logic lives in orchestrate/.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo up stop sync reference backfill sweep reconcile plan history roles doctor status look docs docs-site \
	prefect tune metabase test test-long test-nightly coverage mutation trust soak bench lint generate readme lock audit secrets release \
	deploy rollback clean

# The first Python that the pins are for; name another one by `make PYTHON=...`.
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	"$$p" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo "$$p" && exit; \
	done),$(error no Python 3.10 to 3.14 was found ($(or $(shell python3 --version 2>&1),no python3)). \
	Install one, or name it: make PYTHON=/path/to/python3.13))
PIPEBOARD := .pipeboard/bin/pipeboard

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	| while IFS='|' read -r name words; do printf '%-18s %s\n' "$$name" "$$words"; done

setup: ## build what a run needs (every other target does it by itself)
	@$(PYTHON) orchestrate/bootstrap.py

demo: setup ## sync a simulated account, from nothing to answers; again: only what changed
	@$(PYTHON) orchestrate/bootstrap.py look || echo "the demo goes on without its page of dashboards"
	@$(PIPEBOARD) demo

up: ## the account of .env, synced on schedule, with metrics and alerts (DEMO=1: the simulated one)
	@$(PYTHON) orchestrate/bootstrap.py metrics
	@$(PIPEBOARD) up $(if $(DEMO),--demo)

sync: setup ## sync the account of .env into the database of .env
	@$(PIPEBOARD) run sync

reference: setup ## users, fields, pipelines, stages and other short lists alone
	@$(PIPEBOARD) run reference

backfill: setup ## all of it again, or STREAMS=deals,persons FROM=2025-01-01; HISTORY=1 missing histories; RESTART=1
	@$(PIPEBOARD) backfill $(if $(STREAMS),--streams "$(STREAMS)") $(if $(FROM),--from "$(FROM)") \
		$(if $(HISTORY),--history) $(if $(RESTART),--restart) $(if $(YES),--yes)

sweep: setup ## look for what was deleted in Pipedrive without a trace, and mark it
	@$(PIPEBOARD) run sweep

plan: setup ## what a sync would cost now, in calls, tokens and days (JOB=backfill for another job)
	@$(PIPEBOARD) plan $(or $(JOB),sync)

tune: setup ## measure which batch size loads fastest here; later runs use it (RESET=1 forgets it)
	@$(PIPEBOARD) tune $(if $(RESET),--reset)

prefect: ## schedule with Prefect on this machine: server, worker, deployments (DEMO=1: the simulated account)
	@$(PYTHON) orchestrate/bootstrap.py prefect
	@$(PIPEBOARD) prefect $(if $(DEMO),--demo)

history: setup ## the latest runs (LAST=50 for more; DEMO=1: of the simulated account)
	@$(PIPEBOARD) history --last $(or $(LAST),20) $(if $(DEMO),--demo)

reconcile: setup ## compare the marts with Pipedrive's own numbers; run it right after a sync
	@$(PIPEBOARD) run reconcile

roles: setup ## make the database roles that load, build, count and read (operator's guide, Roles)
	@$(PIPEBOARD) roles

doctor: setup ## check account, database and machine, and say what to do
	@$(PIPEBOARD) doctor

status: setup ## what runs in the background, and how fresh the tables are
	@$(PIPEBOARD) status

stop: ## end everything that was started in the background
	@if [ -x $(PIPEBOARD) ]; then $(PIPEBOARD) stop; else echo "nothing was running"; fi

look: setup ## the dashboards as one page that works offline: build/dashboard/index.html
	@$(PYTHON) orchestrate/bootstrap.py look
	@$(PIPEBOARD) look

docs: setup ## the data dictionary (all tables and columns): build/docs/index.html
	@$(PIPEBOARD) docs

docs-site: ## the documentation as a site, with search: build/site (python3 -m http.server -d build/site)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python docs/site/build.py

metabase: setup ## what would change in the Metabase of .env; DO=apply changes it, DO=check, DO=smoke
	@$(PIPEBOARD) env -- pipeboard-metabase $(or $(DO),plan)

test: ## the tests of all packages, on the embedded PostgreSQL and on 15 where installed
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/run.py

test-long: ## the long ones that `make test` leaves out: random signals, thirty days ...
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/run.py --long

test-nightly: ## more of what the tests show, at a length that is not for each change
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/run.py --nightly

coverage: ## which lines and branches the tests of each package reach; fails below its bound (ONLY=pipeboard)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/branch_coverage.py $(ONLY)

mutation: ## change one place of the code at a time, and look whether its tests notice (ONLY=proof)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/mutation.py $(ONLY)

trust: ## random stories of edits, faults and kills, each checked (SEEDS=1000, SEED=42 replays one; WAREHOUSE=5: to the marts)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/trust $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(WAREHOUSE),--warehouse $(WAREHOUSE))

soak: ## 30 simulated days of half-hour syncs: state, files, memory and tables stay flat (DAYS=7)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/trust/soak.py $(if $(DAYS),--days $(DAYS))

bench: ## how fast it is, against baselines and floors (SCALE=1000000, ONLY=loader,tap, REPEAT=3)
	@$(PYTHON) orchestrate/bootstrap.py bench
	@cd tests && ../.pipeboard/env/dev/bin/python -m bench $(if $(SCALE),--scale $(SCALE)) \
		$(if $(ONLY),--only $(ONLY)) $(if $(WITHOUT),--without $(WITHOUT)) $(if $(DBT_SCALE),--dbt-scale $(DBT_SCALE)) $(if $(REPEAT),--repeat $(REPEAT)) \
		$(if $(PUBLISH),--publish)

lint: ## ruff, mypy, sqlfluff, yamllint, shellcheck, Meltano's own schema
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/lint.py

generate: ## rewrite what follows from streams, settings, cards and metrics (V2=openapi-v2.yaml: adds new API operations)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python -m tap_pipedrive.generate $(if $(V1),--v1 $(V1)) $(if $(V2),--v2 $(V2))
	@.pipeboard/env/dev/bin/python -m pipeboard_metabase.exposures
	@.pipeboard/env/dev/bin/python k8s/components/grafana/generate
	@.pipeboard/env/dev/bin/python plugins/hub/generate.py

readme: setup ## run the demo in a place of its own; write its output, and the last report of make trust, into README.md and docs
	@$(PYTHON) tests/docs/readme.py

lock: ## recompile requirements/*.txt (UPGRADE=1 takes newer versions)
	@$(PYTHON) orchestrate/bootstrap.py lock
	@$(PYTHON) tests/platforms.py

audit: ## look for known faults of the pinned packages (asks PyPI)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python tests/audit.py

secrets: ## look for passwords and tokens in the files of the repository
	@$(PYTHON) orchestrate/bootstrap.py dev
	@git ls-files -z | xargs -0 .pipeboard/env/dev/bin/detect-secrets-hook --cores 2 \
		--disable-plugin KeywordDetector --disable-plugin BasicAuthDetector \
		--exclude-files '^requirements/|/facts\.json$$|/bench/results/'

release: ## all of a release but the push: VERSION=0.2.0 (DRY_RUN=1 restores the tree, REPOSITORY=https://... its page)
	@$(PYTHON) orchestrate/bootstrap.py dev
	@.pipeboard/env/dev/bin/python orchestrate/release.py $(VERSION) $(if $(DRY_RUN),--dry-run) \
		$(if $(REPOSITORY),--repository "$(REPOSITORY)")

deploy: ## to Kubernetes: minikube, or ENV=prod (./run_project.sh --help tells more)
	@./run_project.sh deploy --env $(or $(ENV),minikube)

rollback: ## back to the release before, on minikube or ENV=prod; the database stays as it is
	@./run_project.sh rollback --env $(or $(ENV),minikube)

clean: stop ## delete environments, logs and caches; databases stay (DATA=1 deletes them too)
	@if [ -n "$(DATA)" ] && [ -x $(PIPEBOARD) ]; then $(PIPEBOARD) stop --forget; fi
	@rm -rf build .meltano .pipeboard/env .pipeboard/bin .pipeboard/activate .pipeboard/cache \
		.pipeboard/logs .pipeboard/reports .pipeboard/bench .pipeboard/dbt .pipeboard/test .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
