# SPDX-License-Identifier: GPL-2.0
#
# Scaling, and real work: what bench/work.sh times with, and what it works on.
# Included by the Makefile here, which sets OUT and makes C programs.

PROGRAMS += scale
