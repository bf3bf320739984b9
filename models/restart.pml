/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What becomes of questions when a listener dies, and of what it had closed.
 *
 * A group that fails closed (FAN_FAIL_CLOSED) is asked about each operation. Its
 * workers each have a queue (FAN_IOC_QUEUE), by which they read and answer; they
 * die at any step, and a supervisor starts others. It keeps the group's own
 * descriptor, which is closed at any step too: then the group denies what it has
 * marked, until another group takes that over. docs/restart.md draws it; the
 * macros below choose what is done wrong, models/restart-variants names that.
 *
 * Numbers: two tasks, each with any number of operations, one at a time; two
 * workers at a time, who die and are started again any number of times; two
 * groups at a time, each of which takes over from the other any number of times.
 * That is a finite number of states because nothing counts: what has ended is
 * forgotten. An operation has one question at a time, as one group after the
 * other is asked, so a question is known by its task. An answer that was begun
 * for a question that is decided meanwhile is STALE: its cookie is no one's.
 *
 * What is checked:
 *
 * (a) No operation runs that was not asked about (UNASKED): when it starts, a
 *     listener has allowed it. But for those that were under way at a moment at
 *     which nothing was closed, since an administrator had lifted it: "exposed".
 * (b) No question is answered twice (TWICE).
 * (c) A question is answered by the one that has read it last, and has not lost
 *     it since (STRANGER).
 * (d) Each task gets its verdict (HANGS). At any moment no more operations
 *     begin, and no one dies any more. From there each step brings the end
 *     nearer, so it is enough that no task waits when nothing more can happen.
 *     Until then, a task that waits can be killed.
 * (e) A group that listens is told the end (POST) of each operation that it was
 *     asked about, if that question was read and allowed, or its task was killed
 *     after it was read; once, and of no other (POSTS).
 *
 * Each step is what is done under one lock, or is one look at marks. A walk along
 * the marks looks at one group after the other, sees the mark of a group in one
 * step and uses it in another, and is a reader of the mark SRCU meanwhile. Group 1
 * comes first, whichever is older: in the kernel the older one does, but a new
 * group can have the place of one that is gone here, so that either is searched.
 * At the beginning group 2 has its mark, and group 1 is there and has none yet.
 * A step prints "FROM -> TO: text", for scripts/model-trace.
 */

/*
 * LIFT: an administrator lifts sentinels. DEADLINE: a task can have waited long
 * enough, and is denied (FAN_IOC_DEADLINE).
 *
 * What a variant does wrong: ANY_ANSWERS: whoever knows the cookie can answer what
 * was read; LATE: who has lost a question can answer it when another has read it; CHECKED:
 * an answer is checked in one step and given in another; NO_PUT_BACK: what the
 * dead have read stays theirs; POST_OF_READER: a POST goes with who has answered;
 * NO_SYNC: what is taken over goes before all look at the new mark; WINDOW: a
 * sentinel is made after the group was released; KILLED: who takes over does not
 * look if it is a sentinel itself by then; FAIL_OPEN: no FAN_FAIL_CLOSED.
 */

#define in(set, x)	(((set) >> (x)) & 1)
#define add(set, x)	set = set | (1 << (x))
#define del(set, x)	set = set & ~(1 << (x))

mtype = {
	IDLE,
	LOOK,		/* walks along the marks, and is about to look for one */
	SEEN,		/* has found a mark, and not yet asked its group */
	WAITS,
	GOES		/* runs */
};

mtype task_is[2] = IDLE;
bit place[2];		/* the group that the walk is at, or that is asked */
byte asked[2];		/* groups that have allowed it */
bit allowed[2];		/* by one that may be gone by now */
byte reserved[2];	/* groups that are to have its POST */
byte heard[2];		/* (e): groups that are owed one */
bit exposed[2];
byte reader[2];		/* who has read the question, from 1 on; 0: no one */

#define NOBODY	3	/* NO_PUT_BACK: one who is dead */

mtype = { GONE, ALIVE, GOING };

mtype worker_is[2] = GONE;
byte writing[2];	/* task that is being answered, from 1 on; 0: none */

#define STALE	3

mtype = { NONE, LISTENS, RELEASED, SENTINEL };

mtype group_is[2] = NONE;
bit mark[2];
byte before[2];		/* tasks that may not have seen this mark in their walk */

bit unclosed;		/* an administrator has lifted it, and no one closed it since */
bit last;		/* no more operations, and no more deaths */

#ifdef POST_OF_READER
byte by[4];
#endif
#ifdef LATE
byte former[2];		/* those who had read the question, as a set */
#endif

#define walks(t)	(task_is[t] == LOOK || task_is[t] == SEEN)
#define asks(t)		(task_is[t] == WAITS && group_is[place[t]] == LISTENS)
#define in_effect(g)	(mark[g] && before[g] == 0)

/* Without a choice: what follows one is there twice in what Spin makes of a d_step. */
inline outdate(t)
{
	writing[0] = (writing[0] == t + 1 -> STALE : writing[0]);
	writing[1] = (writing[1] == t + 1 -> STALE : writing[1]);
#ifdef LATE
	former[t] = 0;
#endif
	reader[t] = 0
}

/* Out of the read section of the mark SRCU. */
inline leave(t)
{
	del(before[0], t);
	del(before[1], t);
	unclosed = unclosed && !in_effect(0) && !in_effect(1)
}

/* "{0}" is about what is not so: scripts/model-trace leaves that line out. */
inline tell(t, g)
{
	assert(group_is[g] != LISTENS || in(reserved[t], g) == in(heard[t], g));	/* POSTS */
	printf("task %d -> group %d: POST{%d}\n", t + 1, g + 1,
	       in(reserved[t], g) && group_is[g] == LISTENS)
}

/* The operation ends, or does not start. */
inline finish(t)
{
	tell(t, 0);
	tell(t, 1);
	outdate(t);
	leave(t);
	task_is[t] = IDLE;
	place[t] = 0;
	asked[t] = 0;
	allowed[t] = 0;
	reserved[t] = 0;
	heard[t] = 0;
	exposed[t] = 0
#ifdef POST_OF_READER
	; by[2 * (t)] = 0;
	by[2 * (t) + 1] = 0
#endif
}

inline refuse(t)
{
	del(reserved[t], place[t]);
	finish(t)
}

inline go_on(t)
{
	if
	:: place[t] == 0 ->
		place[t] = 1;
		task_is[t] = LOOK
	:: else ->
		printf("task %d -> task %d: runs\n", t + 1, t + 1);
		assert(allowed[t] || exposed[t]);	/* UNASKED */
		place[t] = 0;
		task_is[t] = GOES;
		leave(t)
	fi
}

inline look(t)
{
	if
	:: mark[place[t]] && !in(asked[t], place[t]) ->
		task_is[t] = SEEN
	:: else ->
		printf("task %d -> group %d: has no mark{%d}\n", t + 1, place[t] + 1,
		       !mark[place[t]]);
		go_on(t)
	fi
}

inline use(t)
{
	if
	:: group_is[place[t]] == LISTENS ->
		printf("task %d -> group %d: PRE\n", t + 1, place[t] + 1);
		add(reserved[t], place[t]);
		task_is[t] = WAITS;
		leave(t)
#if defined(WINDOW) || defined(FAIL_OPEN)
	:: group_is[place[t]] == RELEASED || group_is[place[t]] == NONE ->
		printf("task %d -> group %d: no one to ask\n", t + 1, place[t] + 1);
		go_on(t)
#endif
	:: else ->
		printf("group %d -> task %d: EIO, as it is closed\n", place[t] + 1, t + 1);
		refuse(t)
	fi
}

/* Killed while it waits. */
inline interrupt(t)
{
	printf("task %d -> task %d: killed\n", t + 1, t + 1);
	reserved[t] = (reader[t] -> reserved[t] : reserved[t] & ~(1 << place[t]));
	heard[t] = (reader[t] -> heard[t] | (1 << place[t]) : heard[t]);
	finish(t)
}

/* The group that it waits for was closed. */
inline end_wait(t)
{
#ifdef FAIL_OPEN
	printf("group %d -> task %d: ALLOW, as it is closed\n", place[t] + 1, t + 1);
	del(reserved[t], place[t]);
	outdate(t);
	go_on(t)
#else
	printf("group %d -> task %d: EIO, as it is closed\n", place[t] + 1, t + 1);
	refuse(t)
#endif
}

proctype task(byte t)
{
end:
	do
	:: d_step { task_is[t] == IDLE && !last ->
		printf("task %d -> task %d: begins an operation\n", t + 1, t + 1);
		exposed[t] = unclosed;
		task_is[t] = LOOK }
	:: d_step { task_is[t] == LOOK -> look(t) }
	:: d_step { task_is[t] == SEEN -> use(t) }
	:: d_step { task_is[t] == GOES ->
		printf("task %d -> task %d: operation ends\n", t + 1, t + 1);
		finish(t) }
	:: d_step { asks(t) && !last -> interrupt(t) }
	:: d_step { task_is[t] == WAITS && group_is[place[t]] != LISTENS -> end_wait(t) }
#ifdef DEADLINE
	:: d_step { asks(t) ->
		printf("task %d -> task %d: has waited long enough\n", t + 1, t + 1);
		refuse(t) }
#endif
	od
}

#define is_unread(t)	(asks(t) && reader[t] == 0)
#define has(w, t)	(asks(t) && reader[t] == w + 1)

inline read_question(w, t)
{
	printf("group %d -> worker %d: PRE of task %d\n", place[t] + 1, w + 1, t + 1);
	reader[t] = w + 1
}

/* May it be answered by this one? */
#if defined(ANY_ANSWERS)
#define is_accepted(w, t)	(asks(t) && reader[t] != 0)
#elif defined(LATE)
#define is_accepted(w, t)	(has(w, t) || (asks(t) && reader[t] != 0 && in(former[t], w)))
#elif defined(CHECKED)
#define is_accepted(w, t)	asks(t)
#else
#define is_accepted(w, t)	has(w, t)
#endif

/* It is up to user space what it tries, until what is wanted is an end. */
#ifdef CHECKED
#define may_try(w, t)	has(w, t)
#else
#define may_try(w, t)	(asks(t) && (!last || has(w, t)))
#endif

inline begin_answer(w, t)
{
	printf("worker %d -> worker %d: write(2) of an answer to task %d\n", w + 1, w + 1, t + 1);
	writing[w] = t + 1
}

inline fail_answer(w)
{
	printf("worker %d -> worker %d: ENOENT\n", w + 1, w + 1);
	writing[w] = 0
}

/* An answer is taken: what the question was is forgotten. */
inline take_answer(w, t, verdict)
{
	assert(reader[t] == w + 1);	/* STRANGER */
	writing[w] = 0;
	if
	:: verdict ->
		printf("worker %d -> task %d: ALLOW\n", w + 1, t + 1);
		add(asked[t], place[t]);
		allowed[t] = 1;
		add(heard[t], place[t]);
#ifdef POST_OF_READER
		by[2 * (t) + place[t]] = w + 1;
#endif
		outdate(t);
		place[t] = 0;
		task_is[t] = LOOK
	:: else ->
		printf("worker %d -> task %d: DENY\n", w + 1, t + 1);
		refuse(t)
	fi
}

inline end_answer(w, t, verdict)
{
	if
	:: is_accepted(w, t) -> take_answer(w, t, verdict)
	:: else -> fail_answer(w)
	fi
}

inline end_stale(w)
{
#ifdef CHECKED
	printf("worker %d -> group 1: an answer to what has one\n", w + 1);
	assert(writing[w] != STALE)	/* TWICE */
#else
	fail_answer(w)
#endif
}

/* Its queue is closed, or the kernel has found that nothing else can come of it. */
inline put_back(w, t)
{
#ifdef NO_PUT_BACK
	reader[t] = NOBODY
#else
	printf("worker %d -> group %d: what was asked by task %d is to be read again\n",
	       w + 1, place[t] + 1, t + 1);
#ifdef LATE
	add(former[t], w);
#endif
	reader[t] = 0
#endif
}

#ifdef POST_OF_READER
inline drop_post(w, t, g)
{
	reserved[t] = (by[2 * (t) + g] == w + 1 -> reserved[t] & ~(1 << g) : reserved[t]);
	by[2 * (t) + g] = (by[2 * (t) + g] == w + 1 -> 0 : by[2 * (t) + g])
}
#endif

inline close_queue(w)
{
	printf("worker %d -> worker %d: is gone\n", w + 1, w + 1);
#ifdef POST_OF_READER
	drop_post(w, 0, 0);
	drop_post(w, 0, 1);
	drop_post(w, 1, 0);
	drop_post(w, 1, 1);
#endif
#ifdef LATE
	del(former[0], w);
	del(former[1], w);
#endif
	worker_is[w] = GONE
}

proctype worker(byte w)
{
end:
	do
	:: d_step { worker_is[w] == GONE && (group_is[0] == LISTENS || group_is[1] == LISTENS) ->
		printf("supervisor -> worker %d: starts it\n", w + 1);
		worker_is[w] = ALIVE }
	:: d_step { worker_is[w] == ALIVE && is_unread(0) -> read_question(w, 0) }
	:: d_step { worker_is[w] == ALIVE && is_unread(1) -> read_question(w, 1) }
	:: d_step { worker_is[w] == ALIVE && !writing[w] && may_try(w, 0) -> begin_answer(w, 0) }
	:: d_step { worker_is[w] == ALIVE && !writing[w] && may_try(w, 1) -> begin_answer(w, 1) }
	/* A system call that was begun goes on, whatever happens to its process. */
	:: d_step { writing[w] == 1 -> end_answer(w, 0, true) }
	:: d_step { writing[w] == 1 -> end_answer(w, 0, false) }
	:: d_step { writing[w] == 2 -> end_answer(w, 1, true) }
	:: d_step { writing[w] == 2 -> end_answer(w, 1, false) }
	:: d_step { writing[w] == STALE -> end_stale(w) }
	:: d_step { worker_is[w] == ALIVE && !last ->
		printf("worker %d -> worker %d: is killed\n", w + 1, w + 1);
		worker_is[w] = GOING }
	:: d_step { worker_is[w] == GOING && has(w, 0) -> put_back(w, 0) }
	:: d_step { worker_is[w] == GOING && has(w, 1) -> put_back(w, 1) }
	:: d_step { worker_is[w] == GOING && !has(w, 0) && !has(w, 1) && !writing[w] ->
		close_queue(w) }
	od
}

#define refers_to(t, g)	((task_is[t] == SEEN || task_is[t] == WAITS) && place[t] == g)
#define is_used(g)	(refers_to(0, g) || refers_to(1, g))

/* It is no group any more, and another one may have its place. */
inline forget_group(t, gone)
{
	del(asked[t], gone);
	del(reserved[t], gone);
	del(heard[t], gone)
}

inline end_group(gone)
{
	group_is[gone] = NONE;
	mark[gone] = 0;
	before[gone] = 0;
	forget_group(0, gone);
	forget_group(1, gone)
}

inline mark_it(g)
{
	printf("supervisor -> group %d: fanotify_mark\n", g + 1);
	mark[g] = 1;
	before[g] = walks(0) | (walks(1) << 1);
	unclosed = unclosed && !in_effect(g)
}

inline take_over(g)
{
	printf("group %d -> group %d: takes over, its mark goes\n", g + 1, 2 - g);
	end_group(1 - g)
}

#ifdef WINDOW
#define CLOSED	RELEASED
#else
#define CLOSED	SENTINEL
#endif

inline close_group(g)
{
	printf("supervisor -> group %d: close\n", g + 1);
#ifdef FAIL_OPEN
	end_group(g)
#else
	if
	:: mark[g] -> group_is[g] = CLOSED
	:: else -> end_group(g)
	fi
#endif
}

#ifdef LIFT
/* Who is under way passes, unless another one has closed it all the time. */
inline lift(g)
{
	printf("administrator -> group %d: lift\n", g + 1);
	unclosed = !in_effect(1 - g);
	exposed[0] = exposed[0] || (unclosed && task_is[0] != IDLE);
	exposed[1] = exposed[1] || (unclosed && task_is[1] != IDLE);
	end_group(g)
}
#endif

#ifdef NO_SYNC
#define is_synced(g)	1
#else
#define is_synced(g)	(before[g] == 0)
#endif

/* What is done with it: by its supervisor, or by the kernel. */
proctype group(byte g)
{
end:
	do
	:: d_step { group_is[g] == NONE && !is_used(g) && !last ->
		printf("supervisor -> group %d: fanotify_init\n", g + 1);
		group_is[g] = LISTENS }
	:: d_step { group_is[g] == LISTENS && !mark[g] -> mark_it(g) }
	:: d_step { group_is[g] == LISTENS && mark[g] && is_synced(g) &&
		    group_is[1 - g] == SENTINEL -> take_over(g) }
	:: d_step { group_is[g] == LISTENS && !last -> close_group(g) }
#ifdef KILLED
	:: d_step { group_is[g] == SENTINEL && is_synced(g) && group_is[1 - g] == SENTINEL ->
		take_over(g);
		printf("group %d -> group %d: is a sentinel, and takes its own mark\n", g + 1, g + 1);
		end_group(g) }
#endif
#ifdef WINDOW
	:: d_step { group_is[g] == RELEASED ->
		printf("group %d -> group %d: becomes a sentinel\n", g + 1, g + 1);
		group_is[g] = SENTINEL }
#endif
#ifdef LIFT
	:: d_step { group_is[g] == SENTINEL && !last -> lift(g) }
#endif
	od
}

proctype judge()
{
end:
	do
	:: d_step { !last ->
		printf("supervisor -> supervisor: no more operations, and no one dies\n");
		last = 1 }
	/* When nothing else is left to be done. */
	:: d_step { last && timeout && (task_is[0] != IDLE || task_is[1] != IDLE) ->
		assert(task_is[0] == IDLE && task_is[1] == IDLE) }	/* HANGS */
	od
}

init {
	atomic {
		group_is[0] = LISTENS;
		group_is[1] = LISTENS;
		mark[1] = 1;
		run task(0);
		run task(1);
		run worker(0);
		run worker(1);
		run group(0);
		run group(1);
		run judge()
	}
}
