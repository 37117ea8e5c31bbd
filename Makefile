# What a newcomer types. Everything happens in .venv and in temporary folders.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TRIAL ?= $(BIN)/python -m twisted.trial

.PHONY: demo test quick check coverage bench docs manual pictures lock clean

demo: $(INSTALLED)  ## watch the daemon do its work against a simulated Twitch
	@$(BIN)/itsjustintv demo

test: $(INSTALLED)  ## run the tests, several at a time
	@TRIAL="$(TRIAL)" TRIALFLAGS="$(TRIALFLAGS)" JOBS="$(JOBS)" scripts/test all

quick: $(INSTALLED)  ## lint, types and most of the tests that start no daemon, in less than a minute
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy & TRIAL="$(TRIAL)" TRIALFLAGS="$(TRIALFLAGS)" JOBS="$(JOBS)" scripts/test quick && wait $$!

check: $(INSTALLED)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(INSTALLED)  ## run the tests with branch coverage of the package, subprocesses included
	scripts/coverage

bench: $(INSTALLED)  ## measure the daemon beside its peers
	$(BIN)/python -m benchmarks $(BENCHFLAGS)

lock:  ## write requirements.lock anew, after a change of what setup.py requires
	scripts/lock

# The plain editable install of setuptools hides twisted/plugins; the compatible one does not.
$(INSTALLED): setup.py pyproject.toml
	@echo "installing itsjustintv and what it needs into $(VENV), which takes about a minute and says nothing meanwhile"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade "setuptools>=77" wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]" --config-settings editable_mode=compat
	touch $@

docs: $(INSTALLED)  ## build the documents, with every link between them checked, into build/docs
	@echo "installing what builds the documents, which takes half a minute and says nothing meanwhile"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[docs]" --config-settings editable_mode=compat
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs

manual: $(INSTALLED)  ## write the pages that say what --help says
	mkdir -p etc/man
	$(BIN)/itsjustintv manual man > etc/man/itsjustintv.1
	$(BIN)/itsjustintv manual markdown > docs/commands.md

pictures: $(INSTALLED)  ## take the pictures of the admin page and draw the card anew; needs chromium, node and npm
	$(BIN)/python scripts/card chromium "$(CURDIR)/docs/images/card.png"
	npm install --prefix $(VENV)/tools --no-audit --no-fund --silent playwright-core@1.65.1 axe-core@4.14.1
	ITSJUSTINTV_REQUIRE_TOOLS="chromium node" ITSJUSTINTV_PICTURES="$(CURDIR)/docs/images" $(TRIAL) tests.functional.test_admin_page

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info .coverage* _trial_temp* .hypothesis .mypy_cache .ruff_cache
