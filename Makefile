# Thin targets over the `spikeloom` command, in a virtual environment that makes itself. Needs no root.
# Every option of a command: .venv/bin/spikeloom <command> --help

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
SPIKELOOM := $(VENV)/bin/spikeloom
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs

# Passed on if they are given: make compare IMAGES=4 CONFIG=tiny
option = $(if $($(1)),--$(2) $($(1)))
COMPARE = $(call option,MODEL,model) $(call option,IMAGES,images) $(call option,CONFIG,config) $(call option,TECHNOLOGY,technology) \
	$(call option,DATA,data) $(call option,DATA_DIR,data-dir) $(call option,TRACED,traced) $(call option,FLIP,flip) $(call option,JOBS,jobs) \
	$(call option,BREVITAS,brevitas) $(if $(STALLS),--stalls)
MEASURE = $(call option,IMAGES,images) $(call option,DATA,data) $(call option,DATA_DIR,data-dir)
MODELS ?= models
RECIPE ?= recipes/fashion-2-64.toml
STUDY ?= recipes/studies/fashion-2-64.toml
LONG_IMAGES := 500
# Neighbouring pairs share a simulator: processes begin far apart. With a single one there is nothing to spread.
SPREAD = $(if $(filter-out 1,$(or $(JOBS),$(shell nproc))),--dist worksteal)

.PHONY: help venv compare compare-long report test test-long pairs sim verilog ip synth fmax bitstream board-sim formal train study \
	data bench info energy statistics codesign docs tutorials lint clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: MODEL= MODELS= IMAGES= CONFIG= DATA= DATA_DIR= TRACED= BREVITAS= STALLS=1 FLIP=BEAT:BIT JOBS= RECIPE= STUDY= DATASET= FAMILY= SEEDS= SEED= BOARD= ONLY= CHECK=1 ARGS= WAVES=1"
	@echo "  Commands and all their options: $(SPIKELOOM) --help"

compare: $(INSTALLED)  ## Real images through RTL, golden model and Brevitas: every spike compared, one table
	@$(SPIKELOOM) compare $(COMPARE) $(ARGS)

compare-long: $(INSTALLED)  ## The same over 500 images (fetches the whole test set)
	@$(SPIKELOOM) compare $(COMPARE) --images $(or $(IMAGES),$(LONG_IMAGES)) $(ARGS)

report: $(INSTALLED)  ## One page to look at, build/report.html, from the last compare and what else build/ holds
	@$(SPIKELOOM) report $(ARGS)

test: $(INSTALLED)  ## The test suite
	@$(SPIKELOOM) test $(call option,JOBS,jobs) $(ARGS)

test-long: $(INSTALLED)  ## The test suite with the tests that take minutes each
	@$(SPIKELOOM) test --long $(call option,JOBS,jobs) $(ARGS)

pairs: $(INSTALLED)  ## Random networks on random configurations, 320 pairs, every value, counter and cycle; SEED= for one
	@$(SPIKELOOM) test --long $(call option,JOBS,jobs) -k "test_random_pairs$(if $(SEED), and seed-$(SEED)])" $(SPREAD) $(ARGS)

sim: $(INSTALLED)  ## The cocotb/Verilator suite: units, engines, whole networks; WAVES=1 writes waveforms
	@$(SPIKELOOM) sim $(call option,JOBS,jobs) $(ARGS)

verilog: $(INSTALLED)  ## Write the Verilog, JSON and C header of a configuration into build/verilog and lint it
	@$(SPIKELOOM) verilog $(call option,CONFIG,config) $(call option,TECHNOLOGY,technology) $(ARGS)

ip: $(INSTALLED)  ## Write the accelerator as an IP core into build/ip: Vivado, block designs of boards, PYNQ, FuseSoC, C driver
	@$(SPIKELOOM) ip $(call option,CONFIG,config) $(call option,TECHNOLOGY,technology) $(ARGS)

synth: $(INSTALLED)  ## Count LUTs, registers and memories with Yosys, by module, beside the committed figures
	@$(SPIKELOOM) synth $(call option,CONFIG,config) $(call option,FAMILY,family) $(ARGS)

fmax: $(INSTALLED)  ## Place and route on an ECP5 with nextpnr: clock frequency and slowest paths
	@$(SPIKELOOM) fmax $(call option,CONFIG,config) $(call option,SEEDS,seeds) $(ARGS)

formal: $(INSTALLED)  ## Prove the AXI rules at both ports for the emitted Verilog, by induction
	@$(SPIKELOOM) formal $(call option,CONFIG,config) $(ARGS)

bitstream: $(INSTALLED)  ## A board's bitstream with open tools: BOARD=ulx3s_85f
	@$(SPIKELOOM) bitstream $(call option,BOARD,board) $(call option,CONFIG,config) $(call option,SEEDS,seeds) $(ARGS)

board-sim: $(INSTALLED)  ## Real images on the simulated board, through its serial pins, against the golden model
	@$(SPIKELOOM) board-sim $(call option,BOARD,board) $(call option,CONFIG,config) $(MEASURE) $(call option,MODEL,model) $(ARGS)

train: $(INSTALLED)  ## Train and export the model of RECIPE (hours on two cores)
	@$(SPIKELOOM) train $(RECIPE) $(call option,DATA_DIR,data-dir) $(ARGS)

study: $(INSTALLED)  ## Train, export and compare the variants of STUDY (hours on two cores, minutes on a GPU)
	@$(SPIKELOOM) study $(STUDY) $(call option,CONFIG,config) $(call option,DATA_DIR,data-dir) $(ARGS)

data: $(INSTALLED)  ## Fetch and verify a data set: DATASET=fashion-mnist, mnist or cifar10
	@$(SPIKELOOM) data $(call option,DATASET,dataset) $(call option,DATA_DIR,data-dir) $(ARGS)

bench: $(INSTALLED)  ## Measure the figures of merit and show them beside their targets (eight minutes); ONLY=
	@$(SPIKELOOM) bench $(call option,ONLY,only) $(if $(CHECK),--check) $(ARGS)

info: $(INSTALLED)  ## Show what an artifact holds
	@$(SPIKELOOM) info $(MODEL) $(ARGS)

energy: $(INSTALLED)  ## Operations and energy of every layer: the paper's formula beside what is counted
	@$(SPIKELOOM) energy $(MEASURE) $(call option,MODEL,model) $(ARGS)

statistics: $(INSTALLED)  ## Firing rates, residual integers, and the planes and words of CONFIG that are zero
	@$(SPIKELOOM) statistics $(MEASURE) $(call option,MODEL,model) $(call option,CONFIG,config) $(ARGS)

codesign: $(INSTALLED)  ## Compare the artifacts of MODELS (files, folders): accuracy against cycles, bytes and energy
	@$(SPIKELOOM) codesign $(MODELS) $(MEASURE) $(call option,CONFIG,config) $(ARGS)

docs: $(DOCS_INSTALLED)  ## Write the generated tables of docs/ and build the site into build/docs; a warning is an error
	@$(SPIKELOOM) docs --site $(ARGS)

tutorials: $(INSTALLED)  ## Run every block of docs/tutorials in a copy of the checkout and compare what it prints (minutes)
	@$(SPIKELOOM) test --long --jobs 1 tests/test_tutorials.py $(ARGS)

lint: $(INSTALLED)  ## Style, formatting and types
	@$(SPIKELOOM) lint $(ARGS)

clean:  ## Delete what builds and tests have written (keeps .venv, build/train, build/study and data/cache)
	@if [ -x $(SPIKELOOM) ]; then $(SPIKELOOM) clean $(ARGS); else rm -rf build; fi

venv: $(INSTALLED)  ## Only set up the virtual environment

# The stamp comes last: an interrupted installation is repeated.
$(INSTALLED): pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "no python3 on the PATH: install Python 3.11 (with its venv module)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is \
	$$("$(PYTHON)" --version 2>&1), Spikeloom is locked to Python 3.11: install it, or make PYTHON=<path of it>" >&2; exit 2; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	echo "$(PYTHON) has no venv module: install it (Debian: apt install python3-venv)" >&2; exit 2; }
	@for tool in g++ perl; do command -v $$tool >/dev/null || { \
	echo "$$tool is not on the PATH, but simulations are built with it: install it (Debian: apt install $$tool)" >&2; exit 2; }; done
	@echo "setting up $(VENV) with $(PYTHON); this takes a minute or two"
	@[ -x $(VENV)/bin/python ] || "$(PYTHON)" -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	--constraint constraints.txt --editable '.[dev]'
	@touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	--constraint constraints.txt --editable '.[docs]'
	@touch $@
