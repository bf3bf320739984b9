// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_MARK_FLUSH | FAN_MARK_IGNORE, in groups of every class: of all marks of
 * a type, what is to be ignored is dropped at once, and nothing else is.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"

#define FLUSH_IGNORE	(FAN_MARK_FLUSH | FAN_MARK_IGNORE)
#define SEEN		(FAN_OPEN | FAN_ACCESS)

/* Ways to say what is ignored. */
static const struct ignore {
	const char *name;
	unsigned int flags;
	size_t types;	/* so many of the types can have it */
	bool new;	/* FAN_CLASS_VFS_FILTER can have it */
} ignores[] = {
	{ "IGNORED_MASK", FAN_MARK_IGNORED_MASK, TYPES, false },
	{ "IGNORED_MASK | SURV_MODIFY",
	  FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, TYPES, false },
	{ "IGNORE", FAN_MARK_IGNORE, 1, false },
	{ "IGNORE_SURV", FAN_MARK_IGNORE_SURV, TYPES, true },
};

FIXTURE(flush)
{
	struct group *g;
};

FIXTURE_VARIANT(flush)
{
	unsigned int class;
};

FIXTURE_VARIANT_ADD(flush, notif)
{
	.class = FAN_CLASS_NOTIF,
};

FIXTURE_VARIANT_ADD(flush, notif_fid)
{
	.class = FAN_CLASS_NOTIF | FAN_REPORT_FID,
};

FIXTURE_VARIANT_ADD(flush, content)
{
	.class = FAN_CLASS_CONTENT,
};

FIXTURE_VARIANT_ADD(flush, pre_content)
{
	.class = FAN_CLASS_PRE_CONTENT,
};

FIXTURE_VARIANT_ADD(flush, vfs_filter)
{
	.class = FAN_CLASS_VFS_FILTER,
};

FIXTURE_SETUP(flush)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "content");
	self->g = class_open(_metadata, variant->class);
}

FIXTURE_TEARDOWN(flush)
{
	test_end(_metadata);
}

/* In how many of the types, from the first on, has a class this? */
static size_t types_with(unsigned int class, const struct ignore *ignore)
{
	return class == FAN_CLASS_VFS_FILTER && !ignore->new ? 0 :
							       ignore->types;
}

/* An event as it is in a mark of this class. */
static __u64 masked(unsigned int class, __u64 x)
{
	return class == FAN_CLASS_VFS_FILTER ? FAN_BOTH(x) : x;
}

/* Of all that is about to be done by groups of another class. */
static struct group *reopen(struct __test_metadata *const _metadata,
			    struct group *g, unsigned int class)
{
	group_close(g);
	return class_open(_metadata, class);
}

static long open_and_read(void *arg)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);
	char c;
	long n;

	(void)arg;
	if (fd < 0)
		return -1;
	n = read(fd, &c, 1);
	close(fd);
	return n;
}

static __u64 seen_by_listener(struct __test_metadata *const _metadata,
			      struct group *g)
{
	struct job *job = job_start(_metadata, open_and_read, NULL);
	__u64 pre = 0, post = 0;

	while (!job_ended(job, 0) || g->pos < g->len || group_readable(g, 0)) {
		struct event ev;

		if (g->pos == g->len && !group_readable(g, 10))
			continue;
		ev = event_next(_metadata, g);
		if (ev.mask & ALL_PRE) {
			pre |= plain_event(&ev);
			allow(_metadata, g, &ev);
		} else {
			post |= plain_event(&ev);
			EXPECT_EQ(0U, ev.flags);
		}
	}
	EXPECT_EQ(1, job_join(_metadata, job));
	EXPECT_EQ(pre, post);
	return pre;
}

static __u64 seen_by_watcher(struct __test_metadata *const _metadata,
			     struct group *g)
{
	struct fanotify_event_metadata *ev;
	__u64 seen = 0;
	ssize_t n;

	ASSERT_EQ(1, open_and_read(NULL));
	while ((n = read(g->fd, g->buf, sizeof(g->buf))) > 0) {
		ev = (struct fanotify_event_metadata *)g->buf;
		for (; FAN_EVENT_OK(ev, n); ev = FAN_EVENT_NEXT(ev, n)) {
			seen |= ev->mask;
			if (ev->fd >= 0)
				close(ev->fd);
		}
	}
	EXPECT_EQ(-1, n);
	EXPECT_EQ(EAGAIN, errno);
	return seen;
}

/* Which of SEEN does a group see of a file that is opened and read? */
static __u64 seen(struct __test_metadata *const _metadata, struct group *g,
		  unsigned int class)
{
	return SEEN & (class == FAN_CLASS_VFS_FILTER ?
		       seen_by_listener(_metadata, g) :
		       seen_by_watcher(_metadata, g));
}

/*
 * Marks of all types ask for both events, and those that can have it ignore
 * one of them. It is seen again when the last of these was flushed.
 */
static void flush_in_turn(struct __test_metadata *const _metadata,
			  struct group *g, unsigned int class,
			  const struct ignore *ignore, size_t first)
{
	const __u64 access = masked(class, FAN_ACCESS);
	size_t left = types_with(class, ignore);
	bool ignored[TYPES] = {};

	for (size_t t = 0; t < TYPES; t++) {
		mark(_metadata, g, FAN_MARK_ADD | types[t].flag, SEEN, "file");
		ignored[t] = t < left;
		if (ignored[t])
			mark(_metadata, g, FAN_MARK_ADD | ignore->flags |
			     types[t].flag, FAN_ACCESS, "file");
	}
	EXPECT_EQ(FAN_OPEN, seen(_metadata, g, class));

	for (size_t i = 0; i < TYPES; i++) {
		const size_t flushed = (first + i) % TYPES;

		mark(_metadata, g, FLUSH_IGNORE | types[flushed].flag, 0, ".");
		left -= ignored[flushed];
		ignored[flushed] = false;
		for (size_t t = 0; t < TYPES; t++)
			expect_mark(_metadata, g, types[t].kind,
				    masked(class, SEEN),
				    ignored[t] ? access : 0);
		EXPECT_EQ(left ? FAN_OPEN : SEEN, seen(_metadata, g, class));
	}
}

TEST_F(flush, type_by_type)
{
	FOR_EACH_ROW(i, ignores) {
		if (!types_with(variant->class, &ignores[i]))
			continue;
		for (size_t first = 0; first < TYPES; first++) {
			snprintf(row, sizeof(row), "%s, type %zu first",
				 ignores[i].name, first);
			flush_in_turn(_metadata, self->g, variant->class,
				      &ignores[i], first);
			self->g = reopen(_metadata, self->g, variant->class);
		}
	}
}

/* Whatever is left of a mark that did nothing but ignore, none can see it. */
static void only_ignored(struct __test_metadata *const _metadata,
			 struct group *g, unsigned int class,
			 const struct ignore *ignore, size_t t)
{
	const unsigned int flags = ignore->flags | types[t].flag;
	const char *const kind = types[t].kind;

	mark(_metadata, g, FAN_MARK_ADD | flags, FAN_ACCESS, "file");
	expect_mark(_metadata, g, kind, 0, masked(class, FAN_ACCESS));
	mark(_metadata, g, FLUSH_IGNORE | types[t].flag, 0, ".");
	expect_mark(_metadata, g, kind, 0, 0);
	expect_refused(_metadata, g, FAN_MARK_REMOVE | flags, FAN_ACCESS,
		       "file", ENOENT);
	expect_refused(_metadata, g, FAN_MARK_REMOVE | flags, FAN_ACCESS,
		       "file", ENOENT);

	mark(_metadata, g, FAN_MARK_ADD | flags, FAN_ACCESS, "file");
	mark(_metadata, g, FLUSH_IGNORE | types[t].flag, 0, ".");
	expect_refused(_metadata, g, FAN_MARK_REMOVE | types[t].flag,
		       FAN_ACCESS, "file", ENOENT);
	expect_mark(_metadata, g, kind, 0, 0);

	/* Nothing of it comes back with the next one. */
	mark(_metadata, g, FAN_MARK_ADD | flags, FAN_ACCESS, "file");
	mark(_metadata, g, FLUSH_IGNORE | types[t].flag, 0, ".");
	mark(_metadata, g, FAN_MARK_ADD | types[(t + 1) % TYPES].flag, SEEN,
	     "file");
	EXPECT_EQ(SEEN, seen(_metadata, g, class));
	mark(_metadata, g, FAN_MARK_ADD | flags, FAN_OPEN, "file");
	expect_mark(_metadata, g, kind, 0, masked(class, FAN_OPEN));
	EXPECT_EQ(FAN_ACCESS, seen(_metadata, g, class));

	/* Nor with events that are asked for. */
	mark(_metadata, g, FLUSH_IGNORE | types[t].flag, 0, ".");
	mark(_metadata, g, FAN_MARK_ADD | types[t].flag, FAN_ACCESS, "file");
	expect_mark(_metadata, g, kind, masked(class, FAN_ACCESS), 0);
	EXPECT_EQ(SEEN, seen(_metadata, g, class));
}

TEST_F(flush, ignore_only)
{
	FOR_EACH_ROW(i, ignores) {
		const size_t n = types_with(variant->class, &ignores[i]);

		for (size_t t = 0; t < n; t++) {
			snprintf(row, sizeof(row), "%s, type %zu",
				 ignores[i].name, t);
			only_ignored(_metadata, self->g, variant->class,
				     &ignores[i], t);
			self->g = reopen(_metadata, self->g, variant->class);
		}
	}
}

static void ignored_and_asked(struct __test_metadata *const _metadata,
			      struct group *g, unsigned int class,
			      const struct ignore *ignore, size_t t)
{
	const unsigned int flags = ignore->flags | types[t].flag;
	const char *const kind = types[t].kind;

	mark(_metadata, g, FAN_MARK_ADD | types[t].flag, SEEN, "file");
	mark(_metadata, g, FAN_MARK_ADD | flags, SEEN, "file");
	EXPECT_EQ(0ULL, seen(_metadata, g, class));
	mark(_metadata, g, FLUSH_IGNORE | types[t].flag, 0, ".");
	EXPECT_EQ(SEEN, seen(_metadata, g, class));

	/* There is nothing to be removed, which is no error. */
	mark(_metadata, g, FAN_MARK_REMOVE | flags, FAN_ACCESS, "file");
	expect_mark(_metadata, g, kind, masked(class, SEEN), 0);

	mark(_metadata, g, FAN_MARK_ADD | flags, FAN_OPEN, "file");
	expect_mark(_metadata, g, kind, masked(class, SEEN),
		    masked(class, FAN_OPEN));
	EXPECT_EQ(FAN_ACCESS, seen(_metadata, g, class));

	/* A mark without events goes, even if it ignored something once. */
	mark(_metadata, g, FLUSH_IGNORE | types[t].flag, 0, ".");
	mark(_metadata, g, FAN_MARK_REMOVE | types[t].flag, FAN_OPEN, "file");
	expect_mark(_metadata, g, kind, masked(class, FAN_ACCESS), 0);
	mark(_metadata, g, FAN_MARK_REMOVE | types[t].flag, FAN_ACCESS, "file");
	expect_mark(_metadata, g, kind, 0, 0);
	expect_refused(_metadata, g, FAN_MARK_REMOVE | types[t].flag,
		       FAN_ACCESS, "file", ENOENT);
	expect_refused(_metadata, g, FAN_MARK_REMOVE | flags, FAN_ACCESS,
		       "file", ENOENT);
}

TEST_F(flush, beside_events)
{
	FOR_EACH_ROW(i, ignores) {
		const size_t n = types_with(variant->class, &ignores[i]);

		for (size_t t = 0; t < n; t++) {
			snprintf(row, sizeof(row), "%s, type %zu",
				 ignores[i].name, t);
			ignored_and_asked(_metadata, self->g, variant->class,
					  &ignores[i], t);
			self->g = reopen(_metadata, self->g, variant->class);
		}
	}
}

/* Twice in a row, with something new to ignore between, or nothing. */
TEST_F(flush, repeated)
{
	const unsigned int ignore = FAN_MARK_ADD | FAN_MARK_IGNORE_SURV;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, SEEN, ".");
	for (int i = 0; i < 5; i++) {
		mark(_metadata, self->g, ignore, i % 2 ? FAN_OPEN : FAN_ACCESS,
		     "file");
		EXPECT_EQ(i % 2 ? FAN_ACCESS : FAN_OPEN,
			  seen(_metadata, self->g, variant->class));
		for (int k = 0; k <= i; k++)
			mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
		EXPECT_EQ(SEEN, seen(_metadata, self->g, variant->class));
	}
}

/* A mark that does nothing does not bind one that is made in its place. */
TEST_F(flush, other_flags_afterwards)
{
	const unsigned int add = FAN_MARK_ADD;
	struct group *g = self->g;

	mark(_metadata, g, add | FAN_MARK_IGNORE_SURV, FAN_ACCESS, "file");
	expect_refused(_metadata, g, add | FAN_MARK_IGNORE_SURV |
		       FAN_MARK_EVICTABLE, FAN_ACCESS, "file", EEXIST);
	mark(_metadata, g, FLUSH_IGNORE, 0, ".");
	mark(_metadata, g, add | FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE,
	     FAN_OPEN, "file");
	expect_mark(_metadata, g, "ino", 0, masked(variant->class, FAN_OPEN));
	EXPECT_EQ(FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE,
		  mark_flags(_metadata, g, "ino"));

	/* And the other way round. */
	mark(_metadata, g, FLUSH_IGNORE, 0, ".");
	mark(_metadata, g, add | FAN_MARK_IGNORE_SURV, FAN_ACCESS, "file");
	EXPECT_EQ(FAN_MARK_IGNORE_SURV, mark_flags(_metadata, g, "ino"));
}

/* One that asks for events is there, and is as it is. */
TEST_F(flush, still_not_evictable)
{
	struct group *g = self->g;

	mark(_metadata, g, FAN_MARK_ADD, FAN_ACCESS, "file");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_ACCESS,
	     "file");
	mark(_metadata, g, FLUSH_IGNORE, 0, ".");
	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV |
		       FAN_MARK_EVICTABLE, FAN_ACCESS, "file", EEXIST);
	expect_mark(_metadata, g, "ino", masked(variant->class, FAN_ACCESS), 0);
}

TEST_F(flush, other_groups)
{
	static const unsigned int classes[] = {
		FAN_CLASS_NOTIF | FAN_REPORT_FID, FAN_CLASS_CONTENT,
		FAN_CLASS_VFS_FILTER,
	};
	struct group *others[ARRAY_SIZE(classes)];

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_ACCESS, "file");
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		others[i] = class_open(_metadata, classes[i]);
		mark(_metadata, others[i], FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
		     FAN_ACCESS, "file");
	}
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		expect_mark(_metadata, others[i], "ino", 0,
			    masked(classes[i], FAN_ACCESS));
		mark(_metadata, others[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     SEEN, ".");
		EXPECT_EQ(FAN_OPEN, seen(_metadata, others[i], classes[i]));
		group_close(others[i]);
	}
}

static const unsigned int bad_flags[] = {
	FAN_MARK_FLUSH | FAN_MARK_IGNORED_MASK,
	FAN_MARK_FLUSH | FAN_MARK_IGNORED_SURV_MODIFY,
	FAN_MARK_FLUSH | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
	FLUSH_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY,
	FLUSH_IGNORE | FAN_MARK_IGNORED_MASK,
	FLUSH_IGNORE | FAN_MARK_EVICTABLE,
	FLUSH_IGNORE | FAN_MARK_ONLYDIR,
	FLUSH_IGNORE | FAN_MARK_DONT_FOLLOW,
	FLUSH_IGNORE | FAN_MARK_ADD,
	FLUSH_IGNORE | FAN_MARK_REMOVE,
	FLUSH_IGNORE | FAN_MARK_BARRIER,
	FLUSH_IGNORE | FAN_MARK_MNTNS,
	FLUSH_IGNORE | 0x40000000,
};

TEST_F(flush, refused)
{
	const __u64 access = masked(variant->class, FAN_ACCESS);
	struct group *g = self->g, none = { .fd = -1 };

	for (size_t t = 0; t < TYPES; t++) {
		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV |
		     types[t].flag, FAN_ACCESS, "file");
		for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++)
			expect_refused(_metadata, g, bad_flags[i] |
				       types[t].flag, 0, ".", EINVAL);
		expect_refused(_metadata, &none, FLUSH_IGNORE | types[t].flag,
			       0, ".", EBADF);
		expect_mark(_metadata, g, types[t].kind, 0, access);
	}
}

/* All of it goes, whatever the mask, the path, and what there is to drop. */
TEST_F(flush, accepted)
{
	static const struct {
		unsigned int flags;
		__u64 mask;
		const char *path;
	} calls[] = {
		{ 0, 0, "." },
		{ 0, 0, NULL },
		{ 0, FAN_OPEN, "file" },
		{ FAN_MARK_SYNC, 0, "." },
		{ FAN_MARK_SYNC, FAN_OPEN, NULL },
	};
	struct group *g = self->g;

	for (size_t t = 0; t < TYPES; t++) {
		FOR_EACH_ROW(i, calls) {
			snprintf(row, sizeof(row), "type %zu, call %zu", t, i);
			mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV |
			     types[t].flag, SEEN, "file");
			for (int twice = 0; twice < 2; twice++) {
				mark(_metadata, g, FLUSH_IGNORE |
				     calls[i].flags | types[t].flag,
				     calls[i].mask, calls[i].path);
				expect_mark(_metadata, g, types[t].kind, 0, 0);
			}
		}
	}
}

/* Of classes that have more ways to ignore than one. */
FIXTURE(older)
{
	struct group *g;
};

FIXTURE_SETUP(older)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "content");
	self->g = class_open(_metadata, FAN_CLASS_NOTIF);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, SEEN, ".");
}

FIXTURE_TEARDOWN(older)
{
	test_end(_metadata);
}

/* What was once ignored in one way can be ignored in any other. */
TEST_F(older, other_ways_afterwards)
{
	struct group *g = self->g;

	for (size_t a = 0; a < ARRAY_SIZE(ignores); a++) {
		FOR_EACH_ROW(b, ignores) {
			snprintf(row, sizeof(row), "%s after %s",
				 ignores[b].name, ignores[a].name);
			mark(_metadata, g, FAN_MARK_ADD | ignores[a].flags,
			     FAN_ACCESS, "file");
			mark(_metadata, g, FLUSH_IGNORE, 0, ".");
			mark(_metadata, g, FAN_MARK_ADD | ignores[b].flags,
			     FAN_OPEN, "file");
			EXPECT_EQ(FAN_ACCESS, seen(_metadata, g,
						   FAN_CLASS_NOTIF));
			mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
		}
	}

	/* Which is an error if there was no flush. */
	row[0] = '\0';
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_ACCESS,
	     "file");
	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK,
		       FAN_ACCESS, "file", EEXIST);
	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE,
		       FAN_ACCESS, "file", EEXIST);
}

/* Once more, it does or does not outlive a modification, as it is told. */
TEST_F(older, modified_afterwards)
{
	struct group *g = self->g;

	for (size_t a = 0; a < ARRAY_SIZE(ignores); a++) {
		FOR_EACH_ROW(b, ignores) {
			const bool surv = ignores[b].flags &
					  FAN_MARK_IGNORED_SURV_MODIFY;

			snprintf(row, sizeof(row), "%s after %s",
				 ignores[b].name, ignores[a].name);
			mark(_metadata, g, FAN_MARK_ADD | ignores[a].flags,
			     FAN_ACCESS, "file");
			mark(_metadata, g, FLUSH_IGNORE, 0, ".");
			mark(_metadata, g, FAN_MARK_ADD | ignores[b].flags,
			     FAN_ACCESS, "file");
			EXPECT_EQ(FAN_OPEN, seen(_metadata, g,
						 FAN_CLASS_NOTIF));

			put_file(_metadata, "file", "other content");
			EXPECT_EQ(surv ? FAN_OPEN : SEEN,
				  seen(_metadata, g, FAN_CLASS_NOTIF));
			mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
		}
	}
}

/* What is seen at the hold points is whether a hook has any interest. */
FIXTURE(interest)
{
	struct group *g, *other;
};

FIXTURE_SETUP(interest)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "content");
	self->g = group_open(_metadata, 0);
	self->other = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(interest)
{
	test_end(_metadata);
}

/* An inode is of interest as long as there is something to be ignored. */
TEST_F(interest, gone)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_ACCESS, "file");
	job = job_prepare(_metadata, open_and_read, NULL);
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "begin");
	release(_metadata, "begin");
	EXPECT_EQ(1, job_join(_metadata, job));

	/* Interests are added up again when any of the marks is changed. */
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	mark(_metadata, self->other, FAN_MARK_ADD, FAN_ATTRIB, "file");
	mark(_metadata, self->other, FAN_MARK_REMOVE, FAN_ATTRIB, "file");
	job = job_prepare(_metadata, open_and_read, NULL);
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	EXPECT_EQ(1, job_join(_metadata, job));
	release(_metadata, "begin");
}

/* ---------------------------- many, and evicted ------------------------- */

#define FEW	100
#define MANY	20000

FIXTURE(evict)
{
	struct group *g, *other;
};

FIXTURE_VARIANT(evict)
{
	unsigned int class;
	unsigned int ignore;
};

FIXTURE_VARIANT_ADD(evict, notif)
{
	.class = FAN_CLASS_NOTIF,
	.ignore = FAN_MARK_IGNORED_MASK,
};

FIXTURE_VARIANT_ADD(evict, notif_fid)
{
	.class = FAN_CLASS_NOTIF | FAN_REPORT_FID,
	.ignore = FAN_MARK_IGNORE_SURV,
};

FIXTURE_VARIANT_ADD(evict, content)
{
	.class = FAN_CLASS_CONTENT,
	.ignore = FAN_MARK_IGNORE,
};

FIXTURE_VARIANT_ADD(evict, pre_content)
{
	.class = FAN_CLASS_PRE_CONTENT,
	.ignore = FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
};

FIXTURE_VARIANT_ADD(evict, vfs_filter)
{
	.class = FAN_CLASS_VFS_FILTER,
	.ignore = FAN_MARK_IGNORE_SURV,
};

FIXTURE_SETUP(evict)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	self->g = class_open(_metadata, variant->class);
	self->other = class_open(_metadata, variant->class);
	limit_marks_start(_metadata);
	mark_files(_metadata, self->g, variant->ignore | FAN_MARK_EVICTABLE,
		   FAN_MODIFY, 0, FEW);
	EXPECT_EQ(FEW, count_marks(_metadata, self->g, "ino"));

	/* There are so many, and perhaps some of others. */
	limit_marks(_metadata, FEW);
	expect_refused(_metadata, self->other, FAN_MARK_ADD, FAN_OPEN, ".",
		       ENOSPC);
}

FIXTURE_TEARDOWN(evict)
{
	test_end(_metadata);
}

/* Is there room for one more mark of this user? */
static bool room_for_one(const struct group *g)
{
	return !sys_fanotify_mark(g->fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, ".");
}

static bool evicted(struct __test_metadata *const _metadata,
		    const struct group *g)
{
	evict_inodes(_metadata);
	return room_for_one(g);
}

TEST_F(evict, before)
{
	ASSERT_TRUE(EVENTUALLY(({
		evict_inodes(_metadata);
		!count_marks(_metadata, self->g, "ino");
	})));
	EXPECT_TRUE(room_for_one(self->other));
}

TEST_F(evict, after)
{
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	EXPECT_EQ(0, count_marks(_metadata, self->g, "ino"));
	EXPECT_TRUE(EVENTUALLY(evicted(_metadata, self->other)));
}

/* A group is not short of marks because of those that do nothing. */
TEST_F(evict, not_in_the_way)
{
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	EXPECT_TRUE(room_for_one(self->g))
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(1, count_marks(_metadata, self->g, "ino"));
}

/* Marks that pin their inodes do so no more. */
TEST_F(evict, not_evictable)
{
	mark_files(_metadata, self->g, variant->ignore, FAN_MODIFY, 0, FEW);
	for (int i = 0; i < 3; i++)
		evict_inodes(_metadata);
	EXPECT_EQ(FEW, count_marks(_metadata, self->g, "ino"));
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	EXPECT_TRUE(EVENTUALLY(evicted(_metadata, self->other)));
}

/* Pinned because of events that are not asked for any more. */
TEST_F(evict, no_longer_evictable)
{
	char name[16];

	for (int i = 0; i < FEW; i++) {
		snprintf(name, sizeof(name), "%d", i);
		mark(_metadata, self->g, FAN_MARK_ADD, FAN_OPEN, name);
		mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_OPEN, name);
	}
	EXPECT_EQ(FEW, count_marks(_metadata, self->g, "ino"));
	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	EXPECT_EQ(0, count_marks(_metadata, self->g, "ino"));
	EXPECT_TRUE(EVENTUALLY(evicted(_metadata, self->other)));
}

FIXTURE(many)
{
	struct group *g;
};

FIXTURE_SETUP(many)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	self->g = group_open(_metadata, FAN_UNLIMITED_MARKS);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark_files(_metadata, self->g, FAN_MARK_IGNORE_SURV |
		   FAN_MARK_EVICTABLE, FAN_MODIFY, 0, MANY);
}

FIXTURE_TEARDOWN(many)
{
	test_end(_metadata);
}

TEST_F(many, all_at_once)
{
	char name[16];

	ASSERT_EQ(MANY, count_marks(_metadata, self->g, "ino"));
	for (int i = 0; i < MANY; i += MANY / 5) {
		struct job *job;

		snprintf(name, sizeof(name), "%d", i);
		job = write_start(_metadata, name, "ab");
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
	}

	mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
	EXPECT_EQ(0, count_marks(_metadata, self->g, "ino"));
	EXPECT_EQ(1, count_marks(_metadata, self->g, "sdev"));
	for (int i = 0; i < MANY; i += MANY / 5) {
		snprintf(name, sizeof(name), "%d", i);
		serve_write(_metadata, self->g,
			    write_start(_metadata, name, "ab"), 2);
	}
}

/* Marks that pin their inodes are freed behind the back of the group. */
FIXTURE(freed)
{
	struct group *g;
};

FIXTURE_SETUP(freed)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	self->g = group_open(_metadata, FAN_UNLIMITED_MARKS);
}

FIXTURE_TEARDOWN(freed)
{
	test_end(_metadata);
}

#define ROUNDS	20
#define PINNED	500
#define REUSED	20

/* One that is used again meanwhile is as good as any other. */
TEST_F(freed, used_again)
{
	for (int i = 0; i < ROUNDS; i++) {
		mark_files(_metadata, self->g, FAN_MARK_IGNORE_SURV, FAN_MODIFY,
			   0, PINNED);
		mark(_metadata, self->g, FLUSH_IGNORE, 0, ".");
		usleep(50 * i);
		mark_files(_metadata, self->g, 0, FAN_ATTRIB, PINNED - REUSED,
			   PINNED);
		mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
		usleep(SETTLE_MS * 1000 / ROUNDS);
		EXPECT_EQ(0, count_marks(_metadata, self->g, "ino"))
			TH_LOG("round %d", i);
		mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	}
}

TEST_HARNESS_MAIN
