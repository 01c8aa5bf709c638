# Everything a developer does, by name: `make help` lists it. Needs Python 3.11+ with venv, make and git.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
COLLECTIONS := $(CURDIR)/.build/collections
export ANSIBLE_CONFIG ?= $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2} /^##@/{printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Start here
.PHONY: demo
demo: venv ## start the lab, verify it, break it, name the cause, heal it, verify again; writes an HTML report
	@$(PY) -m lab.demo

.PHONY: test
test: lint parity ## every check and every test (STRICT=1: a missing tool or toolchain is a failure)
	@$(PY) -m pytest -q tests

##@ Environment
.PHONY: venv
venv: ## .venv with the run-time and lab packages
	@$(PYTHON) tools/venv.py
	$(PYTHON) tools/collection.py link

.PHONY: dev
dev: ## .venv with the development tools as well
	@$(PYTHON) tools/venv.py --dev
	$(PYTHON) tools/collection.py link

.PHONY: clean
clean: ## remove what was built: virtual environments, archives, caches (the lab keeps its state: make lab-down first)
	@rm -rf .venv .venv-newest .build .ruff_cache .pytest_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './.lab/*' -prune -exec rm -rf {} +
