import sys
def edit(p,*subs):
    s=open(p).read()
    for a,b in subs:
        assert s.count(a)>=1,(p,a)
        s=s.replace(a,b,1)
    open(p,'w').write(s)
edit('src/event.rs',
('    reader: Atomic<usize>,\n','    reader: Atomic<usize>,\n    former: Atomic<usize>,\n'),
('            reader: Atomic::new(NO_READER),\n','            reader: Atomic::new(NO_READER),\n            former: Atomic::new(NO_READER),\n'),
('        self.reader.store(NO_READER, Relaxed);\n','        self.former.store(self.reader.load(Relaxed), Relaxed);\n        self.reader.store(NO_READER, Relaxed);\n'),
('    /// It is not read.\n','    pub(crate) fn former(&self) -> usize {\n        self.former.load(Relaxed)\n    }\n\n    /// It is not read.\n'))
edit('src/queue/questions.rs',
('''        self.settle(Some(reader), cookie, reply).ok_or(ENOENT)
''','''        let had = |q: &Question| {
            let r = q.referred.as_ref();
            r.is_some_and(|r| r.event.former() == reader.nr())
        };
        let by = self.read.iter().find(|(k, q)| k.1 == cookie && had(q));
        let reader = by.map_or(reader, |(k, _)| Reader::from_nr(k.0));

        self.settle(Some(reader), cookie, reply).ok_or(ENOENT)
'''))
edit('src/group.rs',
('    #[pin]\n    readers: PollCondVar,\n','    late: Atomic<u32>,\n    #[pin]\n    readers: PollCondVar,\n'),
('                records: AtomicRecords::new(),\n','                records: AtomicRecords::new(),\n                late: Atomic::new(0),\n'),
('self.fails_closed() && self.queue.lock().is_closed()','self.fails_closed() && self.late.load(Relaxed) == 1'),
('Err(_) if self.fails_closed() => Err(EIO)','Err(_) if self.is_sentinel() => Err(EIO)'),
('''        let mut queue = self.queue.lock();
        // The event before the barriers that wait for it.
''','''        let post = post.filter(|_| {
            let reader = event.reader();
            reader.is_none_or(|r| self.listeners.with_process(r, |_| ()).is_some())
        });
        let mut queue = self.queue.lock();
        // The event before the barriers that wait for it.
'''),
('''        // Whoever had it is no one special to what remains of it.
''','''        if self.fails_closed() {
            kernel::time::delay::fsleep(kernel::time::Delta::from_millis(30));
        }
        self.late.store(1, Relaxed);
        // Whoever had it is no one special to what remains of it.
'''))
