// SPDX-License-Identifier: GPL-2.0
/*
 * The trace events of the class: sys/trace.rs raises them.
 */
#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/vfs_filter.h>
