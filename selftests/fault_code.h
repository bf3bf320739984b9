/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where code of the kernel is, for what is to fail, or not, if it is called from
 * there.
 */

#ifndef __FAULT_CODE_H
#define __FAULT_CODE_H

#include "common.h"

/* Functions of the kernel that come one after the other, by their addresses. */
struct code {
	unsigned long start, end;
};

static struct code all_code = { .end = ULONG_MAX };
static struct code notify_code;		/* fs/notify, or no more than known */
static struct code modules_code;	/* comes after the kernel's own */
static struct code kmemleak_code;	/* by which the allocator calls it */

/* The next function of the kernel's own, with the address that it is at, or 0. */
static inline unsigned long next_symbol(FILE *symbols, char *name, size_t size)
{
	static char line[1024];
	unsigned long at;
	char type;
	int pos;

	while (fgets(line, sizeof(line), symbols)) {
		/* After its name comes the module that it is in. */
		if (sscanf(line, "%lx %c %n", &at, &type, &pos) != 2 ||
		    (type != 't' && type != 'T') || strchr(line, '['))
			continue;
		snprintf(name, size, "%.*s", (int)strcspn(line + pos, "\n"),
			 line + pos);
		return at;
	}
	return 0;
}

/* Where the function ends that is at @at: they need not be in order. */
static inline unsigned long code_end(const unsigned long *all, size_t n,
				     unsigned long at)
{
	unsigned long end = ULONG_MAX;

	for (size_t i = 0; i < n; i++)
		if (all[i] > at && all[i] < end)
			end = all[i];
	return end;
}

/* Code of one directory that is not set up by then is within so many bytes. */
#define NEAR	(1UL << 20)

/* Once for all tests of a program, as it takes its time. */
__attribute__((constructor))
static void find_code(void)
{
	static unsigned long all[1 << 18], ours[1 << 10];
	unsigned long at, last = 0, fanotify = 0;
	size_t n = 0, nr_ours = 0;
	FILE *symbols;
	char name[64];

	symbols = access("/proc/self/fail-nth", F_OK) ? NULL :
		  fopen("/proc/kallsyms", "re");
	if (!symbols)
		return;
	while (n < ARRAY_SIZE(all) &&
	       (at = next_symbol(symbols, name, sizeof(name)))) {
		all[n++] = at;
		if (at > last)
			last = at;
		if (!strcmp(name, "kmemleak_alloc"))
			kmemleak_code.start = at;
		/* The first that is linked there, and the last. */
		if (!strcmp(name, "__fsnotify_inode_delete"))
			notify_code.start = at;
		if (strstr(name, "fanotify_") && nr_ours < ARRAY_SIZE(ours))
			ours[nr_ours++] = at;
	}
	fclose(symbols);
	for (size_t i = 0; i < nr_ours; i++)
		if (ours[i] > fanotify && ours[i] - notify_code.start < NEAR)
			fanotify = ours[i];
	modules_code = (struct code) { last + 1, ULONG_MAX };
	if (kmemleak_code.start)
		kmemleak_code.end = code_end(all, n, kmemleak_code.start);
	if (fanotify)
		notify_code.end = code_end(all, n, fanotify);
	else
		notify_code = all_code;
}

#endif /* __FAULT_CODE_H */
