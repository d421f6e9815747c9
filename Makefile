# Everything a newcomer needs: `make demo`, `make check`, `make test`. `make help` lists the rest.
# All targets are safe to repeat, and need no network once .venv holds its packages.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMP  := $(VENV)/.stamp

# On all cores; neighbours stay with one worker as far as that keeps all busy: they share boots.
PYTEST := -q -ra --numprocesses=auto --maxprocesses=8 --dist=worksteal \
  --durations=10 --durations-min=1

# A line of the list is a file or folder, and why.
CHECK := $(shell sed -nE 's/^(tests[^ ]*).*/\1/p' tests/check.txt)

# What the compiled interpreter is made from; the amalgamation itself is not a source.
SOURCES := $(shell find bt -name '*.py' -o -name '*.pxi')

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check test test-pure soak mutate lint guests bench notebooks docs man build clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1|/' \
	  | while IFS='|' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

demo: build  ## the embedded guest, start to finish, in all three modes
	$(BIN)/vp demo

check: build $(STAMP)-test  ## the tests that catch most for their time (tests/check.txt): two minutes
	ORACLE_STATES=64 $(BIN)/python -m pytest $(PYTEST) -m "not slow and not guest" $(CHECK)

test: build $(STAMP)-test  ## every test, on all cores: ten minutes
	$(BIN)/python -m pytest $(PYTEST)

test-pure: $(STAMP)-run $(STAMP)-test  ## the same tests on the uncompiled sources
	VP_PURE=1 $(BIN)/python -m pytest $(PYTEST) -m "not slow"

soak: build $(STAMP)-test  ## boot Linux ten times in each mode; must be the same every time
	PYTHONPATH=tests $(BIN)/python tests/guests/soak.py $(ROUNDS)

mutate: build $(STAMP)-test  ## break the code on purpose: does a test notice? hours (FILES=bt/cache.py: of one file)
	$(BIN)/python -m tools.mutate $(FILES)

lint: $(STAMP)-lint $(STAMP)-run  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

guests:  ## fetch Debian's kernel and other guests into guests/ (through apt; installs nothing)
	$(PYTHON) tools/fetch_guests.py

bench: build $(STAMP)-bench  ## speed against the peers, cost of the monitor (BENCH=--quick: a first look)
	$(BIN)/python -m benchmarks.run $(BENCH)

notebooks: build $(STAMP)-notebooks  ## run notebooks/ and write what came out into them
	$(BIN)/python -m tools.notebooks

docs: build $(STAMP)-docs  ## this documentation as a site, every warning an error
	@[ -t 1 ] || quiet=-q; \
	  $(BIN)/python -m sphinx $$quiet -W --keep-going -c docs -d out/doctrees . out/docs
	@echo "open out/docs/index.html"

man: $(STAMP)-docs  ## the manual page vp(1), out/man/vp.1
	@$(BIN)/python -m tools.docs.man_page out/man/vp.1

build: $(if $(filter-out 0,$(VP_PURE)),$(STAMP)-run,$(STAMP)-build)  ## compile the interpreter if its sources changed

clean:  ## remove what was built; keep .venv and guests/
	rm -rf build out *.egg-info .pytest_cache .mypy_cache .ruff_cache $(STAMP)-build
	rm -f bt/interp/_compiled*
	find . -path ./$(VENV) -prune -o -name __pycache__ -prune -exec rm -rf {} +

# The virtual environment, one stamp per group of packages.
# ----------------------------------------------------------------------------

$(STAMP)-venv:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python is missing: install Python 3.10 or later (Debian: apt install python3)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$(PYTHON) is too old: Python 3.10 or later is needed; name one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing (Debian: apt install python3-venv)."; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@touch $@

define install
@echo "installing into $(VENV): $(subst ',,$(1))"
@$(PIP) install --no-build-isolation $(1) || { \
  echo "pip could not install $(1): the first time, this needs the network."; exit 1; }
@touch $@
endef

$(STAMP)-tools: pyproject.toml | $(STAMP)-venv
	$(call install,'setuptools>=64' wheel 'cython>=3')

# The package itself, as a link to this folder; compiling is the next rule's work, where it shows.
$(STAMP)-run: setup.cfg | $(STAMP)-tools
	$(call install,--editable .)

$(STAMP)-run: export VP_PURE = 1

$(STAMP)-test $(STAMP)-lint $(STAMP)-bench $(STAMP)-notebooks $(STAMP)-docs: $(STAMP)-%: setup.cfg | $(STAMP)-run
	$(call install,--editable '.[$*]')

$(STAMP)-test $(STAMP)-lint $(STAMP)-bench $(STAMP)-notebooks $(STAMP)-docs: export VP_PURE = 1

# The stamp is left out where nothing was compiled, so that a compiler installed later is noticed.
$(STAMP)-build: $(SOURCES) setup.py | $(STAMP)-run
	@mkdir -p out
	@VP_SAY=3 $(BIN)/python setup.py -q build_ext --inplace 3>&1 >out/build.log 2>&1 \
	  || { cat out/build.log; exit 1; }
	@grep -F 'warning:' out/build.log || :
	@! ls bt/interp/_compiled*.so >/dev/null 2>&1 || touch $@
