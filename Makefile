# Every target sets up what it needs in .venv; a second call does not install again.
# Recipes use relative paths only, so the checkout may lie in a folder with spaces.
SHELL := /bin/sh
.DELETE_ON_ERROR:
PYTHON ?= python3
PY := .venv/bin/python
NATIVE := CMakeLists.txt $(shell find csrc -name '*.cc' -o -name '*.h' -o -name '*.def')
OUT ?= earbit-study
# The build of PyTorch: cpu, or a CUDA version such as cu128. Empty: the one of PyPI.
TORCH ?=
# Among equal versions pip prefers one with a build, as 2.13.0+cu128.
PIP_INSTALL = $(PY) -m pip install --quiet --constraint constraints.txt \
  $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))

CMAKE := .venv/bin/cmake
# The system's, where it reads our presets.
SYSTEM_CMAKE := $(shell cmake --version 2>/dev/null | sed -n 's/^cmake version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | awk '$$1 > 3 || $$1 == 3 && $$2 >= 24 { print "cmake" }')
# The fuzzer's files: how many, and the number of the first.
N ?= 20000
FIRST ?= 0

.PHONY: help setup same-python study test test-slow test-arm test-old-cpu lint format bench fuzz race libearbit wheels docs clean

help:
	@echo "make setup   installs earbit into .venv"
	@echo "make study   runs the full comparison on synthetic speech and writes $(OUT)/report.html"
	@echo "make test    runs linters, type checks and all tests except slow ones"
	@echo "make test-slow, make lint, make format, make bench, make clean"
	@echo "make test-arm, make test-old-cpu    test the kernels on CPUs that qemu emulates"
	@echo "make libearbit                  builds the C library, without Python packages (docs/c.md)"
	@echo "make wheels PYTHONS='python3.11 python3.12'   builds wheels for x86-64 and 64-bit ARM in dist"
	@echo "make docs                       builds the documentation site in build/site"
	@echo "make fuzz N=1000000 FIRST=0     loads damaged program files with sanitizers"
	@echo "make race                       runs many threads with the thread sanitizer"
	@echo "TORCH=cpu or TORCH=cu128 selects the build of PyTorch when .venv is made"
	@echo "PYTHON=python3.12 selects the interpreter (3.11 to 3.13)"

define make-venv
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
  { echo "earbit needs Python 3.11 to 3.13; name one: make PYTHON=python3.11 ..." >&2; exit 1; }
@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || \
  { echo "no virtual environment could be made; on Debian: apt install python3-venv python3-dev g++" >&2; exit 1; }
@test -f .venv/.pip || { $(PY) -m pip install --quiet --upgrade "pip>=25.1" && touch .venv/.pip; }
endef

setup: .venv/.base

# The environment: users' part first, then what only developers need.
.venv/.base: pyproject.toml constraints.txt $(NATIVE) | same-python
	$(make-venv)
	@echo "compiling and installing earbit, which takes some minutes"
	$(PIP_INSTALL) --editable ".[train,synth,report]"
	@touch $@

same-python:
	@test ! -x $(PY) || test "$(origin PYTHON)" = file || test "$$($(PYTHON) -V)" = "$$($(PY) -V)" || \
	  { echo ".venv holds $$($(PY) -V), asked for is $$($(PYTHON) -V); run 'make clean' first" >&2; exit 1; }

.venv/.dev: .venv/.base
	$(PIP_INSTALL) --group dev
	@touch $@

study: .venv/.base
	$(PY) -m earbit study --scale tiny --out "$(OUT)"

test: lint
	@# Two workers with a thread each: threads of PyTorch that wait for each other eat the cores.
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not arm and not old_cpu"

test-slow: .venv/.dev
	$(PY) -m pytest -m slow

# On emulated CPUs; Debian: apt install qemu-user g++-aarch64-linux-gnu.
test-arm: .venv/.dev
	$(PY) -m pytest -m arm tests/runtime/test_other_cpus.py tests/runtime/test_instruction_sets.py tests/bench/test_arm_estimates.py

test-old-cpu: .venv/.dev
	$(PY) -m pytest -m old_cpu tests/runtime/test_other_cpus.py tests/runtime/test_instruction_sets.py

lint: .venv/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	@find csrc tests/csrc examples \( -name '*.cc' -o -name '*.c' -o -name '*.h' \) -print0 | xargs -0 .venv/bin/clang-format --dry-run -Werror

format: .venv/.dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	@find csrc tests/csrc examples \( -name '*.cc' -o -name '*.c' -o -name '*.h' \) -print0 | xargs -0 .venv/bin/clang-format -i

bench: .venv/.dev
	$(PY) benchmarks/gemm_b1.py
	$(PY) benchmarks/window_attention.py
	$(PY) benchmarks/hubert_forward.py
	$(PY) benchmarks/quantized_step.py
	$(PY) benchmarks/pretrain_step.py

.venv/.cmake: | same-python
	$(make-venv)
	$(PIP_INSTALL) "cmake>=3.24,<5"
	@touch $@

libearbit: CMAKE := $(or $(SYSTEM_CMAKE),$(CMAKE))
libearbit: $(if $(SYSTEM_CMAKE),,.venv/.cmake)
	$(CMAKE) --preset libearbit
	$(CMAKE) --build --preset libearbit
	@echo "build/libearbit/csrc/capi/libearbit.so; to install it: $(CMAKE) --install build/libearbit --prefix ~/.local"

fuzz: .venv/.dev
	$(CMAKE) --preset asan
	$(CMAKE) --build --preset asan --target fuzz_program
	$(PY) tests/runtime/small_programs.py build/small-programs
	build/asan/tests/csrc/fuzz_program build/small-programs $(FIRST) $(N)

race: .venv/.dev
	$(CMAKE) --preset tsan
	$(CMAKE) --build --preset tsan --target stress
	$(PY) tests/runtime/small_programs.py build/small-programs
	for program in build/small-programs/*; do build/tsan/tests/csrc/stress "$$program" 16 200 || exit 1; done

.venv/.wheels: .venv/.base
	$(PIP_INSTALL) --group wheels
	@touch $@

# PYTHONS: with headers.  The second wheel has the stable ABI and serves later versions too.
PYTHONS ?= python3.11 python3.12
wheels: .venv/.wheels
	$(PY) packaging/wheels.py --out dist --python $(PYTHONS)
	$(PY) packaging/smoke_test.py --wheels dist --python $(PYTHONS) --sdist $(lastword $(PYTHONS))

.venv/.docs: .venv/.base
	$(PIP_INSTALL) --group docs
	@touch $@

# A notice about MkDocs 2 is off.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	@echo "build/site/index.html"

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
