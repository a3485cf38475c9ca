# Two commands do all the set-up:
#   make demo   run the pipeline on the paintings that ship with the project
#   make test   run all tests that need no cluster

PYTHON ?= python3
WORKERS ?= 2
CLUSTER_WORKERS ?= 3
ROOT ?= mray-data
DEMO ?=

BIN = .venv/bin

# Of the images: who builds them, what they are called, whose torch is in them (cpu or cuda).
DOCKER ?= $(shell command -v docker >/dev/null && echo docker || echo podman)
REGISTRY ?= localhost:5001
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' machineray/__init__.py)
TAG ?= $(VERSION)
VARIANT ?= cuda
STAGES ?= pipeline collect curate unframe augment train generate finish finish-isr gallery
IMAGE = $(REGISTRY)/machineray-$$stage:$(TAG)

.PHONY: help demo test test-cluster test-pods test-outages lint format isr bench environment clean
.PHONY: images push kind-up kind-create kind-fill kind-demo kind-down
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile
	@echo "make lint   ruff, types, the arrows between the modules"
	@echo "make bench  measure every path on this machine"
	@echo "make isr    the environment of the genuine ISR (--engine isr)"
	@echo "make images push REGISTRY=… TAG=… VARIANT=cpu|cuda DOCKER=docker|podman STAGES=\"…\""
	@echo "make kind-up kind-demo kind-down   a cluster on this machine, the pipeline in it, its end"

environment:
	@$(PYTHON) tools/environment.py .venv --extra all --group dev

# DEMO="--kimg 0.5" makes it shorter.
demo: environment
	@$(BIN)/mray run pipeline examples/paintings --run demo --preset demo --init shipped --kimg 1 --root $(ROOT) $(DEMO)

PYTEST = $(BIN)/pytest --dist loadgroup --durations 15

# Not those of a cluster: a person's KUBECONFIG may name one that is not for tests.
test: environment
	$(PYTEST) -n $(WORKERS) -m "not cluster" $(TESTS)

# KUBECONFIG, REGISTRY, TAG, MRAY_TEST_BUCKET and AWS_* say where: see CONTRIBUTING.md. Each test has
# a namespace; those that take the cluster itself away come later, beside those that only run images.
test-cluster:
	@$(MAKE) --no-print-directory --keep-going test-pods test-outages

# 5 is pytest's word for nothing to do: TESTS may name tests of one half.
test-pods: environment
	$(PYTEST) -n $(CLUSTER_WORKERS) -m "cluster and not outage and not images" $(TESTS) || [ $$? = 5 ]

test-outages: environment
	$(PYTEST) -n 2 -m "outage or images" $(TESTS) || [ $$? = 5 ]

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `pip install ISR` cannot resolve on today's Python: TensorFlow and what ISR really uses, then ISR.
isr:
	@$(PYTHON) tools/environment.py .venv-isr --requirements docker/isr-requirements.txt \
		--no-deps ISR==2.2.0

bench: environment
	@for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

# One build a target, the code first. Those for pictures and the others share no dependencies and so
# go side by side. podman 4.3 would look at every step of the code again for each target: it gets the
# code as an image. Docker's provenance would give each build of the same code another digest.
PICTURES = collect curate unframe augment gallery
CODE = localhost/machineray-code:$(TAG)
BUILD = $(DOCKER) build -q -f docker/Dockerfile --build-arg VARIANT=$(VARIANT) --build-arg VERSION=$(VERSION) \
	--build-arg REVISION=$$(git describe --always --abbrev=40 --match= --dirty)
images: export DOCKER_BUILDKIT = 1
images: export BUILDX_NO_DEFAULT_ATTESTATIONS = 1
images:
	@$(BUILD) --target code -t $(CODE) . >/dev/null
	@build() { for stage; do \
		digest=$$($(BUILD) --target $$stage -t $(IMAGE) \
			$(if $(filter podman,$(notdir $(DOCKER))),--build-context code=container-image://$(CODE)) .) \
		&& echo "$(IMAGE) $$digest" || return 1; done; }; \
	build $(filter $(PICTURES),$(STAGES)) & \
	build $(filter-out $(PICTURES),$(STAGES)); failed=$$?; wait $$! && exit $$failed

# Docker takes a registry on localhost without TLS as it is, podman wants to be told.
push:
	@for stage in $(STAGES); do echo "$(IMAGE)"; $(DOCKER) push -q \
		$(if $(filter podman/localhost:%,$(DOCKER)/$(REGISTRY)),--tls-verify=false) $(IMAGE) || exit 1; done

# Three commands for a cluster on a laptop; tools/kind.py says which variables they know. kind-fill is
# for a cluster that is there already.
KIND = CONTEXT=$(CONTEXT) REGISTRY=$(REGISTRY) TAG=$(TAG) DOCKER=$(DOCKER) DEMO="$(DEMO)"
CONTEXT ?= kind-machineray

kind-up: kind-create kind-fill

kind-create:
	@$(KIND) $(PYTHON) tools/kind.py create

kind-fill: VARIANT = cpu
kind-fill: STAGES := $(filter-out finish-isr,$(STAGES))
kind-fill: images push
	@$(KIND) $(PYTHON) tools/kind.py install

kind-demo: environment
	@$(KIND) $(BIN)/python tools/kind.py demo

kind-down:
	@$(KIND) $(PYTHON) tools/kind.py delete

clean:
	rm -rf .venv .venv-isr .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
