# SPDX-License-Identifier: GPL-2.0
#
# Each target does all the set-up it needs, says what it does, and does nothing
# twice. The work is in scripts/; make help lists the targets.
#
#	KDIR=DIR	a v7.3 kernel tree to start from instead of Debian's package; one that
#			has the series already (make kernel-tree) is built as it is
#
# make itself turns every failure into status 2; where the status of a command in
# the virtual machine matters, call scripts/vm '...' instead of make vm CMD='...'.

export KDIR
export VM_CMD := $(value CMD)

all: module headers samples ## build kernel, module, headers and samples

demo: ## show what it does, in a virtual machine
	@scripts/build-samples
	@scripts/vm samples/demo.sh

test: ## all checks and tests; the last line counts them
	@scripts/run-tests plain

test-debug: ## the tests under a kernel that looks for bugs (KASAN, lockdep ...)
	@scripts/run-tests debug

test-kcsan: ## the tests under a kernel that looks for data races
	@scripts/run-tests kcsan

test-up: ## barriers and checkpoints under a kernel for one CPU, without preemption (TINY_SRCU)
	@scripts/run-tests up

test-load: ## many tasks, groups, marks and kills, as many as a machine of 6 GB takes; half an hour
	@scripts/load-test

test-crash: ## power cuts for the change journal; CUTS=50 SNAPSHOTS=0 SEED=..., see scripts/crash-test
	@scripts/crash-test --cuts $(or $(CUTS),50) --snapshots $(or $(SNAPSHOTS),0) $(if $(SEED),--seed $(SEED))

test-debian: ## a whole Debian system whose / is watched: boots, dies, sleeps, is cut off; 25 minutes
	@scripts/debian-test

fuzz: ## a fuzzer, in the virtual machine: MINUTES=20 PROFILE=debug|kcsan, see docs/fuzzing.md
	@scripts/fuzz --minutes $(or $(MINUTES),20) --kernel $(or $(PROFILE),debug) $(if $(SEED),--seed $(SEED))

bench: ## what the series costs, beside what there is today: docs/performance.md
	@scripts/bench

bench-check: ## a few figures of it, compared with those in bench/check.csv; part of make test
	@scripts/run-tests bench-check

check: ## format, lints, documentation, style of the patches; no virtual machine
	@scripts/run-tests check

models: ## search the models for errors (docs/checkpoints.md, docs/restart.md)
	@scripts/run-tests models

vm: ## a root shell in the patched kernel; CMD='...' runs one command there
	@scripts/vm $(if $(VM_CMD),"$$VM_CMD")

module: ## build the kernel and the module: build/module-plain/vfs_filter.ko
	@scripts/build-module plain

headers: ## the patched kernel's uapi headers: build/usr/include
	@scripts/headers

samples: ## build the programs in samples/: build/samples/release
	@scripts/build-samples

kernel-tree: ## a git tree with the series applied, to work in: build/linux
	@scripts/kernel-tree

export: ## write the commits of build/linux to patches/
	@scripts/export $(FROM)

bisect: ## does each step of the series build?
	@scripts/bisect

rebase: ## try the series on another kernel, KDIR=...
	@scripts/rebase

clean: ## remove what was built here, but not build/linux
	@scripts/clean

distclean: ## and the cache, which all clones share
	@scripts/clean --cache

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | expand -t 16

.PHONY: all demo test test-debug test-kcsan test-up test-load test-crash test-debian fuzz bench bench-check check models vm module headers \
	samples kernel-tree export bisect rebase clean distclean help
