// SPDX-License-Identifier: GPL-2.0
//! Is asked before each write on the file system of PATH, and told its result.
use vfs_filter::{Answer, Errno, Events, Group, Kind, Mark};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: listener PATH")?;
    let group = Group::builder().report_name(true).init()?;
    group.mark(&Mark::filesystem(&path).events(Events::MODIFY))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        for event in group.read(&mut buffer)? {
            let event = event?;
            let (cookie, range) = (event.cookie, event.range);
            let name = event.name.as_ref().map_or("?".as_ref(), |entry| entry.name);
            match event.kind {
                Kind::Pre if name == "precious" => {
                    println!("#{cookie} {name:?} is not to be written: no");
                    group.answer(&[Answer::deny(cookie, Errno::PERM)])?;
                }
                Kind::Pre => {
                    println!("#{cookie} {name:?} is about to be written, {range:?}: yes");
                    group.answer(&[Answer::allow(cookie)])?;
                }
                Kind::Post { result } => println!("#{cookie} {name:?} was: {result:?}"),
                _ => println!("events were lost"),
            }
        }
    }
}
