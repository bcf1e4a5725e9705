# What a person types, and what CI calls. pip's own settings (PIP_*) pass through.
PYTHON ?= python3
BIN := .venv/bin
MODELS ?= models
ARGS ?=
REVISION := $(shell git rev-parse HEAD 2>/dev/null)

.PHONY: demo serve train test test-browser test-chaos test-chaos-short test-docker test-kubernetes image audit bench check format clean

demo: $(MODELS)/digits/1/manifest.json  ## train on the embedded digits, then serve them
	$(BIN)/python -m service --models $(MODELS) --default-model digits $(ARGS)

$(MODELS)/digits/1/manifest.json: | .venv/installed
	$(BIN)/python -m training train --data digits --name digits --run runs/digits --models $(MODELS) --hidden 256,128 --beta 0.3 --resume

train: .venv/installed  ## make train ARGS="--data folder --name faces"
	$(BIN)/python -m training train --models $(MODELS) $(ARGS)

reproduce-%: training/recipes/%.yaml .venv/installed  ## make reproduce-digits: run a recipe
	$(BIN)/python -m training train --config $< --models $(MODELS) --resume $(ARGS)

serve: .venv/installed  ## make serve MODELS=models ARGS="--port 9000"
	$(BIN)/python -m service --models $(MODELS) $(ARGS)

test: .venv/installed-dev  ## every test that needs no Docker, browser or hours, by two processes
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-browser: .venv/installed-dev  ## the playground in a real browser; needs Chromium
	$(BIN)/pip install -c constraints.txt playwright
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

test-chaos: .venv/installed-dev  ## what hurts a server for minutes, with its figures
	$(BIN)/pip install -c constraints.txt schemathesis
	$(BIN)/python -m pytest -m chaos -s tests/chaos $(ARGS)

test-chaos-short: .venv/installed-dev  ## the chaos tests that take seconds
	$(BIN)/python -m pytest -m chaos -s tests/chaos/test_shutdown.py tests/chaos/test_workers.py tests/chaos/test_seeds.py tests/chaos/test_slow_clients.py $(ARGS)

test-docker: .venv/installed-dev  ## test the images and Compose; needs a Docker engine and some minutes
	$(BIN)/python -m pytest -m docker tests/docker $(ARGS)

test-kubernetes: .venv/installed-dev  ## the manifests against the schemas; needs kubectl or kustomize
	$(BIN)/pip install -c constraints.txt kubernetes-validate
	$(BIN)/python -m pytest tests/deploy/test_kubernetes.py $(ARGS)

image: image-service image-training  ## build the images service and training

image-%:  ## build one image of the Dockerfile and copy its SBOM to build/
	docker build --target $* --tag vae-server:$* --build-arg REVISION=$(REVISION) --build-arg PIP_EXTRA_INDEX_URL .
	mkdir -p build
	docker run --rm --entrypoint cat vae-server:$* /sbom.cdx.json > build/$*.cdx.json

audit:  ## fail if a pinned version has a known vulnerability; needs Docker and a network
	docker build --target audit --no-cache-filter audit .

.PHONY: test-gpu gpu-wheels
test-gpu:  ## check on a GPU what the docs say of GPUs; needs torch, numpy and onnxruntime, no network
	$(PYTHON) tests/gpu/claims.py --wheels build/gpu-wheels $(ARGS)

gpu-wheels: .venv/installed  ## the other packages that test-gpu needs, to carry to that machine
	mkdir -p build/gpu-wheels
	$(BIN)/pip freeze --exclude-editable | grep -viE '^(torch|triton|nvidia|cuda|onnxruntime|numpy)' > build/gpu-wheels/packages.txt
	$(BIN)/pip download --no-deps --dest build/gpu-wheels --requirement build/gpu-wheels/packages.txt

.PHONY: test-ray
test-ray: .venv/installed-dev  ## serving and the offline job on a Ray cluster of two nodes
	$(BIN)/pip install -c constraints.txt -e '.[ray]'
	$(BIN)/python -m pytest -m ray tests/ray $(ARGS)

bench: .venv/installed-dev  ## compare servers; make bench ARGS="serve --rows ours,mosec"; needs wrk and two free cores
	$(BIN)/python -m bench $(or $(ARGS),serve)

check: .venv/installed-dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs models

.venv/installed: pyproject.toml constraints.txt client/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e '.[service,training]' -e client
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install -c constraints.txt -e '.[service,training,dev]' -e client
	touch $@
