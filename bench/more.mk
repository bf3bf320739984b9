# SPDX-License-Identifier: GPL-2.0
#
# Scaling, and real work: what bench/work.sh times with, and what it works on.
# Included by the Makefile here, which sets OUT and makes C programs.

PROGRAMS += scale timed
WORK_DATA := $(OUT)/work.tar $(OUT)/work-repo.tar $(OUT)/work-src.tar

# It runs where there is no library to load while the clock runs.
$(OUT)/timed: LDFLAGS += -static

all: $(WORK_DATA)

$(WORK_DATA) &: work-data
	@mkdir -p $(OUT)
	./work-data $(OUT)

clean: clean-work-data

clean-work-data:
	rm -f $(WORK_DATA)

.PHONY: clean-work-data
