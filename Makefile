# Two commands: `make run` opens the workbench, `make test` runs the whole suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
# Half of the suite's time is waiting: three workers keep two cores busy. 0: one process, for a debugger.
WORKERS ?= 3

.PHONY: run test test-fast check format bench-smoke lock clean

run: $(VENV)/.run
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/.test
	PYTHON=$(BIN)/python sh scripts/ensure_chromium.sh
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

# The inner loop: no browser, no npm, none of the tests that take long.
test-fast: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" --ignore tests/e2e --ignore tests/interop $(PYTEST_ARGS)

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/audit.py
	$(BIN)/python scripts/try_wheel.py

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins anew what pyproject.toml asks for.
lock: $(VENV)/.test
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --extra test --extra check -c requirements.txt pyproject.toml -o requirements-test.txt
	printf '%s\n' '-e .' >> requirements.txt

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Assay needs Python 3.11 or newer; set PYTHON=python3.12, for example."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what Assay needs into $(VENV); the first time this takes about a minute."
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@# Else every start compiles Assay's own modules anew where Python is told to write no bytecode: a third of it.
	-$(BIN)/python -m compileall -q src
	touch $@

$(VENV)/.test: $(VENV)/.run requirements-test.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-test.txt
	touch $@
