/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether what a group saw of a call is what the table says, and what stat(2),
 * statfs(2), name_to_handle_at(2) and the call itself do.
 */

#ifndef __OPERATIONS_EXPECT_H
#define __OPERATIONS_EXPECT_H

#include "operations_seen.h"

/* FIDs of a step, as far as there is what they are of. */
struct fids {
	struct fid object, dir, new_dir;
};

static void find_fid(struct __test_metadata *const _metadata, const char *path,
		     struct fid *fid)
{
	if (!fid->bytes && is_there(path))
		*fid = fid_of(_metadata, path);
}

/* Before the call, as it may take the name away, and after, as it may give it. */
static void find_fids(struct __test_metadata *const _metadata,
		      const struct operation *op, struct fids *fids)
{
	for (int i = 0; i < count_steps(op); i++, fids++) {
		const struct step *step = &op->steps[i];

		find_fid(_metadata, step->object, &fids->object);
		find_fid(_metadata, name_of(step).dir, &fids->dir);
		if (step->new_entry)
			find_fid(_metadata, place_of(step->new_entry).dir,
				 &fids->new_dir);
	}
}

/*
 * Of a file without a name, only its job can tell. If that was not let have it,
 * it has to be the same one in all that is said of it.
 */
static const struct fid *fid_of_unnamed(const struct try *try)
{
	for (int i = 0; i < try->asked && !unnamed_fid->bytes; i++)
		*unnamed_fid = try->seen[i].post.fid;
	return unnamed_fid;
}

/* Does the nth operation fail, as a part of it was denied? */
static bool fails_with_part(const struct try *try, int n)
{
	if (!is_denied(try) || n >= try->denied)
		return false;
	for (int i = n + 1; i <= try->denied; i++)
		if (!(step_at(try->op, i)->is & IS_PART))
			return false;
	return true;
}

static void expect_names(struct __test_metadata *const _metadata,
			 const struct event *ev, const struct step *step,
			 const struct fids *fids)
{
	if (ev->records & (RECORD_NAME | RECORD_OLD_NAME | RECORD_DIR)) {
		EXPECT_TRUE(same_fid(&fids->dir, &ev->dir));
	}
	if (ev->records & (RECORD_NAME | RECORD_OLD_NAME)) {
		EXPECT_STREQ(name_of(step).name, ev->name);
	}
	if (ev->records & RECORD_NEW_NAME) {
		EXPECT_TRUE(same_fid(&fids->new_dir, &ev->new_dir));
		EXPECT_STREQ(place_of(step->new_entry).name, ev->new_name);
	}
}

static void expect_range(struct __test_metadata *const _metadata,
			 const struct event *ev, const struct range *range)
{
	if (range->known) {
		EXPECT_EQ(range->offset, ev->offset);
		EXPECT_EQ(range->count, ev->count);
	}
}

/* What PRE and POST have in common. */
static void expect_event(struct __test_metadata *const _metadata,
			 const struct try *try, const struct event *ev,
			 const struct step *step, const struct fids *fids,
			 const struct range *range, bool exists, __u32 flags)
{
	const struct fid *fid = is_unnamed(step) ? fid_of_unnamed(try) :
						   &fids->object;
	__u64 records = RECORD_OP | name_records(step);

	if (exists)
		records |= RECORD_FID;
	if (range->known)
		records |= RECORD_RANGE;
	EXPECT_EQ(records, ev->records);
	EXPECT_EQ(try->pid, ev->pid);
	EXPECT_EQ(step->flags | flags, ev->flags);
	if (exists) {
		EXPECT_TRUE(same_fid(fid, &ev->fid));
	}
	expect_names(_metadata, ev, step, fids);
	expect_range(_metadata, ev, range);
}

static __u64 mask_of(const struct step *step, bool post)
{
	const __u64 event = step->event & ~FAN_ONDIR;

	return (post ? FAN_POST(event) : FAN_PRE(event)) |
	       (step->event & FAN_ONDIR);
}

/* A part ends before the whole, and what comes later ends later. */
static void expect_order(struct __test_metadata *const _metadata,
			 const struct try *try, int n, const struct step *step)
{
	const bool inner = step->is & (IS_PART | IS_MEANWHILE) &&
			   !(step->is & IS_LASTING);
	const struct seen *before, *seen = &try->seen[n];

	if (step == try->op->steps)
		return;
	before = &try->seen[step - try->op->steps - 1];
	EXPECT_LT(before->pre.cookie, seen->pre.cookie);
	if (inner) {
		EXPECT_LT(seen->ended, before->ended);
	} else {
		EXPECT_LT(before->ended, seen->ended);
	}
}

static void expect_end(struct __test_metadata *const _metadata,
		       const struct try *try, int n, const struct step *step,
		       const struct fids *fids)
{
	const bool fails = fails_with_part(try, n);
	const struct event *post = &try->seen[n].post;
	long result = step->result == RETURNED ? try->ret : step->result;

	if (fails)
		result = -try->verdict.error;
	ASSERT_NE(0, try->seen[n].ended);
	EXPECT_EQ(mask_of(step, true), post->mask);
	EXPECT_EQ(result, post->result);
	expect_event(_metadata, try, post, step, fids,
		     fails ? &step->pre : &step->post,
		     !fails || !creates(step),
		     step->is & IS_OF_LAST && !result ? FAN_OP_LAST_LINK : 0);
	expect_order(_metadata, try, n, step);
}

static void expect_asked(struct __test_metadata *const _metadata,
			 const struct try *try, int n, const struct step *step,
			 const struct fids *fids)
{
	const struct event *pre = &try->seen[n].pre;

	EXPECT_EQ(mask_of(step, false), pre->mask);
	expect_event(_metadata, try, pre, step, fids, &step->pre,
		     !creates(step), 0);
}

/* All that was to be seen up to what was denied, and nothing more. */
static int last_step(const struct try *try)
{
	return is_denied(try) ? try->denied : count_steps(try->op) - 1;
}

static void expect_seen(struct __test_metadata *const _metadata,
			const struct try *try, const struct fids *fids)
{
	const int last = last_step(try);

	EXPECT_LT(last, try->asked);
	for (int n = 0; n < try->asked; n++) {
		const struct step *step = step_at(try->op, n);
		const struct event *pre = &try->seen[n].pre;

		ASSERT_TRUE(step && step - try->op->steps <= last)
			TH_LOG("not expected: mask %#llx of '%s'",
			       (unsigned long long)pre->mask, pre->name);
		expect_asked(_metadata, try, n, step,
			     &fids[step - try->op->steps]);
		if (n != try->denied)
			expect_end(_metadata, try, n, step,
				   &fids[step - try->op->steps]);
	}
}

#endif /* __OPERATIONS_EXPECT_H */
