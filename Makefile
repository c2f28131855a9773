# make demo   a provider, a sample app and the gateway on localhost, with the URL and the user printed
# make quick  the tests in process without real peers; three minutes on two cores, which is more than it should be
# make test   all tests; those with real peers are skipped where the peer is missing, unless GATEWAY_TEST_REAL=1
#            then those in process once more, through the lane
# make peers  the packages of npm and of Python that tests with real peers ask for
# make conformance  docs/CONFORMANCE.md from a run of the conformance tests
# make fuzz   200,000 odd inputs and more, counted by target; FUZZ_INPUTS and FUZZ_SEED change the run
# make reliability  what is killed and stormed, in large numbers, into docs/RELIABILITY.md; about 40 minutes
# make chaos  users while all that can fail does, into docs/RELIABILITY.md; six minutes; then a search for their secrets
# make scaling  a simulated storm of refreshes, into docs/SCALING.md; about five minutes of two cores
# make bench  requests a second, latencies and memory beside nginx, Envoy, Apache and Flask, into docs/PERFORMANCE.md;
#             about 20 minutes; BENCH="--rounds 1 --seconds 3 --cases small" and the like change the run
# make docs   what is written from the model: the table, the schema, docs/configuration; and from the pages their texts,
#             gateway/locale, compiled where they are translated
# make screenshots  docs/screenshots, from the pages that the browser tests look at
# make site   the documentation as pages, in build/site
# make lint   ruff, mypy and the layers
# make audit  whether a vulnerability of a locked package is known; asks over the network, and ends with 2 where it cannot
# make sbom   what the container has in it, as CycloneDX, in build/sbom.json
# make lock   resolve the lock files anew

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNTIME := .venv/.runtime
READY := .venv/.ready

# Where it forbids Python to keep what it has compiled, each run would compile 500 modules anew, for each core.
unexport PYTHONDONTWRITEBYTECODE

PEERS := $(patsubst %/package-lock.json,%/node_modules/.ready,$(wildcard tests/peers/*/package-lock.json)) \
	$(patsubst %/requirements.txt,%/.venv/.ready,$(wildcard tests/peers/*/requirements.txt))

.PHONY: demo quick test peers fuzz reliability chaos scaling bench lint format docs screenshots site conformance audit sbom lock clean

demo: $(RUNTIME)
	PYTHONPATH=$(CURDIR) $(BIN)/python -m gateway demo

quick: $(READY)
	$(BIN)/pytest -q -n auto -m "not real and not slow" --ignore tests/processes --ignore tests/fuzz

test: $(READY)
	$(BIN)/pytest -q -n auto --ignore tests/processes
	$(BIN)/pytest tests/processes
	GATEWAY_TEST_FACE=lane $(BIN)/pytest -q -n auto -m "not slow" --ignore tests/processes

peers: $(PEERS)

tests/peers/%/node_modules/.ready: tests/peers/%/package-lock.json
	cd tests/peers/$* && npm ci
	touch $@

tests/peers/%/.venv/.ready: tests/peers/%/requirements.txt
	$(PYTHON) -m venv tests/peers/$*/.venv
	tests/peers/$*/.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

fuzz: $(READY)
	cd tests && ../$(BIN)/python -m fuzz

reliability: $(READY)
	cd tests && ../$(BIN)/python -m reliability

chaos: $(READY)
	cd tests && ../$(BIN)/python -m chaos

scaling: $(READY)
	cd tests && ../$(BIN)/python -m scaling

bench: $(READY)
	$(BIN)/python -m bench $(BENCH)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

site: build/.site
	NO_MKDOCS_2_WARNING=1 build/.site/bin/mkdocs build -q --strict

build/.site: locks/docs.txt
	$(PYTHON) -m venv $@
	$@/bin/pip install -q --disable-pip-version-check --require-hashes -r locks/docs.txt
	touch $@

audit: $(READY) build/.supply
	cd tests && ../$(BIN)/python -m audit

sbom: build/.supply
	build/.supply/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o build/sbom.json locks/runtime.txt

build/.supply: locks/supply.txt
	$(PYTHON) -m venv $@
	$@/bin/pip install -q --disable-pip-version-check --require-hashes -r locks/supply.txt
	touch $@

docs: $(READY)
	$(BIN)/python docs/update.py
	$(BIN)/python docs/texts.py

screenshots: $(READY)
	cd tests && ../$(BIN)/python -m peers.screenshots

conformance: $(READY)
	cd tests && ../$(BIN)/python -m conformance

lock: $(READY)
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 -o locks/runtime.txt pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --extra dev -c locks/runtime.txt -o locks/dev.txt pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 -o locks/docs.txt locks/docs.in
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 -o locks/supply.txt locks/supply.in
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 -c locks/dev.txt -o locks/build.txt locks/build.in

clean:
	rm -rf .venv bench/.venv .mypy_cache .ruff_cache .hypothesis tests/.hypothesis build *.egg-info

$(RUNTIME): locks/runtime.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r locks/runtime.txt
	touch $@

$(READY): $(RUNTIME) locks/dev.txt pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r locks/dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
