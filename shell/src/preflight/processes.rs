//! Processes of a trial: isolated from the shell, and ended with all their descendants.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};

/// Limits of a trial, in bytes: no core dump, and no file or memory that would fill the machine. Every machine that a
/// library could be made for has more.
#[cfg(unix)]
const LIMITS: &[(Resource, u64)] =
    &[(Resource::Core, 0), (Resource::Fsize, 4 << 30), (Resource::Data, 8 << 30)];

/// Prepares this process for untrusted code. Every step is optional: a system that refuses it has other limits.
pub(crate) fn isolate() {
    #[cfg(unix)]
    {
        // No terminal, and a process group that can be ended at once.
        let _ = setsid();
        for (resource, most) in LIMITS {
            let now = getrlimit(*resource);
            let lower = |limit: Option<u64>| Some(limit.map_or(*most, |limit| limit.min(*most)));
            let limit = Rlimit { current: lower(now.current), maximum: lower(now.maximum) };
            let _ = setrlimit(*resource, limit);
        }
    }
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        // If memory runs out, the trial ends before the user's other processes.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
}

/// Makes this process the parent of its descendants' orphans, and able to read the status of its children.
pub(super) fn adopt() {
    #[cfg(target_os = "linux")]
    {
        // If it fails, an orphan escapes.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    #[cfg(unix)]
    {
        // A child inherits that its parent ignores the signal, and the system then keeps no status. Some systems do
        // not report that. Any handler overrides it, and the trial starts with the default.
        let flag = std::sync::Arc::default();
        let _ = signal_hook::flag::register(signal_hook::consts::SIGCHLD, flag);
    }
}

/// Ends all descendants of this process, which has [adopted](adopt) the orphans among them.
///
/// Linux only. Elsewhere a process that has left the trial's group keeps running.
#[cfg(target_os = "linux")]
pub(super) fn sweep() {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use rustix::process::{Signal, WaitOptions, getpid, kill_process, wait};

    /// Limit for code that starts processes faster than they are ended.
    const LIMIT: Duration = Duration::from_secs(1);

    let give_up = Instant::now() + LIMIT;
    loop {
        let left = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                // No child is left.
                Err(_) => break false,
            }
        };
        if !left || Instant::now() > give_up {
            return;
        }
        for process in descendants(getpid()) {
            // It may have ended by itself.
            let _ = kill_process(process, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sweep() {}

/// Returns the children of `ancestor`, their children, and so on.
#[cfg(target_os = "linux")]
fn descendants(ancestor: rustix::process::Pid) -> Vec<rustix::process::Pid> {
    let parent = |stat: &str| {
        // `PID (NAME) STATE PARENT …`; the name may contain anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let process: i32 = entry.file_name().to_str()?.parse().ok()?;
        Some((process, parent(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?))
    });
    let processes: Vec<(i32, i32)> = processes.collect();
    let mut found = vec![ancestor.as_raw_nonzero().get()];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(processes.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        at += 1;
    }
    found.into_iter().skip(1).filter_map(rustix::process::Pid::from_raw).collect()
}

/// Ends a child with the process group that it leads, and reaps it.
pub(super) fn end(child: &mut std::process::Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // The group is missing until the trial has made it.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // A child that has ended already cannot be killed.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn descendants_are_found() {
        let mut shell = Command::new("sh");
        // A name that looks like the end of a name.
        shell.args(["-c", "sleep 600 & echo $!; exec sh -c 'read line' ') S 1 '"]);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh starts");
        let mut line = String::new();
        let out = shell.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a number");
        let sleeps: i32 = line.trim().parse().expect("a number");
        let found = descendants(rustix::process::getpid());
        let found: Vec<i32> = found.iter().map(|process| process.as_raw_nonzero().get()).collect();
        assert!(found.contains(&sleeps), "{sleeps} in {found:?}");
        let sleeps = rustix::process::Pid::from_raw(sleeps).expect("a number");
        rustix::process::kill_process(sleeps, rustix::process::Signal::KILL).expect("it runs");
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
    }
}
