# SPDX-License-Identifier: GPL-2.0
#
# The door: every target is a script in scripts/. `make help` lists them.

ARCH	?= x86_64
V	?= 0
JOBS	?= $(shell nproc)
BUILD	?= $(CURDIR)/build
export ARCH CROSS_COMPILE KSRC V JOBS BUILD QUICK MINUTES CALLS SEED FUZZ_SECONDS SUITES KERNELS KERNEL STRESSORS TYPES SCENARIOS PARTS BUSTED_SECONDS PROGRAMS

# One clear line for a wrong variable, before anything is started.
ifeq ($(wildcard $(CURDIR)/scripts/arch-$(ARCH).sh),)
$(error ARCH=$(ARCH) is not supported; x86_64 and arm64 are)
endif
ifeq ($(filter $(V),0 1),)
$(error V=$(V) makes no sense; 0 and 1 do)
endif
ifneq ($(shell [ "$(JOBS)" -gt 0 ] 2>/dev/null && echo ok),ok)
$(error JOBS=$(JOBS) is not a positive number)
endif
ifneq ($(KSRC),)
ifeq ($(wildcard $(KSRC)/Makefile),)
$(error KSRC=$(KSRC) is not a kernel source tree)
endif
endif
override KSRC := $(if $(KSRC),$(abspath $(KSRC)))
override BUILD := $(abspath $(BUILD))

help:
	@sed -n 's/^#: //p' $(MAKEFILE_LIST)

#: make run           boot, start the demo, print its table; 0 only if every row holds
#: make test          lint, clients, native tests, KUnit, kselftests; KTAP in build/results
#: make test-host     the core in user space: unit tests, all schedules, fuzzer; no kernel build
#: make fuzz          the fuzzer alone, until interrupted or for MINUTES=n
#: make picture       trace a part of the demo and draw it, build/results/picture.svg
#: make shell         a shell in the guest, with /dev/mmu_mirror
#: make guest CMD=..  one command in the guest; what it prints, its exit status
#: make kernel        build only
#: make clients       compile every in-tree user of the interface
#: make test-clients  KVM's, HMM's and mm's own suites, on stock and on ours, and then:
#: make test-vms      50 virtual machines beside a callback that sleeps, on both
#: make test-guest    a guest in the guest, its memory moved about for MINUTES=10
#: make test-stress   stress-ng with subscribers attached, for MINUTES=10
#: make test-shadow   Python and stress-ng under a monitor of all their mappings, MINUTES=10
#: make test-torture  all rules under torture, MINUTES=1 a scenario, and everything that is
#:                    wrong on purpose, in one table; TYPES='busted-..', PARTS=torture
#: make test-fuzz-uapi random calls of both drivers under KASAN, CALLS=1000000; takes hours
#: make soak          everything at once, MINUTES=30; then as much memory in use as before
#: make lint          checkpatch, W=1, sparse, kernel-doc
#: make htmldocs      the documentation as HTML; fails on warnings in our files
#: make test-busted   break the code on purpose; the tests must notice (BREAKS='NAME ..')
#: make test-debug    KUnit, kselftests, torture with lockdep, KASAN, kmemleak; takes a while
#: make test-kcsan    the same, looking for data races
#: make bench         stock's core and ours side by side; QUICK=1: natively only
#: make off-cost      what checker and tracepoints cost while they are off; x86_64
#: make monitor-cost  what /dev/mmu_monitor costs, in instructions; x86_64
#: make series        the patches for git am, in build/series
#: make series-check  apply them to a pristine tree, build every step
#: make clean         remove build/
#:
#: KSRC=DIR      a pristine Linux 6.12.y instead of Debian's (it is not written to)
#: ARCH=arm64    cross-build for arm64 and boot that, instead of x86_64
#: CROSS_COMPILE= the prefix of the compiler, as for the kernel
#: BUILD=DIR     where everything is built (build/)
#: JOBS=N        parallel jobs (all processors)
#: V=1           show the commands

run shell picture lint clients series series-check test-busted test-debug test-kcsan bench off-cost monitor-cost guest kernel: deps
test-clients: deps-users
test-vms test-guest test-stress test-shadow test-torture test-fuzz-uapi soak: deps
test-host fuzz: deps-host
htmldocs: deps-docs
test: $(if $(filter x86_64,$(ARCH)),deps-host deps-users,deps)

deps:
	@scripts/deps.sh

deps-host:
	@scripts/deps.sh host

# what mm's suites are linked with
deps-users:
	@MORE_PACKAGES="libnuma-dev libcap-dev" scripts/deps.sh

deps-docs:
	@MORE_PACKAGES="python3-sphinx" scripts/deps.sh

kernel:
	@scripts/build.sh

initramfs: kernel
	@scripts/initramfs.sh

run: initramfs
	@scripts/run.sh

test:
	@scripts/test.sh

picture: initramfs
	@scripts/picture.sh

shell: initramfs
	@scripts/guest.sh

guest: initramfs
	@$(if $(CMD),scripts/guest.sh '$(subst ','\'',$(CMD))',echo "make guest needs CMD='...'" >&2; exit 1)

bench off-cost monitor-cost fuzz htmldocs lint clients series series-check test-host:
	@scripts/$@.sh

test-clients:
	@scripts/test-clients.sh
	@scripts/test-vms.sh
	@scripts/test-guest.sh
	@scripts/test-stress.sh

test-vms test-guest test-stress test-shadow test-fuzz-uapi:
	@scripts/$@.sh

soak:
	@scripts/test-soak.sh

test-torture:
	@BREAKS='$(BREAKS)' scripts/$@.sh

test-busted:
	@scripts/busted.sh $(BREAKS:%=$(CURDIR)/tools/testing/selftests/mmu_notifier/busted/%.patch)

test-debug test-kcsan:
	@scripts/debug.sh $(@:test-%=%)

clean:
	@[ ! -e $(BUILD)/.lock ] || rm -rf $(BUILD)

.PHONY: help deps deps-docs deps-host deps-users htmldocs test-host test-clients test-vms test-guest test-stress test-shadow test-torture test-fuzz-uapi soak fuzz kernel initramfs run picture test shell guest lint clients series series-check test-busted test-debug test-kcsan bench off-cost monitor-cost clean
.NOTPARALLEL:
