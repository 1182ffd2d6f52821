# make setup | bench | test | unit | perf | testbed | bpf
PYTHON ?= python3
# Where pip finds torch: PyTorch publishes an index of CPU builds, which saves gigabytes of CUDA (make setup TORCH_INDEX=…).
TORCH_INDEX ?=
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Tests of one file share what they set up, so a file stays with one of the processes; tests/conftest.py orders the files.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup bench test unit perf testbed bpf

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.lock
	touch $@

bench: $(STAMP)
	$(RUN) run.py -m generator=gpt,netdiffusion

test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(RUN) -m pytest $(PARALLEL) --durations=15

# The quick part: no training, no sweeps.
unit: $(STAMP)
	$(RUN) -m pytest $(PARALLEL) -m "not slow"

perf: $(STAMP)
	$(RUN) -m tests.benchmark.perf_capture
	$(RUN) -m tests.benchmark.perf_nprint
	$(RUN) -m tests.baselines.perf_sampling
	$(RUN) -m tests.leaderboard.perf_site

# What capturing takes (datasets/testbed): programs by apt as root, Python packages and shaka-player into the environment.
# PARTS=smoke: only what plan=smoke takes.
testbed: $(STAMP)
	$(RUN) datasets/testbed/install.py $(PARTS)

# The kernel's programs anew (apt-get install clang llvm libbpf-dev); nobody needs that to run them.
bpf: $(STAMP)
	$(RUN) -m bpf.build
