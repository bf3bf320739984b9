/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A change journal on a FAN_CLASS_VFS_FILTER group, and how it ends a period.
 *
 * Before a file is modified, the listener is asked. It writes the file into the
 * list of the open period, durably, and answers FAN_ALLOW | FAN_RESPONSE_IGNORE:
 * from then on the file is ignored. A checkpoint opens the list of a new period,
 * makes the files be reported again, and hands the old list to a reader, which
 * copies the files in it. docs/checkpoints.md explains the schemes; the macros
 * below choose one, models/variants names those that are checked.
 *
 * Numbers: three tasks write at the same time, each any number of times, to any
 * of two files; there are any number of checkpoints and crashes. That is
 * a finite number of states because nothing counts: a set is a byte with a bit
 * for each member, and of the content of a file only this is kept:
 *
 *   fresh  the files whose content is not what the reader has copied
 *   dirty  the files modified since they were last forced to disk
 *
 * Every modification makes a content that never was there before, so "fresh" is
 * set by each, and cleared by the copy. What happens while a file is copied
 * counts as after it.
 *
 * What is checked:
 *
 * (a) A change that a reader of period T can see is reported in T or later.
 *     At some moment at which no operation runs and no event is queued, no more
 *     operations begin, and one last checkpoint follows. When the reader is done
 *     with it, no file may be fresh (FINAL).
 *     That is (a): a list names files, so a change is reported when the file is
 *     in any list that is read after the change was made. If there is none up to
 *     the last one, the file was not copied since and is fresh at the end; if
 *     there is one, that copy has the change. And every run can end this way:
 *     from each state the operations can finish while no other begins, and this
 *     choice is among those searched. It is stronger than (a) in one respect: a
 *     change made before the reader of T looked, but unreported until T + 2, is
 *     what (a) allows, and FINAL as well.
 * (b) A change that reached the disk is reported after a crash. The machine
 *     loses the tasks, the marks, the listener, and of the page cache what was
 *     not written back; each dirty file has on disk any content since it was
 *     last forced there. The lists and what the reader has are still there. The
 *     listener starts again with what its rule of recovery puts into the open
 *     list. Each file that is not what the reader has must be in it (RECOVERY).
 *     The system then goes on from there, so (a) is checked for what follows.
 *
 * Each step is what the kernel or the listener does at once. All that is known of
 * a process is in global variables, so that a crash is one step. Writers do not
 * differ from each other, nor do files, so both are kept in an order (sorted,
 * unless UNSORTED is defined), which prints who has changed places. A step prints
 * "FROM -> TO: text". Both are for scripts/model-trace.
 */

/*
 * The scheme: ALTERNATE two groups, or flush the ignore masks of a single one;
 * SYNC: FAN_MARK_SYNC; BARRIER: FAN_MARK_BARRIER; POST: record POST events;
 * PENDING: events are recorded for both periods from before the flush until
 * after it; CRASH: the machine does; RECOVER_ALL: recovery reports what was
 * recorded since the listener started, not only what was not read.
 *
 * RECOVER_ASKED: and in addition each file whose operation was asked about and has
 * no POST recorded, or has one that was queued: more than a listener can know, as an
 * ignored operation sends no POST that says it has ended before the flush.
 *
 * What a variant does wrong: UNLOCKED: an event can be recorded before the flush
 * and answered after it; EARLY: the answer is given before the record is
 * durable; MAPPED: an operation can be a writable shared mapping, which the
 * barrier does not wait for; NO_SYNCFS: the reader is handed a list of files that
 * are not on disk yet.
 *
 * What a kernel may do that keeps the contract to the letter: the barrier counts
 * an operation from its answer on, or, if it was ignored, from the end of its
 * PRE hook. COUNT_LOOK is what the kernel does: from each look at the marks, not
 * while it waits, and from the answer if the group of the barrier gave it.
 * COUNT_LATE: in all cases from the end of the hook, which is after it was woken.
 * NO_REWALK: who was asked by one group does not look at the marks again.
 */

#define in(set, x)	(((set) >> (x)) & 1)
#define add(set, x)	set = set | (1 << (x))
#define del(set, x)	set = set & ~(1 << (x))

#define WRITERS	3
#define each(condition)	(condition(0) && condition(1) && condition(2))

/* In the order in which they are sorted: who is idle comes last. */
mtype = {
	MODIFIED,	/* before its POST point */
	GOES,		/* has left the PRE hook */
	ANSWERED,	/* allowed, not running yet */
	RECORDED,	/* the listener has recorded it and is about to answer */
	WAITS,		/* asked, no answer yet; in no read section of the mark SRCU */
	LOOKED,		/* in the PRE hook: has looked at the marks, nobody to ask */
	IDLE
};

/* Of two groups, "old" is the older one; a single one is not old. */
mtype state[WRITERS] = IDLE;
bit file[WRITERS];
bit asked[WRITERS];		/* by the group */
bit asked_old[WRITERS];
bit by_old[WRITERS];		/* the question that waits is the older group's */
bit synced[WRITERS];		/* FAN_MARK_SYNC waits for it */
bit barred[WRITERS];		/* the barrier waits for it */
bit mapped[WRITERS];

/* Marks: sets of files. */
byte ignored;
byte ignored_old;
bit old;			/* there is an older group, with an event mask */

/* The listener. */
byte posted;			/* the files with a POST event to be read */
bit busy;			/* between record and answer */
bit locked;			/* the checkpoint keeps events from being handled */
bit pending;			/* record for both periods */
bit unrecorded;			/* EARLY: the file that was answered, while busy */

/* The journal, on disk: lists of files. */
byte open_list;
byte closing_list;		/* of the period that a checkpoint is about to end */
byte read_list;			/* what the reader was handed and has not copied */
byte all_lists;			/* all that was recorded since the listener started */

/* Files and reader. */
byte fresh;
byte dirty;

/* The checkpoint. */
mtype = { REST, MARKS, SYNCING, CALL, QUEUED, FORCE, SEAL, UNSUBSCRIBE, DRAIN };
mtype step = REST;
bit last;

#define is_idle(w)	(state[w] == IDLE)
#define rank(w)		(state[w] << 8 | file[w] << 7 | asked[w] << 6 | \
			 asked_old[w] << 5 | by_old[w] << 4 | synced[w] << 2 | \
			 barred[w] << 1 | mapped[w])

int swap;

#define exchange(x, y)	swap = x; x = y; y = swap

inline in_order(v, w)
{
	if
	:: rank(v) >= rank(w)
	:: else ->
		exchange(state[v], state[w]);
		exchange(file[v], file[w]);
		exchange(asked[v], asked[w]);
		exchange(asked_old[v], asked_old[w]);
		exchange(by_old[v], by_old[w]);
		exchange(synced[v], synced[w]);
		exchange(barred[v], barred[w]);
		exchange(mapped[v], mapped[w]);
		printf("writer %d <-> writer %d\n", v, w)
	fi
}

#define flip(set)	set = (((set) & 1) << 1) | ((set) >> 1)

#define weight(f)	(in(open_list, f) << 9 | in(closing_list, f) << 8 | \
			 in(read_list, f) << 7 | in(fresh, f) << 6 | in(dirty, f) << 5 | \
			 in(ignored, f) << 4 | in(ignored_old, f) << 3 | in(posted, f) << 2)
#define on_file_1(w)	(file[w] && state[w] != IDLE)
#define on_file_0(w)	(!file[w] && state[w] != IDLE)
#define weight_0	(weight(0) + on_file_0(0) + on_file_0(1) + on_file_0(2))
#define weight_1	(weight(1) + on_file_1(0) + on_file_1(1) + on_file_1(2))

inline flip_file(w)
{
	file[w] = (state[w] != IDLE && !file[w])
}

/* Where states differ by the numbers of writers and files alone, one is enough. */
inline sorted()
{
#ifndef UNSORTED
	if
	:: weight_0 >= weight_1
	:: else ->
		flip(ignored);
		flip(ignored_old);
		flip(posted);
		flip(open_list);
		flip(closing_list);
		flip(read_list);
		flip(all_lists);
		flip(fresh);
		flip(dirty);
		flip_file(0);
		flip_file(1);
		flip_file(2);
#ifdef EARLY
		unrecorded = (busy && !unrecorded);
#endif
		printf("file 1 <-> file 2\n")
	fi;
	in_order(0, 1);
	in_order(1, 2);
	in_order(0, 1);
	swap = 0
#else
	skip
#endif
}

inline forget(w)
{
	state[w] = IDLE;
	file[w] = 0;
	asked[w] = 0;
	asked_old[w] = 0;
	by_old[w] = 0;
	synced[w] = 0;
	barred[w] = 0;
	mapped[w] = 0
}

/* One walk of the marks. The older group is asked first. */
inline look(w)
{
	if
	:: old && !in(ignored_old, file[w]) && !asked_old[w] ->
		printf("writer %d -> listener: PRE file %d, to the older group\n", w, file[w] + 1);
		asked_old[w] = 1;
		by_old[w] = 1;
		state[w] = WAITS
	:: else ->
		if
		:: !in(ignored, file[w]) && !asked[w] ->
			printf("writer %d -> listener: PRE file %d\n", w, file[w] + 1);
			asked[w] = 1;
			state[w] = WAITS
		:: else ->
			if
			:: asked[w] || asked_old[w] ->
				printf("writer %d -> marks: PRE: nobody else to ask\n", w)
			:: else ->
				printf("writer %d -> marks: PRE: file %d is ignored\n", w, file[w] + 1)
			fi;
#ifdef BARRIER
			asked[w] = asked[w] || asked_old[w];
#else
			asked[w] = 0;
#endif
			asked_old[w] = 0;
			state[w] = LOOKED
		fi
	fi
}

inline begin_operation(w, f)
{
	file[w] = f;
	look(w);
	sorted()
}

inline leave_hook(w)
{
	printf("writer %d -> writer %d: goes on\n", w, w);
	synced[w] = 0;
#ifndef RECOVER_ASKED
	asked[w] = 0;
#endif
	asked_old[w] = 0;
	state[w] = GOES;
	sorted()
}

inline wake(w)
{
#if defined(ALTERNATE) && !defined(NO_REWALK)
	look(w);
	sorted()
#else
	leave_hook(w)
#endif
}

inline modify(w)
{
	printf("writer %d -> file %d: modify\n", w, file[w] + 1);
	add(fresh, file[w]);
#ifdef CRASH
	add(dirty, file[w]);
#endif
	state[w] = MODIFIED;
	sorted()
}

/*
 * The newest group looks: is it told? An event is queued in the step in which the
 * marks are looked at; to queue it later is as if the listener reads it later. The
 * contract has a POST also where the operation was asked about, the answer's ignore
 * mask was flushed, and the file is ignored again by another answer. It would only
 * add to the lists what is in the open one, so what holds without it holds with it.
 */
inline end_operation(w)
{
#ifdef POST
	if
	:: in(ignored, file[w]) ->
		printf("writer %d -> marks: POST: file %d is ignored\n", w, file[w] + 1)
	:: else ->
		printf("writer %d -> listener: POST file %d\n", w, file[w] + 1);
		add(posted, file[w])
	fi;
#else
	printf("writer %d -> writer %d: operation ends\n", w, w);
#endif
	forget(w);
	sorted()
}

inline map(w)
{
	printf("writer %d -> writer %d: mmap, shared and writable\n", w, w);
	mapped[w] = 1;
	begin_operation(w, 0)
}

/* A mapping can be written to as long as it lives. */
inline modify_again(w)
{
	printf("writer %d -> file %d: modify, through the mapping\n", w, file[w] + 1);
	add(fresh, file[w]);
	sorted()
}

/* Of those that are idle, it does not matter which one begins. */
#ifdef UNSORTED
#define first_idle(w)	(is_idle(w) && !last)
#else
#define first_idle(w)	(is_idle(w) && !last && (w == 0 || !is_idle(w - 1)))
#endif

proctype writer(byte w)
{
end:
	do
	:: d_step { first_idle(w) -> begin_operation(w, 0) }
	:: d_step { first_idle(w) -> begin_operation(w, 1) }
#ifdef MAPPED
	:: d_step { first_idle(w) -> map(w) }
	:: d_step { state[w] == MODIFIED && mapped[w] -> modify_again(w) }
#endif
	:: d_step { state[w] == LOOKED -> leave_hook(w) }
	:: d_step { state[w] == ANSWERED -> wake(w) }
	:: d_step { state[w] == GOES -> modify(w) }
	:: d_step { state[w] == MODIFIED -> end_operation(w) }
	od
}

/* Into the list that is open when the record is made, whatever group told. */
inline record(f)
{
	add(open_list, f);
#ifdef RECOVER_ALL
	add(all_lists, f);
#endif
	if
	:: pending ->
		printf("listener -> journal: file %d, periods {closing} and {open}\n", f + 1);
		add(closing_list, f)
	:: else ->
		printf("listener -> journal: file %d, period {open}\n", f + 1)
	fi
}

inline answer(w)
{
	printf("listener -> writer %d: ALLOW, IGNORE file %d\n", w, file[w] + 1);
	if
	:: by_old[w] -> add(ignored_old, file[w])
	:: else -> add(ignored, file[w])
	fi;
	by_old[w] = 0;
	state[w] = ANSWERED
}

#define may_handle	(!busy && !locked)

/* First the record and then the answer. The listener does both or neither. */
inline take(w)
{
	busy = 1;
#ifdef EARLY
	unrecorded = file[w];
	answer(w);
#else
	record(file[w]);
	state[w] = RECORDED;
#endif
	sorted()
}

inline finish(w)
{
	answer(w);
	busy = 0;
	sorted()
}

inline finish_early()
{
	record(unrecorded);
	unrecorded = 0;
	busy = 0;
	sorted()
}

proctype listener()
{
end:
	do
	:: d_step { may_handle && state[0] == WAITS -> take(0) }
	:: d_step { may_handle && state[1] == WAITS -> take(1) }
	:: d_step { may_handle && state[2] == WAITS -> take(2) }
#ifdef EARLY
	:: d_step { busy -> finish_early() }
#else
	:: d_step { state[0] == RECORDED -> finish(0) }
	:: d_step { state[1] == RECORDED -> finish(1) }
	:: d_step { state[2] == RECORDED -> finish(2) }
#endif
#ifdef POST
	:: d_step { may_handle && in(posted, 0) -> del(posted, 0); record(0); sorted() }
	:: d_step { may_handle && in(posted, 1) -> del(posted, 1); record(1); sorted() }
#endif
	od
}

/* What the barrier waits for. */
#if defined(COUNT_LOOK)
#define counted(w)	(state[w] == GOES || state[w] == MODIFIED || state[w] == LOOKED || \
			 (state[w] == ANSWERED && asked[w]))
#elif defined(COUNT_LATE)
#define counted(w)	(state[w] == GOES || state[w] == MODIFIED)
#else
#define counted(w)	(state[w] == GOES || state[w] == MODIFIED || \
			 state[w] == ANSWERED || (state[w] == LOOKED && asked[w]))
#endif

/* The older group stays subscribed until UNSUBSCRIBE. */
inline subscribe(w)
{
	printf("checkpoint -> marks: a group for period {open} subscribes\n");
	old = 1;
	ignored_old = ignored;
	ignored = 0;
	for (w : 0 .. WRITERS - 1) {
		asked_old[w] = asked[w] && state[w] != LOOKED;
		by_old[w] = (state[w] == WAITS || state[w] == RECORDED);
		asked[w] = asked[w] && state[w] == LOOKED
	}
}

inline flush()
{
	printf("checkpoint -> marks: flush: nothing is ignored\n");
	ignored = 0;
	locked = 0
}

/* In the step that changes the marks: those who have looked at them before. */
inline sync(w)
{
	for (w : 0 .. WRITERS - 1) {
		synced[w] = (state[w] == LOOKED)
	}
}

inline barrier(w)
{
	printf("checkpoint -> marks: FAN_MARK_BARRIER\n");
	for (w : 0 .. WRITERS - 1) {
		barred[w] = (counted(w) && !mapped[w])
	}
}

/* Who has recorded an event of a single group answers it before the flush. */
#if defined(ALTERNATE) || defined(UNLOCKED)
#define may_begin	1
#else
#define may_begin	(!busy)
#endif

inline begin_checkpoint()
{
	printf("checkpoint -> journal: opens period {next}\n");
	closing_list = open_list;
	open_list = 0;
#if defined(PENDING)
	pending = 1;
#elif !defined(ALTERNATE) && !defined(UNLOCKED)
	locked = 1;
#endif
	step = MARKS;
	sorted()
}

#ifdef BARRIER
#define AFTER_SYNC	CALL
#else
#define AFTER_SYNC	AFTER_BARRIER
#endif
#if defined(CRASH) && !defined(NO_SYNCFS)
#define AFTER_BARRIER	FORCE
#else
#define AFTER_BARRIER	SEAL
#endif
#ifdef ALTERNATE
#define AFTER_SEAL	UNSUBSCRIBE
#else
#define AFTER_SEAL	REST
#endif

#define not_synced(w)	(!synced[w])
#define not_barred(w)	(!barred[w])
#define not_by_old(w)	(!by_old[w])

#define at_rest		(step == REST && read_list == 0 && !last)

/* The next one begins when the reader is done with the list of the one before. */
proctype checkpoint()
{
	byte w;

	do
	:: d_step { at_rest && may_begin -> begin_checkpoint() }
	:: d_step { at_rest && each(is_idle) && posted == 0 && !busy ->
		last = 1;
		printf("checkpoint -> checkpoint: no more operations; a last checkpoint\n");
		begin_checkpoint() }
	:: d_step { step == MARKS ->
#ifdef ALTERNATE
		subscribe(w);
#else
		flush();
#endif
#ifdef SYNC
		sync(w);
		step = SYNCING;
#else
		step = AFTER_SYNC;
#endif
		sorted();
		w = 0 }
	:: d_step { step == SYNCING && each(not_synced) ->
		printf("marks -> checkpoint: FAN_MARK_SYNC has waited\n");
		step = AFTER_SYNC }
	:: d_step { step == CALL ->
		barrier(w);
		sorted();
		w = 0;
		step = QUEUED }
	:: d_step { step == QUEUED && each(not_barred) ->
		printf("marks -> checkpoint: FAN_Q_BARRIER\n");
		step = AFTER_BARRIER }
	/* Or the reader could have what a crash takes from the file. */
	:: d_step { step == FORCE ->
		printf("checkpoint -> disk: syncfs\n");
		dirty = 0;
		step = SEAL;
		sorted() }
	:: d_step { step == SEAL ->
		printf("checkpoint -> reader: period {closing}\n");
		read_list = closing_list;
		closing_list = 0;
		pending = 0;
		step = AFTER_SEAL;
		sorted() }
	/* The older group: no new questions, those that are left are answered. */
	:: d_step { step == UNSUBSCRIBE ->
		printf("checkpoint -> marks: the older group unsubscribes\n");
		old = 0;
		ignored_old = 0;
		step = DRAIN;
		sorted() }
	:: d_step { step == DRAIN && each(not_by_old) -> step = REST }
	:: d_step { step == REST && last && read_list == 0 ->
		printf("reader -> reader: has read the last period\n") } ->
		assert(fresh == 0);	/* FINAL */
		break
	od
}

/* Copied and crossed out in one step: the earliest that it may be forgotten. */
inline copy(f)
{
	printf("reader -> file %d: copy\n", f + 1);
	del(fresh, f);
	del(read_list, f);
	sorted()
}

proctype reader()
{
end:
	do
	:: d_step { in(read_list, 0) -> copy(0) }
	:: d_step { in(read_list, 1) -> copy(1) }
	od
}

/* An inode that no one uses can be evicted, and its ignore masks are gone. */
#define unused_0(w)	(is_idle(w) || file[w] != 0)
#define unused_1(w)	(is_idle(w) || file[w] != 1)

inline evict(f)
{
	printf("marks -> marks: inode of file %d evicted\n", f + 1);
	del(ignored, f);
	del(ignored_old, f);
	sorted()
}

proctype memory()
{
end:
	do
	:: d_step { in(ignored | ignored_old, 0) && each(unused_0) -> evict(0) }
	:: d_step { in(ignored | ignored_old, 1) && each(unused_1) -> evict(1) }
	od
}

#ifdef CRASH
/* What a dirty file has on disk is what the reader has copied, or not that. */
inline survives(f)
{
	if
	:: in(dirty, f) && in(fresh, f) ->
		printf("disk -> disk: file %d is changed\n", f + 1)
	:: in(dirty, f) && in(fresh, f) ->
		printf("disk -> disk: file %d is as it was\n", f + 1);
		del(fresh, f)
	:: in(dirty, f) && !in(fresh, f) ->
		printf("disk -> disk: file %d is changed\n", f + 1)
	:: in(dirty, f) && !in(fresh, f) ->
		printf("disk -> disk: file %d is as it was\n", f + 1);
		add(fresh, f)
	:: !in(dirty, f)
	fi
}

inline restart(w)
{
#ifdef RECOVER_ALL
	open_list = all_lists;
#else
	open_list = open_list | closing_list | read_list;
#endif
#ifdef RECOVER_ASKED
	open_list = open_list | posted;
	for (w : 0 .. WRITERS - 1) {
		if
		:: asked[w] -> add(open_list, file[w])
		:: else
		fi
	}
#endif
	closing_list = 0;
	read_list = 0;
	dirty = 0;
	for (w : 0 .. WRITERS - 1) {
		forget(w)
	}
	old = 0;
	ignored = 0;
	ignored_old = 0;
	posted = 0;
	busy = 0;
	locked = 0;
	pending = 0;
	unrecorded = 0;
	step = REST
}

proctype machine()
{
	byte w;

end:
	do
	:: atomic { !last ->
		printf("machine -> machine: CRASH\n");
		survives(0);
		survives(1);
		d_step {
			restart(w);
			w = 0;
			if
			:: open_list == 0 ->
				printf("journal -> listener: after restart: no file to report\n")
			:: open_list == 1 ->
				printf("journal -> listener: after restart: file 1 to report\n")
			:: open_list == 2 ->
				printf("journal -> listener: after restart: file 2 to report\n")
			:: open_list == 3 ->
				printf("journal -> listener: after restart: files 1 and 2 to report\n")
			fi;
			sorted()
		}
		assert((fresh & ~open_list) == 0) }	/* RECOVERY */
	od
}
#endif

init {
	byte w;

	atomic {
		for (w : 0 .. WRITERS - 1) {
			run writer(w)
		}
		run listener();
		run checkpoint();
		run reader();
		run memory();
#ifdef CRASH
		run machine();
#endif
		w = 0
	}
}
