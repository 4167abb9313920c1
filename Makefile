# Every target works without make, too: `python3 -m toolchain up`.
PYTHON ?= python3
STACK ?= dev
STACKS ?= staging prod onprem
VERDICT ?= .toolchain/verdict
TOOLCHAIN = $(PYTHON) -m toolchain
VENV = .toolchain/venv/bin
SOURCES = __main__.py components policies stacks toolchain tests apps benchmarks
GO_MODULE = toolchain/go

.DEFAULT_GOAL := help
.PHONY: help up down preview verdict test lint format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## install what is missing, start the embedded cluster, deploy stack dev
	@$(TOOLCHAIN) up

down: ## destroy stack dev and remove the cluster from the host
	@$(TOOLCHAIN) down

preview: ## plan a stack through the policy pack: make preview STACK=prod
	@$(TOOLCHAIN) preview --stack $(STACK)

verdict: ## judge several stacks at once, as pull requests are: make verdict STACKS="staging prod"
	@$(TOOLCHAIN) venv >/dev/null
	@$(VENV)/python -m stacks.verdict preview $(STACKS) --output $(VERDICT)

test: ## every test that this machine can run; PYTEST_ARGS="-k weights" narrows it
	@$(TOOLCHAIN) venv --dev >/dev/null
	@$(VENV)/python -m pytest $(PYTEST_ARGS)

lint: ## formatting, static checks, import rules
	@$(TOOLCHAIN) venv --dev >/dev/null
	$(VENV)/ruff format --check $(wildcard $(SOURCES))
	$(VENV)/ruff check $(wildcard $(SOURCES))
	$(VENV)/mypy $(filter-out tests apps benchmarks,$(wildcard $(SOURCES)))
	$(VENV)/mypy -p weights -p etcd_tools -p alert_relay -p audit_trail -p log_setup -p trend_report
	PYTHONPATH=.:apps/alert_relay:apps/audit:apps/etcd:apps/log_setup:apps/trend_report:apps/weights $(VENV)/lint-imports
	@$(TOOLCHAIN) go-check

format: ## rewrite sources in the project's format
	@$(TOOLCHAIN) venv --dev >/dev/null
	$(VENV)/ruff format $(wildcard $(SOURCES))
	$(VENV)/ruff check --fix $(wildcard $(SOURCES))

clean: ## down, then remove everything that was built
	@$(TOOLCHAIN) clean
