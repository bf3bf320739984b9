import sys,subprocess
M={
'eperm':[('src/file.rs','if is_for_admins(cmd) && !capability::is_admin() {','if is_for_admins(cmd) && !capability::is_admin() && cmd == 0 {')],
'eperm_late':[('src/file.rs','''        if is_for_admins(cmd) && !capability::is_admin() {
            return Err(EPERM);
        }
        if cmd != FIONREAD && group.get().is_closed() {
            return Err(if is_known(cmd) { ENOENT } else { ENOTTY });
        }
''','''        if cmd != FIONREAD && group.get().is_closed() {
            return Err(if is_known(cmd) { ENOENT } else { ENOTTY });
        }
        if is_for_admins(cmd) && !capability::is_admin() {
            return Err(EPERM);
        }
''')],
'own':[('src/group.rs','if self.listeners.own(reader) {','if reader == Reader::from_nr(9999) && self.listeners.own(reader) {')],
'queue_stays':[('src/group.rs','        self.put_back_all(reader, None);\n        self.listeners.remove(reader);','        self.put_back_all(reader, None);')],
'queue_not_exempt':[('src/listeners.rs','        self.ids[place].set(listener.process.id());\n        places.listeners[place] = Some(listener);','        places.listeners[place] = Some(listener);')],
'no_put_back':[('src/group.rs','        self.put_back_all(reader, None);\n        self.listeners.remove(reader);','        self.listeners.remove(reader);')],
'close_allows':[('src/group.rs','            Verdict::Deny(EIO)\n        } else {','            Verdict::Allow\n        } else {')],
'ask_allows':[('src/group.rs','            Err(_) if self.fails_closed() => Err(EIO),\n',''),('src/group.rs','self.fails_closed() && self.queue.lock().is_closed()','self.fails_closed() && self.queue.lock().is_closed() && self.number == 0')],
'full':[('src/queue.rs','        if self.closed {\n            return Err((question, room));','        if self.closed || self.posts.overflows() > 0 {\n            return Err((question, room));')],
'nomarks':[('src/sys/class.rs','impl<C: Class> ClassGroup<C> {','''impl<C: Class> ClassGroup<C> {
    /// Mutant.
    pub(crate) fn has_no_marks(&self) -> bool {
        // SAFETY: Mutant.
        let lists = unsafe { &(*self.inner.get()).marks_lists };

        lists.iter().all(|list| core::ptr::eq(list.next, list))
    }
'''),('src/op.rs','    let exempt = is_exempt(group, op);\n\n    if exempt','    let exempt = is_exempt(group, op);\n\n    if group.has_no_marks() { return Ok(false); }\n    if exempt')],
'onemark':[('src/sys/class.rs','impl<C: Class> ClassGroup<C> {','''impl<C: Class> ClassGroup<C> {
    /// Mutant.
    pub(crate) fn has_one_mark(&self) -> bool {
        // SAFETY: Mutant.
        let lists = unsafe { &(*self.inner.get()).marks_lists };

        lists
            .iter()
            // SAFETY: Mutant.
            .filter(|list| !core::ptr::eq(list.next, *list) && unsafe { core::ptr::eq((*list.next).next, *list) })
            .count()
            == 1
    }
'''),('src/op.rs','    let exempt = is_exempt(group, op);\n\n    if exempt','    let exempt = is_exempt(group, op);\n\n    if group.has_one_mark() { return Ok(false); }\n    if exempt')],
'nomarks_wait':[('src/sys/class.rs','impl<C: Class> ClassGroup<C> {','''impl<C: Class> ClassGroup<C> {
    /// Mutant.
    pub(crate) fn has_no_marks(&self) -> bool {
        // SAFETY: Mutant.
        let lists = unsafe { &(*self.inner.get()).marks_lists };

        lists.iter().all(|list| core::ptr::eq(list.next, list))
    }
'''),('src/op.rs','            return Ok(());\n        };\n','            return Ok(());\n        };\n        if record.group.has_no_marks() { return Ok(()); }\n')],
'one_group':[('src/op.rs','    let exempt = is_exempt(group, op);\n\n    if exempt','    let exempt = is_exempt(group, op);\n\n    if op.attached().is_some() { return Ok(false); }\n    if exempt')],
'queue_close_answers':[('src/group.rs','        self.put_back_all(reader, None);\n        self.listeners.remove(reader);','        self.listeners.remove(reader);\n        self.queue.lock().close_for_test();'),('src/queue.rs','    /// Nothing is queued from here on. Returns','    pub(crate) fn close_for_test(&mut self) { self.questions.close().answer_all(Verdict::Allow); }\n    /// Nothing is queued from here on. Returns')],
'interruptible':[('src/sys/completion.rs','bindings::fsnotify_op_wait(self.inner.get(), timeout)','{ let _ = timeout; bindings::wait_for_completion_interruptible(self.inner.get()) }')],
'killable':[('src/sys/completion.rs','bindings::fsnotify_op_wait(self.inner.get(), timeout)','{ let _ = timeout; bindings::wait_for_completion_killable(self.inner.get()) }')],
'uninterruptible':[('src/sys/completion.rs','match to_result(unsafe { bindings::fsnotify_op_wait(self.inner.get(), timeout) }) {','let _ = timeout;\n        match to_result(unsafe { bindings::wait_for_completion(self.inner.get()); 0 }) {')],
'killed_allows':[('src/group.rs','                        Some((_, was_read)) => return Err(Refusal::Killed { was_read }),','                        Some((_, _)) => return Ok(()),')],
'killed_read':[('src/group.rs','Some((_, was_read)) => return Err(Refusal::Killed { was_read }),','Some((_, _)) => return Err(Refusal::Killed { was_read: true }),')],
'killed_unread':[('src/group.rs','Some((_, was_read)) => return Err(Refusal::Killed { was_read }),','Some((_, _)) => return Err(Refusal::Killed { was_read: false }),')],
'pid_global':[('src/sys/pid.rs','unsafe { bindings::pid_vnr(self.as_ptr()) }','unsafe { bindings::pid_nr(self.as_ptr()) }')],
'owner_global':[('src/sys/pid.rs','unsafe { bindings::seq_pid_nr(m, self.as_ptr()) }','unsafe { let _: *mut bindings::seq_file = m; bindings::pid_nr(self.as_ptr()) }')],
'owner_current':[('src/file.rs','process.nr_for_reader(m));','process.nr());')],
'pre_passes':[('src/op.rs','    let exempt = is_exempt(group, op);\n\n    if exempt','    let exempt = is_exempt(group, op);\n\n    if !op.is_probe() { return Ok(false); }\n    if exempt')],
'no_cgroups':[('src/op.rs','        || group.exempt_cgroups().any(|cgroup| op.is_in(cgroup))\n','')],
}
name=sys.argv[1]
for f,a,b in M[name]:
    s=open(f).read()
    if s.count(a)<1: sys.exit(f'{name}: not found in {f}: {a[:50]}')
    open(f,'w').write(s.replace(a,b,1))
