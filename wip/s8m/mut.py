import sys
def sub(p, a, b, n=1):
    s=open(p).read(); assert s.count(a)>=1, (p,a); s=s.replace(a,b,n); open(p,'w').write(s)
batch=sys.argv[1]
Q='src/queue/questions.rs'
if batch=='1':
    # m1 a killed task is not traced
    sub(Q,"        trace::answer(self.group, cookie, EINTR.to_errno(), By::Signal);\n","")
    # m2 a close is not traced
    sub(Q,"            trace::answer(self.group, event.cookie(), verdict.error(), By::Close);\n","            let _ = (self.group, By::Close);\n")
    # m3 a deadline is the listener's
    sub(Q,"            By::Deadline\n","            By::Listener\n")
    # m4 no end of barriers
    sub('src/queue/barriers.rs',"        trace::barrier(self.group, key.1, true);\n","")
    # m5 lost posts are traced
    sub('src/queue/posts.rs',"            self.lose();\n            return Err(post);","            trace::post(self.group, post.cookie(), post.mask(Form::Post), post.result());\n            self.lose();\n            return Err(post);")
    # m6 what is put back is traced again
    sub(Q,"        event.set_unread();\n        self.added(event);\n","        event.set_unread();\n        self.added(event);\n        trace::pre(self.group, event.cookie(), event.mask(Form::Pre));\n")
    # m7 the oldest of the first reader only
    sub(Q,"            from = key.0 + 1;\n","            from = usize::MAX;\n")
    # m8 the age of what was read is 0
    sub('src/event.rs',"        self.since.elapsed()\n","        if self.reader().is_some() { 0 } else { self.since.elapsed() }\n")
if batch=='2':
    # m9 denials are traced as 0
    sub(Q,"trace::answer(self.group, cookie, reply.verdict.error(), by);","trace::answer(self.group, cookie, 0, by);")
    # m10 posts have the number of no group; second group's id is the same in fdinfo
    sub('src/queue/posts.rs',"        Self {\n            group,","        let _ = group;\n        Self {\n            group: 1,")
    sub('src/file.rs',"group.number(),\n            oldest","1,\n            oldest")
    # m12 what was not read is no one's
    sub(Q,"        let Some(key) = self.oldest_read() else {\n            return unread;\n        };","        let key = self.oldest_read()?;")
if batch=='3':
    # m13 an ignored end is traced
    sub('src/queue/questions.rs',"        remove(&mut self.in_flight, event.in_flight()?)","        trace::post(self.group, event.cookie(), event.mask(Form::Post), 0);\n        remove(&mut self.in_flight, event.in_flight()?)")
    # m14 no pid
    sub('src/file.rs',"pid.map_or(0, |pid| pid.nr_for_reader(m)),\n            oldest","pid.map_or(0, |pid| pid.nr_for_reader(m) + 1),\n            oldest")
    # m15 barriers begin when they end
    sub('src/queue/barriers.rs',"        trace::barrier(self.group, key.1, false);\n","")
    # m16 the age is that of the operation's boot
    sub('src/sys/moment.rs',"Self::now().0.wrapping_sub(self.0)","Self::now().0.wrapping_sub(self.0) + 5000")
