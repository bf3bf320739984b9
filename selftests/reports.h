/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a group was told, held against what has changed from one census to the
 * next.
 *
 * Time is counted in rounds, each of which ends with a census. A change that a
 * census finds has to be reported in its round or later: an operation has its
 * POST after it has done what it does, and a mapping has it at its end.
 */

#ifndef __REPORTS_H
#define __REPORTS_H

#include "census.h"

static const struct {
	__u64 event;
	const char *name;
} changes[] = {
	{ FAN_MODIFY, "MODIFY" },
	{ FAN_ATTRIB, "ATTRIB" },
	{ FAN_CREATE, "CREATE" },
	{ FAN_MOVED_FROM, "MOVED_FROM" },
	{ FAN_MOVED_TO, "MOVED_TO" },
	{ FAN_DELETE, "DELETE" },
};

#define NR_CHANGES	ARRAY_SIZE(changes)
#define ENTRY_CHANGES	(FAN_CREATE | FAN_DELETE | MOVED)
#define ALL_CHANGES	(FAN_MODIFY | FAN_ATTRIB | ENTRY_CHANGES)

/* When something was last reported. */
struct report {
	__u64 key;
	unsigned int round[NR_CHANGES];
};

/* Any of these events for this key. */
struct fit {
	__u64 key;
	__u64 events;
};

#define MAX_FITS	3

#define FITS(...)	((const struct fit[MAX_FITS]) { __VA_ARGS__ })

/* A change that no report fits, yet. */
struct missing {
	struct missing *next;
	unsigned int round;
	struct fit fits[MAX_FITS];	/* one of these is enough */
	const char *what;
	char *path;
};

struct reports {
	void *tree;		/* of tsearch(3) */
	unsigned int round;	/* from 1 */
	long events;
	long changes;		/* found */
	struct missing *missing;
	struct census *was, *is;	/* of the last round and of this one */
};

/* ------------------------------- reports ------------------------------- */

static inline void report(struct __test_metadata *const _metadata,
			  struct reports *r, __u64 key, __u64 events)
{
	struct report *report = census_find(&r->tree, key);

	if (!report) {
		report = calloc(1, sizeof(*report));
		ASSERT_NE(NULL, report);
		report->key = key;
		ASSERT_NE(NULL, tsearch(report, &r->tree, by_key));
	}
	for (size_t i = 0; i < NR_CHANGES; i++)
		if (events & changes[i].event)
			report->round[i] = r->round;
}

static inline void report_entry(struct __test_metadata *const _metadata,
				struct reports *r, const struct fid *dir,
				const char *name, __u64 events)
{
	report(_metadata, r, key_of(OF_DIRECTORY, dir, ""), events);
	report(_metadata, r, key_of(OF_ENTRY, dir, name), events);
}

/*
 * A failed operation reports nothing, but one that was to change contents may
 * have done a part of that.
 */
static inline void reports_add(struct __test_metadata *const _metadata,
			       struct reports *r, const struct event *ev)
{
	const __u64 events = plain_event(ev);

	ASSERT_EQ(0ULL, events & ~ALL_CHANGES)
		TH_LOG("event %#llx", (unsigned long long)ev->mask);
	r->events++;
	if (ev->result < 0 && events != FAN_MODIFY)
		return;
	if (ev->records & RECORD_FID)
		report(_metadata, r, key_of(OF_OBJECT, &ev->fid, ""), events);
	if (events & MOVED) {
		report_entry(_metadata, r, &ev->dir, ev->name,
			     events & FAN_MOVED_FROM);
		report_entry(_metadata, r, &ev->new_dir, ev->new_name,
			     events & FAN_MOVED_TO);
	} else if (ev->records & RECORD_NAME) {
		report_entry(_metadata, r, &ev->dir, ev->name, events);
	}
}

static inline bool is_reported(const struct reports *r, const struct missing *m)
{
	for (size_t i = 0; i < MAX_FITS; i++) {
		const struct report *report = census_find(&r->tree,
							  m->fits[i].key);

		for (size_t j = 0; report && j < NR_CHANGES; j++)
			if ((m->fits[i].events & changes[j].event) &&
			    report->round[j] >= m->round)
				return true;
	}
	return false;
}

/* ------------------------------- changes ------------------------------- */

/* A change is missing until a report of it is found, of @round or later. */
static inline void found_since(struct reports *r, unsigned int round,
			       const struct census_entry *at, const char *what,
			       const struct fit fits[MAX_FITS])
{
	struct missing *m = calloc(1, sizeof(*m));

	/* Out of memory is not to be taken for nothing to report. */
	if (!m)
		abort();
	m->next = r->missing;
	m->round = round;
	memcpy(m->fits, fits, sizeof(m->fits));
	m->what = what;
	m->path = strdup(at->path);
	r->missing = m;
	r->changes++;
}

static inline void found(struct reports *r, const struct census_entry *at,
			 const char *what, const struct fit fits[MAX_FITS])
{
	found_since(r, r->round, at, what, fits);
}

/*
 * Nothing was found of a new inode before it had a name, but it can have been
 * written to: it is to be reported at any time.
 */
static inline void compare_new(struct reports *r, const struct census_inode *is)
{
	found_since(r, 1, is->entry, "a new inode",
		    FITS({ is->key, FAN_CREATE }));
	if (is->size)
		found_since(r, 1, is->entry, "contents of a new inode",
			    FITS({ is->key, FAN_MODIFY }));
	if (is->xattrs)
		found_since(r, 1, is->entry, "xattrs of a new inode",
			    FITS({ is->key, FAN_ATTRIB }));
}

/* Who writes to a file takes these away. */
static inline __u64 mode_events(__u32 was, __u32 is)
{
	if ((was ^ is) == (was & ~is & (S_ISUID | S_ISGID)))
		return FAN_ATTRIB | FAN_MODIFY;
	return FAN_ATTRIB;
}

static inline void compare_metadata(struct reports *r,
				    const struct census_inode *was,
				    const struct census_inode *is)
{
	const struct fit *attrib = FITS({ is->key, FAN_ATTRIB });

	if (was->mode != is->mode)
		found(r, is->entry, "mode",
		      FITS({ is->key, mode_events(was->mode, is->mode) }));
	if (was->uid != is->uid || was->gid != is->gid)
		found(r, is->entry, "owner", attrib);
	if (was->xattrs != is->xattrs)
		found(r, is->entry, "xattrs", attrib);
	if (was->attributes != is->attributes)
		found(r, is->entry, "attributes", attrib);
}

static inline bool same_time(const struct statx_timestamp *a,
			     const struct statx_timestamp *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/*
 * A directory is modified as its entries are. One of them is "..", which
 * changes if it is moved, or exchanged with what is reported as moved; for XFS
 * that is a modification, too.
 */
static inline void compare_mtime(struct reports *r,
				 const struct census_inode *was,
				 const struct census_inode *is)
{
	if (same_time(&was->mtime, &is->mtime))
		return;
	if (S_ISDIR(is->mode))
		found(r, is->entry, "mtime",
		      FITS({ is->key, FAN_ATTRIB | MOVED },
			   { is->directory, ENTRY_CHANGES },
			   { is->entry->key, MOVED }));
	else
		found(r, is->entry, "mtime",
		      FITS({ is->key, FAN_ATTRIB | FAN_MODIFY }));
}

static inline void compare_inode(const void *node, VISIT visit, void *arg)
{
	const struct census_inode *is = *(struct census_inode *const *)node;
	const struct census_inode *was;
	struct reports *r = arg;

	if (visit != postorder && visit != leaf)
		return;
	was = census_find(&r->was->inodes, is->key);
	if (!was) {
		compare_new(r, is);
		return;
	}
	if (was->size != is->size || was->content != is->content)
		found(r, is->entry, "contents",
		      FITS({ is->key, FAN_MODIFY }));
	compare_metadata(r, was, is);
	compare_mtime(r, was, is);
}

/*
 * Removed, or the victim of a rename to the name that it had, or that it got by
 * being moved itself.
 */
static inline void compare_gone_inode(const void *node, VISIT visit, void *arg)
{
	const struct census_inode *was = *(struct census_inode *const *)node;
	struct reports *r = arg;

	if (visit != postorder && visit != leaf)
		return;
	if (!census_find(&r->is->inodes, was->key))
		found(r, was->entry, "a removed inode",
		      FITS({ was->key, FAN_DELETE | MOVED },
			   { was->entry->key, FAN_MOVED_TO }));
}

/* An exchange gives its old name to another inode, too. */
static inline void compare_entry(const void *node, VISIT visit, void *arg)
{
	const struct census_entry *is = *(struct census_entry *const *)node;
	const struct census_entry *was;
	struct reports *r = arg;

	if (visit != postorder && visit != leaf)
		return;
	was = census_find(&r->was->entries, is->key);
	if (!was)
		found(r, is, "a new name",
		      FITS({ is->key, FAN_CREATE | FAN_MOVED_TO }));
	else if (was->child != is->child)
		found(r, is, "a name for another inode",
		      FITS({ is->key, FAN_CREATE | MOVED }));
}

static inline void compare_gone_entry(const void *node, VISIT visit, void *arg)
{
	const struct census_entry *was = *(struct census_entry *const *)node;
	struct reports *r = arg;

	if (visit != postorder && visit != leaf)
		return;
	if (!census_find(&r->is->entries, was->key))
		found(r, was, "a removed name",
		      FITS({ was->key, FAN_DELETE | FAN_MOVED_FROM }));
}

/* -------------------------------- rounds ------------------------------- */

static inline void missing_free(struct missing *m)
{
	free(m->path);
	free(m);
}

/* Takes out what is reported by now. */
static inline void reports_settle(struct reports *r)
{
	struct missing **link = &r->missing, *m;

	while ((m = *link)) {
		if (is_reported(r, m)) {
			*link = m->next;
			missing_free(m);
		} else {
			link = &m->next;
		}
	}
}

/* Begins with the state in which the last round ended. */
static inline void reports_begin(struct __test_metadata *const _metadata,
				 struct reports *r)
{
	r->round = 1;
	r->was = census_take(_metadata);
}

static inline void reports_end_round(struct __test_metadata *const _metadata,
				     struct reports *r)
{
	r->is = census_take(_metadata);
	twalk_r(r->is->inodes, compare_inode, r);
	twalk_r(r->was->inodes, compare_gone_inode, r);
	twalk_r(r->is->entries, compare_entry, r);
	twalk_r(r->was->entries, compare_gone_entry, r);
	census_free(r->was);
	r->was = r->is;
	r->is = NULL;
	reports_settle(r);
	r->round++;
}

static inline __u64 missing_events(const struct missing *m)
{
	__u64 events = 0;

	for (size_t i = 0; i < MAX_FITS; i++)
		events |= m->fits[i].events;
	return events;
}

/* The number of changes that are missing, not because @events were left out. */
static inline long reports_missing(const struct reports *r, __u64 events)
{
	long n = 0;

	for (const struct missing *m = r->missing; m; m = m->next)
		n += !(missing_events(m) & events);
	return n;
}

#define MISSING_SHOWN	5

static inline void missing_show(struct __test_metadata *const _metadata,
				const struct missing *m)
{
	const __u64 events = missing_events(m);
	char names[64] = "";

	for (size_t i = 0; i < NR_CHANGES; i++)
		if (events & changes[i].event) {
			strcat(names, " ");
			strcat(names, changes[i].name);
		}
	TH_LOG("not reported: %s of %s, round %u, by none of%s", m->what,
	       m->path, m->round, names);
}

static inline void reports_show(struct __test_metadata *const _metadata,
				const struct reports *r, __u64 events)
{
	const struct missing *m = r->missing;

	for (int n = 0; m && n < MISSING_SHOWN; m = m->next)
		if (!(missing_events(m) & events)) {
			missing_show(_metadata, m);
			n++;
		}
}

static inline void reports_forget_missing(struct reports *r)
{
	struct missing *m;

	while ((m = r->missing)) {
		r->missing = m->next;
		missing_free(m);
	}
}

static inline void reports_free(struct reports *r)
{
	reports_forget_missing(r);
	tdestroy(r->tree, free);
	census_free(r->was);
	census_free(r->is);
}

#endif /* __REPORTS_H */
