/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What can go away, each by its own way, while something is under way that
 * tests tell: what is promised of who waits, of who is told, and of the end.
 *
 * There is one writer, which has its file open, in a file system that no one
 * else uses: so that is gone when the writer is, wherever it was unmounted.
 */

#ifndef __TEARDOWN_H
#define __TEARDOWN_H

#include "cgroup.h"
#include "fs.h"
#include "hold.h"
#include "module.h"
#include "queue.h"
#include "sentinels.h"
#include "underway.h"

#define GONE_DIR	WORK_DIR "/gone"
#define GONE_FILE	GONE_DIR "/file"

/* Who waits is still asked. */
#define ASKED		LONG_MAX

FIXTURE(teardown)
{
	struct group *g;
	struct group *reader;	/* the group, or a queue of it */
	struct job *job;	/* the writer */
	bool has_module;
	bool unmounted;
	bool told;		/* FAN_Q_GONE was read */
};

FIXTURE_VARIANT(teardown)
{
	void (*go)(struct __test_metadata *const _metadata,
		   FIXTURE_DATA(teardown) *self,
		   const FIXTURE_VARIANT(teardown) *variant);
	const char *path;	/* of what the group marks */
	unsigned int mark;	/* and the type of it */
	unsigned int flags;	/* of the group */
	long waits;		/* what becomes of who waits for an answer */
	bool by_queue;		/* it is read by one */
	bool mark_goes;
	bool told;		/* FAN_Q_GONE comes when the writer has gone */
};

static inline void go_close(struct __test_metadata *const _metadata,
			    FIXTURE_DATA(teardown) *self,
			    const FIXTURE_VARIANT(teardown) *variant)
{
	(void)_metadata;
	(void)variant;
	group_close(self->g);
	self->g = NULL;
}

/* From here on the group is read by its own file. */
static inline void go_queue(struct __test_metadata *const _metadata,
			    FIXTURE_DATA(teardown) *self,
			    const FIXTURE_VARIANT(teardown) *variant)
{
	(void)_metadata;
	(void)variant;
	group_close(self->reader);
	self->reader = self->g;
}

static inline void go_mark(struct __test_metadata *const _metadata,
			   FIXTURE_DATA(teardown) *self,
			   const FIXTURE_VARIANT(teardown) *variant)
{
	mark(_metadata, self->g, FAN_MARK_REMOVE | variant->mark, FAN_MODIFY,
	     variant->path);
}

static inline void go_detached(struct __test_metadata *const _metadata,
			       FIXTURE_DATA(teardown) *self,
			       const FIXTURE_VARIANT(teardown) *variant)
{
	(void)variant;
	ASSERT_EQ(0, umount2(GONE_DIR, MNT_DETACH));
	self->unmounted = true;
}

/* It is in use, by the writer and by no one else. */
static inline void go_unmount(struct __test_metadata *const _metadata,
			      FIXTURE_DATA(teardown) *self,
			      const FIXTURE_VARIANT(teardown) *variant)
{
	(void)self;
	(void)variant;
	EXPECT_EQ(-1, umount(GONE_DIR));
	EXPECT_EQ(EBUSY, errno);
}

static inline void go_inode(struct __test_metadata *const _metadata,
			    FIXTURE_DATA(teardown) *self,
			    const FIXTURE_VARIANT(teardown) *variant)
{
	(void)self;
	(void)variant;
	ASSERT_EQ(0, unlink(GONE_FILE));
}

static inline void go_cgroup(struct __test_metadata *const _metadata,
			     FIXTURE_DATA(teardown) *self,
			     const FIXTURE_VARIANT(teardown) *variant)
{
	(void)self;
	(void)variant;
	ASSERT_EQ(0, rmdir(cgroup));
}

/* It is in use, as long as there is a group. */
static inline void go_module(struct __test_metadata *const _metadata,
			     FIXTURE_DATA(teardown) *self,
			     const FIXTURE_VARIANT(teardown) *variant)
{
	(void)variant;
	if (!self->has_module)
		SKIP(return, "VFS_FILTER_KO is not set");
	EXPECT_EQ(-EAGAIN, unload());
}

FIXTURE_VARIANT_ADD(teardown, group)
{
	.go = go_close,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.waits = 2,
};

FIXTURE_VARIANT_ADD(teardown, group_that_fails_closed)
{
	.go = go_close,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.flags = FAN_FAIL_CLOSED,
	.waits = -EIO,
};

FIXTURE_VARIANT_ADD(teardown, queue)
{
	.go = go_queue,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.by_queue = true,
	.waits = ASKED,
};

FIXTURE_VARIANT_ADD(teardown, mark_of_inode)
{
	.go = go_mark,
	.path = GONE_FILE,
	.mark = FAN_MARK_INODE,
	.waits = ASKED,
	.mark_goes = true,
};

FIXTURE_VARIANT_ADD(teardown, mark_of_mount)
{
	.go = go_mark,
	.path = GONE_DIR,
	.mark = FAN_MARK_MOUNT,
	.waits = ASKED,
	.mark_goes = true,
};

FIXTURE_VARIANT_ADD(teardown, mark_of_file_system)
{
	.go = go_mark,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.waits = ASKED,
	.mark_goes = true,
};

/* Detached, it is gone when the writer is. */
FIXTURE_VARIANT_ADD(teardown, mount)
{
	.go = go_detached,
	.path = GONE_DIR,
	.mark = FAN_MARK_MOUNT,
	.waits = ASKED,
	.told = true,
};

FIXTURE_VARIANT_ADD(teardown, super_block)
{
	.go = go_detached,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.waits = ASKED,
	.told = true,
};

FIXTURE_VARIANT_ADD(teardown, super_block_in_use)
{
	.go = go_unmount,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.waits = ASKED,
};

FIXTURE_VARIANT_ADD(teardown, inode)
{
	.go = go_inode,
	.path = GONE_FILE,
	.mark = FAN_MARK_INODE,
	.waits = ASKED,
	.told = true,
};

FIXTURE_VARIANT_ADD(teardown, cgroup)
{
	.go = go_cgroup,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.waits = ASKED,
};

FIXTURE_VARIANT_ADD(teardown, module)
{
	.go = go_module,
	.path = GONE_DIR,
	.mark = FAN_MARK_FILESYSTEM,
	.waits = ASKED,
};

static inline void put_module_back(void)
{
	lift_all();
	load(module_path);
}

static inline long write_to(void *arg)
{
	return pwrite(*(int *)arg, "ab", 2, 0);
}

/* A writer that has nothing of any group, and all of its file. */
static inline struct job *
writer_prepare(struct __test_metadata *const _metadata)
{
	int fd = open(GONE_FILE, O_WRONLY | O_CLOEXEC);
	struct job *job;

	ASSERT_LE(0, fd);
	job = job_prepare(_metadata, write_to, &fd);
	close(fd);
	return job;
}

FIXTURE_SETUP(teardown)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	self->has_module = module_find(_metadata);
	if (self->has_module)
		guard_start(_metadata, put_module_back);
	cgroup_mount(_metadata);
	cgroup_begin(_metadata);

	ASSERT_EQ(0, mkdir(GONE_DIR, 0755));
	ASSERT_EQ(0, mount("none", GONE_DIR, "tmpfs", 0, NULL));
	put_file(_metadata, GONE_FILE, "");
	self->job = writer_prepare(_metadata);
	self->g = group_open(_metadata, variant->flags);
	self->reader = variant->by_queue ? queue_open(_metadata, self->g) :
					   self->g;
	cgroup_exempt(_metadata, self->g->fd);
	mark(_metadata, self->g, FAN_MARK_ADD | variant->mark, FAN_MODIFY,
	     variant->path);
}

/* The end of what was marked, once and in its place. */
static inline void expect_told(struct __test_metadata *const _metadata,
			       FIXTURE_DATA(teardown) *self)
{
	if (!self->told)
		EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, self->g).mask);
	self->told = true;
}

static inline void expect_idle(struct __test_metadata *const _metadata,
			       struct group *g)
{
	const struct group_state st = group_state(_metadata, g);

	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	EXPECT_EQ(0, st.overflows);
	expect_silence(_metadata, g);
}

/* No one is left who could answer, so it is not asked about. */
static inline void expect_closed(struct __test_metadata *const _metadata,
				 const FIXTURE_VARIANT(teardown) *variant)
{
	const int left = variant->flags & FAN_FAIL_CLOSED ? 1 : 0;

	EXPECT_TRUE(EVENTUALLY(count_sentinels() == left));
	EXPECT_EQ(variant->waits, job_join(_metadata, write_start(_metadata,
								  GONE_FILE,
								  "ab")));
}

/* Whatever remains of the file system goes, and no event with it but one. */
static inline void expect_over(struct __test_metadata *const _metadata,
			       FIXTURE_DATA(teardown) *self,
			       const FIXTURE_VARIANT(teardown) *variant)
{
	if (self->g && variant->told)
		expect_told(_metadata, self);
	if (self->g)
		expect_idle(_metadata, self->g);
	else
		expect_closed(_metadata, variant);
	if (!self->unmounted)
		ASSERT_EQ(0, umount(GONE_DIR));
	if (self->g && !variant->mark_goes)
		expect_told(_metadata, self);
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

FIXTURE_TEARDOWN(teardown)
{
	const bool over = _metadata->exit_code == KSFT_PASS;

	if (over)
		expect_over(_metadata, self, variant);
	test_end(_metadata);
	if (!over || !self->has_module)
		return;
	/* It is not kept by anything that went, and can go, too. */
	EXPECT_TRUE(EVENTUALLY(!module_uses()));
	if (variant->go == go_module) {
		EXPECT_EQ(0, unload_soon());
		EXPECT_EQ(0, load(module_path));
	}
}

/* The question that was read before, or is to be read now. */
static inline void serve(struct __test_metadata *const _metadata,
			 FIXTURE_DATA(teardown) *self, const struct event *pre)
{
	allow(_metadata, self->reader, pre);
	EXPECT_EQ(2, job_join(_metadata, self->job));
	expect_post(_metadata, self->reader, pre, 2);
}

#endif /* __TEARDOWN_H */
