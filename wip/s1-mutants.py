import sys,subprocess,os,shutil
R='/work/s1m/'
def m(p,a,b): return (p,a,b)
M={
'queue_allows':[m('src/queue/questions.rs','''            if !keep.is_some_and(|process| event.was_read_by(process)) {
                self.put_back(reader, &event);
''','''            if !keep.is_some_and(|process| event.was_read_by(process)) {
                let _ = self.answer(reader, from - 1, Reply::of(Verdict::Allow)).map(core::mem::forget);
''')],
'post_lost':[m('src/queue.rs','''        self.questions.put_back_some(reader, from, keep)
''','''        if let Some(p) = self.posts.take() {
            core::mem::forget(p);
        }
        self.questions.put_back_some(reader, from, keep)
''')],
'own_keeps':[m('src/group.rs','''        if self.listeners.own(reader) {
            self.put_back_all(reader, Some(Id::of_current_process()));
        }
''','''        let _ = self.listeners.own(reader);
''')],
'closed_allows':[m('src/group.rs','''            Verdict::Deny(EIO)
        } else {''','''            Verdict::Allow
        } else {''')],
'cancel_read':[m('src/queue/questions.rs','''        let was_read = reader.is_some();

        self.pending -= 1;
        if !was_read {
            self.taken(event);
        }
        trace::answer(self.group, cookie, EINTR.to_errno(), By::Signal);
        Some((removed, was_read))
''','''        let was_read = reader.is_some();

        self.pending -= 1;
        if !was_read {
            self.taken(event);
        }
        trace::answer(self.group, cookie, EINTR.to_errno(), By::Signal);
        Some((removed, true))
''')],
'not_bounded':[m('src/queue/turn.rs','''        let others_first = if behind {''','''        let others_first = if behind && self.pre > 1000 {''')],
'lifo':[m('src/queue/questions.rs','''fn by_cookie(cookie: u64) -> Key {
''','''fn by_cookie(cookie: u64) -> Key {
    let cookie = !cookie;
''')],
'leak':[m('src/queue.rs','''    fn remnant(&mut self, (referred, room): Removed) -> Remnant {
''','''    fn remnant(&mut self, (referred, room): Removed) -> Remnant {
        core::mem::forget(referred);
        let referred = None;
''')],
'post_dropped':[m('src/queue.rs','''        if post.is_limited() {
            return self.posts.push_limited(post);
        }
''','''        if post.is_limited() {
            return self.posts.push_limited(post);
        }
        if post.cookie() % 64 == 0 {
            return Err(post);
        }
''')],
'not_ignored':[m('src/group.rs','let ignored = if answer.ignore {','let ignored = if answer.ignore && answer.cookie == 0 {')],
}
out='/work/s1/build/mutants'; os.makedirs(out,exist_ok=True)
for n in sys.argv[1:] or M:
    subprocess.check_call(['git','-C',R,'checkout','-q','--','src'])
    for p,a,b in M[n]:
        s=open(R+p).read(); assert s.count(a)==1,(n,p,s.count(a)); open(R+p,'w').write(s.replace(a,b))
    if os.environ.get('DRY'): print(n,'ok'); continue
    r=subprocess.run(['scripts/build-module','plain'],cwd=R,capture_output=True,text=True)
    if r.returncode: print(n,'FAILED',r.stdout[-1500:],r.stderr[-1500:]); continue
    shutil.copy(R+'build/module-plain/vfs_filter.ko',f'{out}/{n}.ko'); print(n,'built',flush=True)
