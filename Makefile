# SPDX-License-Identifier: BSD-2-Clause
# libcommitlog. `make help` lists the targets. Everything built goes to build/<variant>/.
#
#   VARIANT=release|debug|asan|tsan|fuzz|afl|coverage|arm64   which build (default release)
#   STRICT=1                                warnings are errors
#   V=1                                     show whole command lines
#   CC, CFLAGS, LDFLAGS, PREFIX, LIBDIR, MANDIR, DESTDIR   as usual

.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDEXPANSION:
MAKEFLAGS += --no-builtin-rules --no-print-directory

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
PYTHON ?= python3
VARIANT ?= release
STRICT ?= 0
RUNNER ?=
# Patterns of unit tests that are not built and run.
LEAVE_OUT ?=
# Of a test of Check that does not say for itself: its four seconds can pass on a busy machine.
export CK_DEFAULT_TIMEOUT ?= 60
V ?= 0
B ?= build/$(VARIANT)

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
BINDIR ?= $(PREFIX)/bin
UNITDIR ?= $(PREFIX)/lib/systemd/system

version_part = $(shell sed -n 's/^ *COMMITLOG_VERSION_$(1) = \([0-9]*\).*/\1/p' include/commitlog.h)
VERSION := $(call version_part,MAJOR).$(call version_part,MINOR).$(call version_part,PATCH)
SOVERSION := 0
SONAME := libcommitlog.so.$(SOVERSION)

# ---- what there is: by wildcard, so that a new file needs no line here ----------------------------

LIB_SOURCES := $(filter-out lib/fault/%,$(sort $(wildcard lib/*/*.c)))
FAULT_SOURCES := $(sort $(wildcard lib/fault/*.c))
TOOL_SOURCES := $(sort $(wildcard tools/*.c tools/commitlog/*.c))
UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
# In these folders a file with a main is a test program; the others are what they share.
PLAIN_DIRS := tests/stress tests/crash tests/damage tests/model tests/fault tests/concurrency
PLAIN_FILES := $(sort $(wildcard $(addsuffix /*.c,$(PLAIN_DIRS))) $(wildcard tests/disk/*_test.c))
PLAIN_SOURCES := $(if $(PLAIN_FILES),$(shell grep -lE '^int main\b' $(PLAIN_FILES)))
SCRIPT_TESTS := $(sort $(wildcard tests/headers/*.sh tests/ffi/*.sh) tests/cli/beside.sh \
    tests/cli/bench.sh tests/cli/cli.sh tests/cli/damage.sh tests/cli/errors.sh tests/cli/expiry.sh \
    tests/cli/groups.sh tests/cli/growth.sh tests/cli/lines.sh tests/cli/pmem.sh tests/cli/read.sh \
    tests/cli/receipts.sh tests/cli/stalled.sh tests/cli/timers.sh tests/cli/tx.sh tests/cli/tx_life.sh \
    tests/cli/verify.sh tests/cli/watch.sh tests/cli/work.sh tests/golden/golden.sh)
SUPPORT_SOURCES := $(sort $(wildcard tests/support/*.c) $(filter-out $(PLAIN_SOURCES),$(PLAIN_FILES)))
EXAMPLE_TESTS := $(sort $(wildcard tests/examples/*.sh))
EXAMPLE_NAMES := $(filter-out mini-broker,$(patsubst examples/%/,%,$(sort $(dir $(wildcard examples/*/*.c)))))
# Needs libuv, so only its own target builds it.
BROKER_SOURCES := $(sort $(wildcard examples/mini-broker/*.c))
BROKER_TESTS := $(sort $(wildcard tests/broker/unit/test_*.c))
MAN_PAGES := $(sort $(wildcard man/*.[1-9]))
# Needs libfuse3 and root, so only its own target builds and runs it.
POWERCUT_FILES := $(sort $(wildcard tests/powercut/*.c))
POWERCUT_SOURCES := $(if $(POWERCUT_FILES),$(shell grep -lE '^int main\b' $(POWERCUT_FILES)))
POWERCUT_SHARED := $(filter-out $(POWERCUT_SOURCES),$(POWERCUT_FILES))
# Needs small file systems and root: likewise. What is called *_test.c there needs neither.
DISK_FILES := $(filter-out $(PLAIN_FILES),$(sort $(wildcard tests/disk/*.c)))
# Runs for as long as it is told to, so only its own target runs it.
SOAK_SOURCES := $(sort $(wildcard tests/soak/*.c))
# A file of fuzz/ that defines the function of a fuzz target is one; replay.c is their main without
# a fuzzer, seeds.c a program.
FUZZ_FILES := $(sort $(wildcard fuzz/*.c))
FUZZ_SOURCES := $(if $(FUZZ_FILES),$(shell grep -lE '^int LLVMFuzzerTestOneInput' $(FUZZ_FILES)))
FUZZ_NAMES := $(FUZZ_SOURCES:fuzz/%.c=%)
FUZZ_SUPPORT := $(filter-out %/mutate.c %/afl_mutator.c,$(sort $(wildcard fuzz/support/*.c)))
# What the mini-broker takes from strangers: nothing of it needs libuv.
FUZZ_BROKER_PARTS := $(patsubst %,examples/mini-broker/%.c,buffer command frame header_binary \
    header_json properties)
FUZZ_TOOL_PARTS := $(patsubst %,tools/commitlog/%.c,base64 control_out out record_in record_out \
    reference_body text transaction_out watch when)

# $(call say,WORD) in front of a recipe line: one short line instead of the command, unless V=1.
say = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' $(1) $@;)

object = $(patsubst %.c,$(B)/obj/%.o,$(1))

# ---- flags ------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes \
    -Wmissing-prototypes -Wold-style-definition -Wvla -Wpointer-arith -Wcast-align -Wundef \
    -Wswitch-enum -Wformat=2 -Wwrite-strings -Wcast-qual
ifeq ($(STRICT),1)
WARNINGS += -Werror
endif

MACHINE := $(shell $(CC) -dumpmachine)
HARDENING := -fstack-protector-strong
HARDENING_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack
ifneq ($(filter x86_64%,$(MACHINE)),)
HARDENING += -fcf-protection -fstack-clash-protection
endif

VARIANT_LDFLAGS :=
VARIANT_ENV :=
# A flip costs a fork, which the sanitizers' shadow memory makes slow: `check` flips more. An odd step
# meets each bit of a byte. And schedules that preempt are walked by `check` only, in a library with
# all assertions, and most of those that are drawn. Calls that fail are as many as in `check`.
FEWER_FLIPS := EVERY=61 NTH_EVERY=100 WRITE_EVERY=3 BOUND=0 DRAWS=40 FLIPS=1500
ifeq ($(VARIANT),release)
VARIANT_CFLAGS := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 $(HARDENING)
else ifeq ($(VARIANT),arm64)
VARIANT_CFLAGS := -O2 -g -DCLG_DEBUG
# qemu interprets them; `check` draws all.
VARIANT_ENV := DRAWS=40 TRIALS=5
else ifeq ($(VARIANT),debug)
VARIANT_CFLAGS := -O1 -g -DCLG_DEBUG
VARIANT_ENV := $(FEWER_FLIPS)
else ifeq ($(VARIANT),asan) # and the one for undefined behaviour: they can share a build
VARIANT_CFLAGS := -O1 -g -DCLG_DEBUG -fno-omit-frame-pointer -fno-sanitize-recover=all \
    -fsanitize=address,undefined
VARIANT_LDFLAGS := -fsanitize=address,undefined
# What was freed is kept from reuse for 16 MiB, not 256, and a thread's frames have 64 KiB: with less
# new memory to ask the kernel for, the tests take two thirds of the time.
VARIANT_ENV := $(FEWER_FLIPS) CK_FORK=no UBSAN_OPTIONS=print_stacktrace=1 \
    ASAN_OPTIONS=detect_stack_use_after_return=1:quarantine_size_mb=16:max_uar_stack_size_log=16
else ifeq ($(VARIANT),tsan)
CC := clang
VARIANT_CFLAGS := -O1 -g -DCLG_DEBUG -fno-omit-frame-pointer -fsanitize=thread
VARIANT_LDFLAGS := -fsanitize=thread
VARIANT_ENV := $(FEWER_FLIPS) CK_FORK=no TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$(CURDIR)/tests/support/tsan.supp
else ifeq ($(VARIANT),fuzz)
CC := clang
VARIANT_CFLAGS := -O1 -g -DCLG_DEBUG -fno-omit-frame-pointer -fno-sanitize-recover=all \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-coverage=trace-cmp
VARIANT_LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),afl)
CC := afl-clang-fast
VARIANT_CFLAGS := -O1 -g -DCLG_DEBUG -fno-omit-frame-pointer -fno-sanitize-recover=all \
    -fsanitize=address,undefined
VARIANT_LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),coverage)
CC := gcc
VARIANT_CFLAGS := -O0 -g -DCLG_DEBUG --coverage -fprofile-update=atomic
VARIANT_LDFLAGS := --coverage
VARIANT_ENV := $(FEWER_FLIPS)
else
$(error VARIANT must be release, debug, asan, tsan, fuzz, afl, coverage or arm64)
endif

# libpmem and the libraries of tools and tests, as far as they are there; a cross build has none.
ifeq ($(VARIANT),arm64)
PMEM_CFLAGS := -Itests/support/minicheck -I$(B)/include
PMEM_LIBS :=
CHECK_LIBS := -pthread
TOOL_LIBS :=
else
has = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo yes)
ifeq ($(call has,libpmem),yes)
PMEM_CFLAGS := -DCLG_HAVE_PMEM $(shell $(PKG_CONFIG) --cflags libpmem)
PMEM_LIBS := $(shell $(PKG_CONFIG) --libs libpmem)
PMEM_REQUIRES := libpmem
endif
CHECK_LIBS := $(shell $(PKG_CONFIG) --libs check 2>/dev/null)
ifneq ($(filter CK_FORK=no,$(VARIANT_ENV)),)
CHECK_LIBS += -Wl,--wrap=_mark_point
endif
TOOL_LIBS := $(foreach p,jansson popt,$(shell $(PKG_CONFIG) --libs $(p) 2>/dev/null))
endif

COMPILE_FLAGS = -std=c11 -D_GNU_SOURCE= -fPIC -fvisibility=hidden $(WARNINGS) $(VARIANT_CFLAGS) \
    $(PMEM_CFLAGS) -Iinclude -Ilib -Itests -Itests/support $(CFLAGS)
LINK_FLAGS = $(VARIANT_LDFLAGS) $(HARDENING_LDFLAGS) $(LDFLAGS)

# The hash loops: always optimised, and two of them for CPUs that are asked for at run time.
FILE_CFLAGS :=
$(B)/obj/lib/base/checksum_%.o $(B)/woven/lib/base/checksum_%.o: FILE_CFLAGS := -O2
ifneq ($(filter x86_64%,$(MACHINE)),)
$(B)/obj/lib/base/checksum_avx2.o $(B)/woven/lib/base/checksum_avx2.o: FILE_CFLAGS := -O2 -mavx2
$(B)/obj/lib/base/checksum_avx512.o $(B)/woven/lib/base/checksum_avx512.o: FILE_CFLAGS := -O2 -mavx512f
endif
# What the fuzzer need not watch: the machine and the disk below the library, the mutator, the hash.
# Watched, they take most of the time, and make every input look new.
UNWATCHED_CFLAGS :=
ifeq ($(VARIANT),fuzz)
$(B)/obj/lib/fault/%.o $(B)/obj/lib/base/checksum%.o $(B)/obj/fuzz/support/%.o: \
    UNWATCHED_CFLAGS := -O2 -fno-sanitize=fuzzer-no-link
# Comparisons are watched where libFuzzer changes text; numbers are changed by the mutator.
$(B)/obj/tools/%.o $(B)/obj/fuzz/jsonl.o $(B)/obj/lib/filter/%.o: UNWATCHED_CFLAGS := -fsanitize-coverage=trace-cmp
else ifeq ($(VARIANT),afl)
$(B)/obj/lib/fault/%.o $(B)/obj/lib/base/checksum%.o $(B)/obj/fuzz/support/%.o: CC := clang
endif

# ---- products ---------------------------------------------------------------------------------

STATIC := $(B)/libcommitlog.a
SHARED := $(B)/$(SONAME)
# The library again, each access to an atomic a call: tests/concurrency/hooks.h. With assertions.
WOVEN := $(B)/libcommitlog-woven.a
WOVEN_CFLAGS := -DCLG_DEBUG -include tests/concurrency/hooks.h
# What programs link. The tree's own take its objects, with the library that they are linked with.
FAULT_ARCHIVE := $(B)/libcommitlog-fault.a
FAULT = $(call object,$(FAULT_SOURCES))
SUPPORT := $(if $(SUPPORT_SOURCES),$(B)/libtestsupport.a)
TOOL := $(if $(TOOL_SOURCES),$(B)/commitlog)
UNIT_PROGRAMS := $(UNIT_SOURCES:%.c=$(B)/%)
PLAIN_PROGRAMS := $(PLAIN_SOURCES:%.c=$(B)/%)
WOVEN_PROGRAMS := $(filter $(B)/tests/concurrency/%,$(PLAIN_PROGRAMS))
FUZZ_PROGRAMS := $(FUZZ_NAMES:%=$(B)/fuzz/%)
EXAMPLE_PROGRAMS := $(EXAMPLE_NAMES:%=$(B)/examples/%)
BROKER := $(B)/mini-broker
BROKER_TEST_PROGRAMS := $(BROKER_TESTS:%.c=$(B)/%)
# What has one thread only has no races, and takes ten times as long under that sanitizer. Stores on the
# simulated machine have one, unless the test begins threads or has the library begin one.
ifeq ($(VARIANT),tsan)
SIMULATED := fault|counted|damage|each_call|group|growth|meddling|promise|(raw_)?timer|together|(raw_)?transaction
ONE_THREAD := $(shell grep -lE '"unit/($(SIMULATED))_fixture.h"' tests/unit/*.c | \
    xargs grep -LE 'pthread_create|OPT_THREAD, *[^0 ]')
PLAIN_PROGRAMS := $(filter $(B)/tests/stress/% $(B)/tests/model/% $(B)/tests/crash/%,$(PLAIN_PROGRAMS))
UNIT_PROGRAMS := $(filter-out %_faults %_model %_table %_progress \
    $(ONE_THREAD:%.c=$(B)/%),$(UNIT_PROGRAMS))
FUZZ_PROGRAMS :=
endif
UNIT_PROGRAMS := $(filter-out $(LEAVE_OUT),$(UNIT_PROGRAMS))
FAULT_DISK := $(B)/tests/powercut/fault_disk
SOAK := $(if $(SOAK_SOURCES),$(B)/tests/soak/soak)
POWERCUT_PROGRAMS := $(filter-out $(FAULT_DISK),$(POWERCUT_SOURCES:%.c=$(B)/%))
DISK_FULL := $(B)/tests/disk/disk_full
# The comparison with other engines, which only its own target needs.
PEERS_FILES := $(sort $(wildcard tests/peers/*.c))
PEERS := $(B)/tests/peers/peer
# The same with a mistake in one file of the library, which check-flush must find.
PLANT_FLUSH_IGNORED := lib/log/flush.c
PLANT_NO_REWRITE := lib/recovery/run.c
PLANT_UNWRITTEN_UNSEEN := lib/segment/segment_cut.c
POWERCUT_PLANTS := $(foreach p,FLUSH_IGNORED NO_REWRITE UNWRITTEN_UNSEEN,\
    $(addprefix $(B)/tests/powercut/plant/$(p)/,cut_writer cut_check))

# One program a question, each with all engines; only their own target builds them.
BENCH_SOURCES := $(sort $(wildcard bench/*.c))
BENCH_SHARED := $(sort $(wildcard bench/support/*.c bench/engines/*.c))
BENCH_PROGRAMS := $(BENCH_SOURCES:%.c=$(B)/%)
# matplotlib is Debian's, and so is the Python that has it.
PLOT_PYTHON ?= $(firstword $(wildcard /usr/bin/python3) $(PYTHON))
BENCH_PACKAGES := jansson popt libxxhash lmdb rocksdb sqlite3 wiredtiger libpmemlog
bench_libs = $(shell $(PKG_CONFIG) --libs $(BENCH_PACKAGES)) -lleveldb

# Whatever is called by a plain word here is a command; some are folders too.
.PHONY: FORCE $(shell sed -n 's/^\([a-z][a-z0-9-]*\):.*/\1/p' Makefile)

all: lib $(TOOL) ## the library (shared and static) and the commitlog tool
lib: $(SHARED) $(B)/libcommitlog.so $(STATIC) $(FAULT_ARCHIVE) $(B)/commitlog.pc
tests: $(UNIT_PROGRAMS) $(PLAIN_PROGRAMS) $(SOAK) $(FUZZ_PROGRAMS) $(if $(FUZZ_PROGRAMS),$(B)/fuzz/seeds)
examples: $(EXAMPLE_PROGRAMS) ## the example programs

# Rewritten only when the flags change; every object depends on it.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(COMPILE_FLAGS) | $(LINK_FLAGS)' | cmp -s - $@ || \
	    echo '$(CC) $(COMPILE_FLAGS) | $(LINK_FLAGS)' > $@

ifeq ($(VARIANT),arm64)
# The header is all we need of xxhash; the host's one fits every architecture.
$(B)/include/xxhash.h: /usr/include/xxhash.h
	@mkdir -p $(@D)
	cp $< $@
XXHASH_COPY := $(B)/include/xxhash.h
endif

$(B)/obj/%.o: %.c $(B)/flags $(XXHASH_COPY)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(COMPILE_FLAGS) $(UNWATCHED_CFLAGS) $(FILE_CFLAGS) -MMD -MP -c $< -o $@

$(B)/woven/%.o: %.c tests/concurrency/hooks.h $(B)/flags $(XXHASH_COPY)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(COMPILE_FLAGS) $(FILE_CFLAGS) $(WOVEN_CFLAGS) -MMD -MP -c $< -o $@

define archive
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^
endef

$(STATIC): $(call object,$(LIB_SOURCES))
	$(archive)
$(WOVEN): $(LIB_SOURCES:%.c=$(B)/woven/%.o)
	$(archive)
# With what it needs of the library, which neither the shared one nor this one lets others see.
$(FAULT_ARCHIVE): $(call object,$(FAULT_SOURCES)) $(STATIC)
	@rm -f $@
	$(call say,AR)$(CC) -r -nostdlib $^ -o $(@:.a=.o) && $(OBJCOPY) -w -G 'commitlog_fault_*' $(@:.a=.o) && \
	    $(AR) rcs $@ $(@:.a=.o)
$(B)/libtestsupport.a: $(call object,$(SUPPORT_SOURCES))
	$(archive)

$(SHARED): $(call object,$(LIB_SOURCES)) lib/libcommitlog.map
	$(call say,LD)$(CC) -shared $(LINK_FLAGS) -Wl,-z,defs -Wl,-soname,$(SONAME) \
	    -Wl,--version-script=lib/libcommitlog.map $(filter %.o,$^) -pthread $(PMEM_LIBS) -o $@
$(B)/libcommitlog.so: $(SHARED)
	ln -sf $(SONAME) $@

$(B)/commitlog: $(call object,$(TOOL_SOURCES)) $(STATIC)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ -pthread $(PMEM_LIBS) $(TOOL_LIBS) -o $@

$(UNIT_PROGRAMS): $(B)/%: $(B)/obj/%.o $(SUPPORT) $(FAULT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $< $(SUPPORT) $(FAULT) $(STATIC) $(PMEM_LIBS) $(CHECK_LIBS) -pthread -o $@
$(filter-out $(WOVEN_PROGRAMS),$(PLAIN_PROGRAMS)): $(B)/%: $(B)/obj/%.o $(SUPPORT) $(FAULT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $< $(SUPPORT) $(FAULT) $(STATIC) $(PMEM_LIBS) -pthread -o $@
$(WOVEN_PROGRAMS): $(B)/%: $(B)/obj/%.o $(SUPPORT) $(FAULT) $(WOVEN)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $< $(SUPPORT) $(FAULT) $(WOVEN) $(PMEM_LIBS) -pthread -o $@
$(POWERCUT_PROGRAMS): $(B)/%: $(B)/obj/%.o $(call object,$(POWERCUT_SHARED)) $(SUPPORT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) -pthread -o $@
$(DISK_FULL): $(call object,$(DISK_FILES) $(POWERCUT_SHARED)) $(SUPPORT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) -pthread -o $@
$(B)/obj/plant/%.o: $$(PLANT_$$*) $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(COMPILE_FLAGS) -DCLG_PLANT_$* -MMD -MP -c $< -o $@
# What the planted file defines is not taken from the archive.
$(POWERCUT_PLANTS): $(B)/tests/powercut/plant/%: $(B)/obj/plant/$$(*D).o \
    $(B)/obj/tests/powercut/$$(*F).o $(call object,$(POWERCUT_SHARED)) $(SUPPORT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) -pthread -o $@
$(SOAK): $(call object,$(SOAK_SOURCES)) $(SUPPORT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) -pthread -o $@
$(B)/obj/tests/powercut/fault_disk.o: FILE_CFLAGS = \
    $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags fuse3))
$(FAULT_DISK): $(B)/obj/tests/powercut/fault_disk.o
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(shell $(PKG_CONFIG) --libs fuse3) -o $@
# For engines whose C interface does not tell.
package_version = -D$(1)_VERSION='"$(shell $(PKG_CONFIG) --modversion $(2))"'
$(B)/obj/tests/peers/rocksdb.o: FILE_CFLAGS = $(call package_version,ROCKSDB,rocksdb)
$(PEERS): $(call object,$(PEERS_FILES)) $(SUPPORT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) $(shell $(PKG_CONFIG) --libs sqlite3 lmdb rocksdb) \
	    -pthread -o $@
$(call object,$(BENCH_SOURCES) $(BENCH_SHARED)): FILE_CFLAGS += -Ibench
$(B)/obj/bench/engines/rocksdb.o: FILE_CFLAGS = -Ibench $(call package_version,ROCKSDB,rocksdb)
$(B)/obj/bench/engines/pmemlog.o: FILE_CFLAGS = -Ibench $(call package_version,PMEMLOG,libpmemlog)
$(BENCH_PROGRAMS): $(B)/%: $(B)/obj/%.o $(call object,$(BENCH_SHARED)) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) $(bench_libs) -pthread -o $@
# For programs that are not ours: counts what they ask of the disk.
$(B)/bench/libsyncs.so: $(call object,bench/support/syncs.c)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) -shared $(LINK_FLAGS) $^ -o $@
# RocketMQ's store behind a harness in Java; bench/rocketmq/rocketmq starts it.
BENCH_ROCKETMQ := $(B)/bench/rocketmq/rocketmq-bench.jar
$(BENCH_ROCKETMQ): bench/rocketmq/pom.xml $(shell find bench/rocketmq/src -type f 2>/dev/null)
	@mkdir -p $(@D) && rm -rf $(@D)/lib
	$(call say,MVN)mvn -q -B -Dstyle.color=never -f $< -Dbench.build=$(abspath $(@D)) package
	@touch $@
# PLANT=NAME: $(B)/plant/NAME/tests/... are test programs with this mistake of lib/base/plant.h. Only
# what mentions it is compiled again; standing before the archives, it is taken in place of theirs.
PLANT ?= NONE
PLANTED := $(B)/plant/$(PLANT)
PLANT_OBJECTS := $(if $(filter-out NONE,$(PLANT)),$(patsubst %.c,$(PLANTED)/%.o,$(shell \
    grep -lF 'CLG_PLANTED($(PLANT))' $(LIB_SOURCES) $(SUPPORT_SOURCES))))
$(PLANT_OBJECTS): $(PLANTED)/%.o: %.c FORCE
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(COMPILE_FLAGS) -DCLG_PLANT_$(PLANT) -c $< -o $@
$(PLANTED)/tests/%: $(B)/obj/tests/%.o $(PLANT_OBJECTS) $(SUPPORT) $(FAULT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $(filter %.o,$^) $(filter %.a,$^) $(PMEM_LIBS) $(CHECK_LIBS) -pthread -o $@
# tests/concurrency is linked with the library that its scheduler sees.
PLANT_WOVEN := $(PLANT_OBJECTS:$(PLANTED)/%=$(PLANTED)/woven/%)
$(PLANT_WOVEN): $(PLANTED)/woven/%.o: %.c FORCE
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(COMPILE_FLAGS) $(WOVEN_CFLAGS) -DCLG_PLANT_$(PLANT) -c $< -o $@
$(PLANTED)/tests/concurrency/%: $(B)/obj/tests/concurrency/%.o $(PLANT_WOVEN) $(SUPPORT) $(FAULT) $(WOVEN)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) -pthread -o $@
$(PLANTED)/tests/soak/soak: $(call object,$(filter-out %/soak.c,$(SOAK_SOURCES)))
# The same targets with libFuzzer and the mutator, or with a main that replays what it is given.
ifeq ($(VARIANT),fuzz)
FUZZ_LINK := -fsanitize=fuzzer
FUZZ_MAIN = $(if $(filter %/jsonl %/filter %/remoting,$@),,$(B)/obj/fuzz/support/mutate.o)
else
FUZZ_MAIN = $(B)/obj/fuzz/replay.o
endif
FUZZ_PARTS := $(call object,$(FUZZ_SUPPORT) $(FUZZ_TOOL_PARTS) $(FUZZ_BROKER_PARTS))
$(call object,fuzz/remoting.c): FILE_CFLAGS = -Iexamples/mini-broker
$(FUZZ_PROGRAMS): $(B)/%: $(B)/obj/%.o $(FUZZ_PARTS) $(FAULT) $(STATIC) \
    $(call object,fuzz/replay.c fuzz/support/mutate.c)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $(FUZZ_LINK) $< $(FUZZ_MAIN) $(FUZZ_PARTS) $(FAULT) $(STATIC) \
	    $(PMEM_LIBS) $(TOOL_LIBS) -pthread -o $@
# For afl-fuzz, which is built without sanitizers and looks its functions up by name.
$(B)/obj/fuzz/support/afl_mutator.o: FILE_CFLAGS := -fvisibility=default
FUZZ_MUTATOR := $(B)/fuzz/afl_mutator.so
$(FUZZ_MUTATOR): $(call object,fuzz/support/afl_mutator.c fuzz/support/mutate.c \
    fuzz/support/repair.c fuzz/support/bundle.c) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) -shared $(LINK_FLAGS) -Wl,-z,defs $^ -pthread $(PMEM_LIBS) -o $@
$(B)/fuzz/seeds: $(B)/obj/fuzz/seeds.o $(FUZZ_PARTS) $(FAULT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) $(TOOL_LIBS) -pthread -o $@
$(EXAMPLE_PROGRAMS): $(B)/examples/%: $$(call object,$$(wildcard examples/$$*/*.c)) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) $(TOOL_LIBS) -pthread -o $@

$(call object,$(BROKER_SOURCES) $(BROKER_TESTS)): FILE_CFLAGS = -Iexamples/mini-broker \
    $(shell $(PKG_CONFIG) --cflags libuv jansson libmicrohttpd libssl libcrypto 2>/dev/null)
BROKER_LIBS = $(shell $(PKG_CONFIG) --libs libuv jansson libmicrohttpd libssl libcrypto)
$(BROKER): $(call object,$(BROKER_SOURCES)) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) $(BROKER_LIBS) -pthread -o $@
$(BROKER_TEST_PROGRAMS): $(B)/%: $(B)/obj/%.o $(call object,$(filter-out %/main.c,$(BROKER_SOURCES))) \
    $(SUPPORT) $(STATIC)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LINK_FLAGS) $^ $(PMEM_LIBS) $(BROKER_LIBS) $(CHECK_LIBS) -pthread -o $@

# Rewritten by each run, because PREFIX and LIBDIR may differ from those of the last one.
$(B)/commitlog.pc: commitlog.pc.in include/commitlog.h FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e 's|@VERSION@|$(VERSION)|' -e 's|@REQUIRES@|$(PMEM_REQUIRES)|' $< > $@

-include $(shell find $(B)/obj $(B)/woven -name '*.d' 2>/dev/null)

# ---- packages ---------------------------------------------------------------------------------

DEPS := gcc make pkg-config python3 libc6-dev libxxhash-dev libpmem-dev check libjansson-dev libpopt-dev strace \
    systemtap-sdt-dev
DEPS_LINT := clang clang-format clang-tidy libclang-rt-14-dev g++ python3 python3-matplotlib mandoc \
    groff-base
DEPS_AFL := afl++ clang libclang-rt-14-dev
DEPS_POWERCUT := libfuse3-dev fuse3 procps e2fsprogs xfsprogs btrfs-progs
DEPS_PEERS := libsqlite3-dev liblmdb-dev librocksdb-dev
DEPS_BENCH := $(DEPS_PEERS) libleveldb-dev libwiredtiger-dev libpmemlog-dev libjansson-dev \
    libpopt-dev python3-matplotlib xfsprogs e2fsprogs util-linux
DEPS_BENCH_COST := linux-perf
DEPS_BENCH_JAVA := openjdk-17-jdk-headless maven
DEPS_BROKER := libuv1-dev libjansson-dev libmicrohttpd-dev libssl-dev
DEPS_BROKER_CLIENTS := openjdk-17-jdk-headless maven iproute2 util-linux openssl
DEPS_BROKER_PAGE := chromium
DEPS_BROKER_SYSTEMD := systemd systemd-container passwd
DEPS_ARM64 := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user

deps: ## install what build, check and demo need (Debian; else says what is needed)
	@tools/check/deps.sh $(DEPS)
deps-lint: ## install what lint, the sanitizer builds and fuzzing need
	@tools/check/deps.sh $(DEPS_LINT)
deps-powercut: ## install what check-powercut, check-flush and check-sync need
	@tools/check/deps.sh $(DEPS_POWERCUT)
deps-peers: deps-powercut ## install what proof-peers needs
	@tools/check/deps.sh $(DEPS_PEERS)
deps-bench: ## install what bench needs
	@tools/check/deps.sh $(DEPS_BENCH)
deps-bench-java: ## install what bench-rocketmq needs
	@tools/check/deps.sh $(DEPS_BENCH_JAVA)
deps-broker-clients: ## install what the clients of check-broker need
	@tools/check/deps.sh $(DEPS_BROKER_CLIENTS)
	@command -v npm >/dev/null || tools/check/deps.sh nodejs npm
	@command -v go >/dev/null || tools/check/deps.sh golang-go
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || tools/check/deps.sh python3-pip
SECONDS_HOSTILE ?= 8
deps-broker: deps ## install what broker needs
	@tools/check/deps.sh $(DEPS_BROKER)
deps-broker-page: ## install the browser of check-broker-ops
	@tools/check/deps.sh $(DEPS_BROKER_PAGE)
deps-arm64: ## install what check-arm64 needs
	@tools/check/deps.sh $(DEPS_ARM64)

# ---- tests ------------------------------------------------------------------------------------

# They use the shared library, which only the release build has.
RUN_SCRIPTS := $(if $(filter release,$(VARIANT)),$(SCRIPT_TESTS) $(EXAMPLE_TESTS))
# What scripts run besides the command.
RUN_EXAMPLES := $(if $(filter release,$(VARIANT)), \
    $(EXAMPLE_TESTS:tests/examples/%.sh=$(B)/examples/%))

# The longest begin first: who begins last may run alone for as long as it takes.
LONGEST := %/nth_test %/races_test %/damage_test %/flip_test %/golden.sh %/model_test %/fuzz/store
longest_first = $(filter $(LONGEST),$(1)) $(filter-out $(LONGEST),$(1))

# `deps` comes first: what is asked of pkg-config above must be asked again once it is installed.
check: deps ## build and run the tests of the library and the command; one summed line at the end
	@$(MAKE) check-run
check-run: $(UNIT_PROGRAMS) $(PLAIN_PROGRAMS) $(FUZZ_PROGRAMS) $(TOOL) $(RUN_EXAMPLES) \
    $(if $(filter release,$(VARIANT)),tests lib)
	@BUILD=$(B) $(VARIANT_ENV) RUNNER='$(RUNNER)' tools/check/run-tests.sh $(B)/logs \
	    $(call longest_first,$(UNIT_PROGRAMS:%=check:%) $(PLAIN_PROGRAMS:%=plain:%) \
	        $(FUZZ_PROGRAMS:%=plain:%) $(RUN_SCRIPTS:%=plain:%))
check-debug: ## the tests with all assertions
	@$(MAKE) VARIANT=debug check-run
check-asan: ## the tests under AddressSanitizer
	@$(MAKE) VARIANT=asan check-run
check-tsan: ## the tests under ThreadSanitizer (clang)
	@$(MAKE) VARIANT=tsan check-run
check-arm64: ## the unit tests, cross-compiled and run by qemu-user; LEAVE_OUT="%_faults"
	@$(MAKE) VARIANT=arm64 CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar \
	    OBJCOPY=aarch64-linux-gnu-objcopy PLAIN_PROGRAMS= \
	    FUZZ_PROGRAMS= TOOL= RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' check-run
peers: $(PEERS)
powercut-programs: $(POWERCUT_PROGRAMS) $(FAULT_DISK) $(POWERCUT_PLANTS)
check-powercut: deps ## power cuts on a disk that loses its cache, bad sectors; root; CUTS=40 FS="ext4 xfs btrfs"
	@$(MAKE) deps-powercut powercut-programs $(TOOL)
	@BUILD=$(B) tests/powercut/powercut.sh
	@BUILD=$(B) tests/powercut/bad.sh
check-flush: deps ## requests of a disk that fail, and the store after them; root; SAMPLE=60 PART=0 PARTS=1
	@$(MAKE) deps-powercut powercut-programs
	@BUILD=$(B) tests/powercut/flush.sh
bench-programs: $(BENCH_PROGRAMS) $(B)/bench/libsyncs.so
bench-rocketmq: deps-bench-java $(B)/bench/libsyncs.so ## build the harness of RocketMQ's store (from Maven Central)
	@$(MAKE) $(BENCH_ROCKETMQ)
# What it asks: bench/questions.py.
bench: deps ## measure what is missing of bench/RESULTS.md, in parts; MINUTES=60 WHAT="append w9" ROUNDS=5
	@$(MAKE) deps-bench bench-programs bench-rocketmq
	@BUILD=$(B) $(PYTHON) bench/run.py $(WHAT); status=$$?; \
	    $(PLOT_PYTHON) bench/report.py; [ $$status = 0 ]
bench-short: deps ## each program of bench/ with each engine once, with little to do; no figures
	@$(MAKE) deps-bench
	@$(MAKE) bench-programs
	@BUILD=$(B) $(PYTHON) bench/run.py --short $(WHAT)
bench-table: ## write bench/RESULTS.md and its plots from what has been measured
	@$(PLOT_PYTHON) bench/report.py
# perf(1) follows frame pointers.
bench-cost: deps ## what an append is made of, for bench/COST.md; sees where threads are, by perf
	@$(MAKE) deps-bench
	@tools/check/deps.sh $(DEPS_BENCH_COST)
	@$(MAKE) B=build/frames CFLAGS='-fno-omit-frame-pointer -mno-omit-leaf-frame-pointer' \
	    build/frames/bench/append
	@$(PYTHON) bench/cost.py build/frames/bench/append
proof-peers: deps ## SQLite, LMDB and RocksDB beside libcommitlog on failing disks; root; SHORT=1 for a minute
	@$(MAKE) deps-peers peers powercut-programs
	@BUILD=$(B) tests/peers/peers.sh
check-sync: deps ## flushes of the kernel and of the library while a file system gives up; root; TRIALS=50
	@$(MAKE) deps-powercut powercut-programs
	@BUILD=$(B) tests/powercut/sync.sh $(TRIALS)
soak: $(SOAK) $(TOOL) ## random everything with kill -9 and an oracle; MINUTES=n, SECONDS, SEED, DIR
	@BUILD=$(B) $(SOAK)

disk-programs: $(DISK_FULL)
check-disk: deps ## full disks on small file systems; root; SHORT=1; ROWS="ext4 xfs btrfs tmpfs"
	@$(MAKE) deps-powercut disk-programs
	@BUILD=$(B) tests/disk/disk.sh $(if $(SHORT),--short)

# ---- fuzzing ----------------------------------------------------------------------------------

# Seconds of CPU time for each target, which targets, and the seed (none: one by chance).
SECONDS ?= 60
TARGETS ?= $(FUZZ_NAMES)
SEED ?=
# One input may take this long, of the clock, where others are at work too (of a million queues 15 s
# by itself); what crashes is left in build/fuzz/.
FUZZ_FLAGS ?= -timeout=60 -rss_limit_mb=3072 -malloc_limit_mb=1024
FUZZ_BUILD := build/fuzz
FUZZ_PART := SEED=$(SEED) FLAGS='$(FUZZ_FLAGS)' $(PYTHON) tools/check/fuzz_part.py $(FUZZ_BUILD)

# Covered edges only: with how often each was passed a corpus is five times as large.
FUZZ_MERGE := -set_cover_merge=1 -use_counters=0

fuzz: deps-lint ## the fuzz targets, with libFuzzer and sanitizers (clang)
	@$(MAKE) VARIANT=fuzz fuzz-build
fuzz-build: $(FUZZ_PROGRAMS)
fuzz-run: fuzz fuzz-seeds ## fuzz each of TARGETS for SECONDS=60, beginning with its corpus; SEED=1
	@for target in $(TARGETS); do $(FUZZ_PART) $$target $(SECONDS) || exit 1; done
fuzz-afl: ## the same with AFL++ (afl-clang-fast, afl-fuzz)
	@tools/check/deps.sh $(DEPS_AFL)
	@$(MAKE) VARIANT=release build/release/fuzz/afl_mutator.so
	@$(MAKE) VARIANT=afl fuzz-build
	@for target in $(TARGETS); do tools/check/fuzz-afl.sh $$target $(SECONDS) || exit 1; done
fuzz-seeds: $(B)/fuzz/seeds
	@mkdir -p $(FUZZ_BUILD)
	$(B)/fuzz/seeds $(FUZZ_BUILD)/seeds
fuzz-merge: fuzz fuzz-seeds ## take into fuzz/corpus/ what reaches code that it does not reach
	@for target in $(TARGETS); do \
	    mkdir -p fuzz/corpus/$$target $(FUZZ_BUILD)/found/$$target && \
	    $(FUZZ_BUILD)/fuzz/$$target $(FUZZ_MERGE) $(FUZZ_FLAGS) fuzz/corpus/$$target \
	        $(FUZZ_BUILD)/seeds/$$target $(FUZZ_BUILD)/found/$$target || exit 1; done

# The tests that recover stores.
COVERAGE_TESTS = $(UNIT_PROGRAMS) \
    $(filter $(B)/tests/damage/% $(B)/tests/crash/% $(B)/tests/fault/%,$(PLAIN_PROGRAMS))
coverage: ## lines of decode and recovery code that corpora and tests reach; V=1 lists the others
	@$(MAKE) VARIANT=coverage coverage-run
coverage-run: tests
	@V=$(V) $(VARIANT_ENV) $(PYTHON) tools/check/coverage.py $(B) $(FUZZ_PROGRAMS) -- $(COVERAGE_TESTS)

# The rows of tests/PROOF.md: tools/check/proof_rows.py.
proof: deps ## all rows of tests/PROOF.md that are missing, in parts; ROWS="nth" MINUTES=30 JOBS=2
	@MAKE='$(MAKE)' $(PYTHON) tools/check/proof.py $(ROWS)
proof-short: deps ## a short run of each row, some minutes; JOBS=2
	@MAKE='$(MAKE)' $(PYTHON) tools/check/proof.py --short $(ROWS)
proof-table: ## write tests/PROOF.md from what has been run
	@$(PYTHON) tools/check/proof.py --table
plants: deps ## each mistake planted in the library must be found; NAMES="NO_ZERO" or DRAW=4 SEED=1
	@MAKE='$(MAKE)' B='$(B)' tools/check/plants.sh $(NAMES)

broker: deps-broker ## build examples/mini-broker, a broker for clients of RocketMQ
	@$(MAKE) $(BROKER)
# CLIENTS: "java-5.3,go" say. What is not Debian's is not installed over what is there. Where no
# FUSE is to be had, the power cuts say that they were skipped.
check-broker: check-broker-unit check-broker-ops $(if $(SHORT),,check-broker-systemd) check-broker-clients ## unmodified clients against the mini-broker; SHORT=1 for some minutes; RESULTS=tests/broker/RESULTS.md
check-broker-clients: broker ## the clients alone
	@$(MAKE) deps-broker-clients
	@$(MAKE) deps-powercut $(FAULT_DISK) || true
	@$(PYTHON) tests/broker/run.py --binary $(BROKER) $(if $(SHORT),--short --jobs 16) \
	    $(if $(CLIENTS),--clients $(CLIENTS)) $(if $(RESULTS),--results $(RESULTS))
check-broker-unit: broker ## the unit tests of the mini-broker, and what hostile clients send
	@$(MAKE) $(BROKER_TEST_PROGRAMS)
	@$(VARIANT_ENV) tools/check/run-tests.sh $(B)/logs $(BROKER_TEST_PROGRAMS:%=check:%)
	@$(PYTHON) tests/broker/unit/hostile.py $(BROKER) $(SECONDS_HOSTILE)
# Where there is no browser to be had, the test of the status page says that it was skipped. The
# longest ones first; they wait most of the time, so that more of them run than there are processors.
check-broker-ops: broker ## configuration, signals, metrics, status page, state and name servers of the mini-broker
	@$(if $(ALLOW_SKIP),,$(MAKE) deps-broker-page || true)
	@BUILD=$(B) $(VARIANT_ENV) JOBS=$${JOBS:-$$(($$(nproc) * 2))} \
	    tools/check/run-tests.sh $(B)/logs/ops \
	    plain:tests/broker/groups_test.py \
	    plain:tests/broker/bounds_test.py plain:tests/broker/keep_test.py \
	    plain:tests/broker/turns_test.py plain:tests/broker/http_test.py \
	    plain:tests/broker/promises_test.py plain:tests/broker/join_test.py \
	    plain:tests/broker/config_test.py plain:tests/broker/answers_test.py \
	    plain:tests/broker/consumers_test.py \
	    plain:tests/broker/accounts_test.py \
	    plain:tests/broker/counts_test.py
check-broker-systemd: broker ## the service as it is installed, under a systemd in a container; root
	@tools/check/deps.sh $(DEPS_BROKER_SYSTEMD)
	@BUILD=$(B) tools/check/run-tests.sh $(B)/logs/systemd plain:tests/broker/systemd_test.py
install-broker: broker ## install the mini-broker and its systemd unit
	install -d $(call below,$(BINDIR)) $(call below,$(UNITDIR))
	install -m 755 $(BROKER) $(call below,$(BINDIR)/commitlog-mini-broker)
	sed 's|/usr/local/bin|$(BINDIR)|' examples/mini-broker/commitlog-mini-broker.service \
	    >$(call below,$(UNITDIR)/commitlog-mini-broker.service)
	chmod 644 $(call below,$(UNITDIR)/commitlog-mini-broker.service)
# Not for CI: hours, on a machine that does nothing else.
bench-broker: broker ## beside RocketMQ's own broker, what is missing of bench/BROKER.md; MINUTES=60 WHAT="send start"
	@$(MAKE) deps-broker-clients deps-bench
	@BINARY=$(abspath $(BROKER)) $(PLOT_PYTHON) bench/broker/run.py $(WHAT)
demo-broker: broker ## clients of RocketMQ against the mini-broker, kill -9 in the middle, a table
	@BUILD=$(abspath $(B)) examples/mini-broker/demo.sh

demo: deps ## build and run examples/demo/demo.sh
	@$(MAKE) all examples
	@BUILD=$(abspath $(B)) PATH="$(abspath $(B)):$$PATH" examples/demo/demo.sh

# ---- quality ----------------------------------------------------------------------------------

# Where what gcc makes of it goes. With STRICT=1 for all, build/release is the same, and made once.
LINT_GCC ?= build/lint-gcc
LINT_SCRIPTS := 'tools/gen-ffi.sh --check' tools/check/man-pages.sh tools/check/readme-example.sh \
    'tools/check/options-page $(LINT_GCC)' 'tools/check/stats-page $(LINT_GCC)' \
    'tools/check/probes.sh $(LINT_GCC)' 'tools/check/man-examples.sh $(LINT_GCC)'
FORMAT_FILES = $(sort $(shell find lib tests tools examples fuzz bench -name '*.[ch]' 2>/dev/null))

lint: lint-format lint-build lint-tidy ## format, warnings as errors, clang-tidy, layers, sizes, symbols
	$(PYTHON) tools/check/layers.py
	$(PYTHON) tools/check/sizes.py
	$(PLOT_PYTHON) bench/report_test.py
	$(PLOT_PYTHON) bench/broker_test.py
	$(PYTHON) tools/check/symbols.py --library $(LINT_GCC)/$(SONAME)
	@for script in $(LINT_SCRIPTS); do echo "$$script"; $$script || exit 1; done
lint-format:
	clang-format --dry-run -Werror $(FORMAT_FILES)
lint-build:
	@$(MAKE) B=$(LINT_GCC) CC=gcc STRICT=1 all tests examples disk-programs
	@$(MAKE) B=build/lint-clang CC=clang STRICT=1 \
	    CFLAGS='$(CFLAGS) -O0 -g0 -DCLG_NO_PROBES -DCLG_NO_MEASURE' all tests examples disk-programs
# How far the analyzer follows the paths of one function, in nodes; empty: as far as it does itself,
# which takes three times as long as 60000.
LINT_NODES ?=
LINT_TIDY := $(LIB_SOURCES:%=lint-tidy/%)
.PHONY: $(LINT_TIDY)
lint-tidy: $(LINT_TIDY)
$(LINT_TIDY): lint-tidy/%:
	@clang-tidy --quiet $* -- -std=c11 -D_GNU_SOURCE -DCLG_DEBUG -Iinclude -Ilib \
	    $(if $(findstring avx2,$*),-mavx2) $(if $(findstring avx512,$*),-mavx512f) \
	    $(if $(LINT_NODES),-Xclang -analyzer-config -Xclang max-nodes=$(LINT_NODES)) 2>/dev/null

format: ## rewrite the sources as .clang-format says
	clang-format -i $(FORMAT_FILES)
map: ## rewrite lib/libcommitlog.map from the functions of the public header
	$(PYTHON) tools/check/symbols.py --write-map

# ---- install ----------------------------------------------------------------------------------

# A place below DESTDIR, as one word to the shell: it may have spaces.
below = '$(DESTDIR)$(1)'
man_folder = $(MANDIR)/man$(subst .,,$(suffix $(1)))

install: all $(B)/commitlog.pc ## install to DESTDIR and PREFIX, an absolute path
	@for folder in '$(LIBDIR)' '$(INCLUDEDIR)' '$(BINDIR)' '$(MANDIR)'; do case "$$folder" in /*) ;; \
	    *) echo "install: $$folder: PREFIX must be absolute, commitlog.pc is read anywhere" >&2; \
	       exit 1 ;; esac; done
	install -d $(call below,$(LIBDIR)/pkgconfig) $(call below,$(INCLUDEDIR)) $(call below,$(BINDIR))
	install -m 644 include/*.h $(call below,$(INCLUDEDIR)/)
	install -m 644 $(STATIC) $(FAULT_ARCHIVE) $(call below,$(LIBDIR)/)
	install -m 755 $(SHARED) $(call below,$(LIBDIR)/)
	ln -sf $(SONAME) $(call below,$(LIBDIR)/libcommitlog.so)
	install -m 644 $(B)/commitlog.pc $(call below,$(LIBDIR)/pkgconfig/)
	$(if $(TOOL),install -m 755 $(TOOL) $(call below,$(BINDIR)/))
	@$(foreach page,$(MAN_PAGES),install -d $(call below,$(call man_folder,$(page))) && \
	    install -m 644 $(page) $(call below,$(call man_folder,$(page))/) || exit 1;)
	tools/man-links.sh $(call below,$(MANDIR)/man3)

uninstall: ## remove what install has put there
	rm -f $(foreach name,$(notdir $(wildcard include/*.h)),$(call below,$(INCLUDEDIR)/$(name)))
	rm -f $(foreach name,$(notdir $(STATIC) $(FAULT_ARCHIVE) $(SHARED)) libcommitlog.so \
	    pkgconfig/commitlog.pc,$(call below,$(LIBDIR)/$(name)))
	rm -f $(call below,$(BINDIR)/commitlog)
	tools/man-links.sh --remove $(call below,$(MANDIR)/man3)
	@$(foreach page,$(MAN_PAGES),rm -f $(call below,$(call man_folder,$(page))/$(notdir $(page))) || exit 1;)

clean: ## remove everything built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | \
	    while IFS='|' read -r name text; do printf '  %-20s %s\n' "$$name" "$$text"; done
