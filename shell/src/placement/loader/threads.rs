//! Which threads of this process may still run a library's code.
//!
//! Unmapping code that runs, or that something returns to, ends the process; keeping a library costs its memory.
//! So whatever cannot be decided is a reason to keep it.
//!
//! On Linux a thread is looked at when it started after the library was loaded: no other can have been started by
//! its code. The thread on which the host ran the remote is joined before, and a library whose shared crates are in
//! use by others is not unloaded at all; that is the federation's part. What is asked about a thread, in this order:
//!
//! 1. *Has it ended?* A joined thread runs nothing any more and stands in `/proc` for a moment still.
//! 2. *Whose code started it?* The C library notes the function that a thread starts with beside the head of its
//!    list of robust mutexes, and the kernel tells where that is, of a running thread too. Each library has its
//!    own copy of Rust's standard library, so the function is in the library whose code called `spawn`. This is
//!    exact: other generations have other addresses. A thread that this program has started enters a library only
//!    through what others use, see above, and is not asked further.
//! 3. *Is a call into the library under way?* The kernel tells the stack pointer of a thread that waits. A word
//!    between there and the stack's end that is an address in the library's code may be where a call returns to.
//!    It may also be left over from a call that has ended, or be anything else: that keeps a library for nothing.
//!    A thread that was started by other code and does not wait is not asked: such threads enter a library only
//!    through what others use, see above.
//!
//! A thread of which neither 2 nor 3 can be answered counts, and every thread when it is not known where the library
//! is. Everyone is looked at again for [`PATIENCE`], because threads that have been told to end need a moment; and a
//! last time after nobody was found, because a thread may have started another just before it ended.
//!
//! Elsewhere nothing of this can be known without pausing threads, and libraries are kept: see
//! [`Library::unload`](super::Library::unload).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::library;

/// How long threads may take to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// More than this of one stack is not read: then it counts.
const LONGEST_STACK: usize = 16 << 20;

/// What is read on both sides of the head of a thread's robust mutexes; the C library's notes on a thread are
/// shorter.
const NOTES: Range<usize> = 0x400..0x800;

/// A thread, told apart from later ones with its number by when it started.
type Task = (i32, u64);

/// The threads of this process at one time.
pub(super) struct Tasks(BTreeSet<Task>);

impl Tasks {
    /// All that run now.
    pub(super) fn now() -> Self {
        Self(tasks().map(|seen| seen.task).collect())
    }

    /// The names of the threads that started later and may run code of the library that is mapped from `copy`.
    ///
    /// Waits for up to [`PATIENCE`] in all.
    pub(super) fn left_behind(&self, copy: &Path) -> Vec<String> {
        let give_up = Instant::now() + PATIENCE;
        let (mut pause, mut clear) = (Duration::from_micros(200), false);
        loop {
            let left = self.later_in(copy);
            if left.is_empty() && clear || Instant::now() > give_up {
                return left;
            }
            clear = left.is_empty();
            if !clear {
                thread::sleep(pause);
                pause = pause * 3 / 2;
            }
        }
    }

    fn later_in(&self, copy: &Path) -> Vec<String> {
        let me = fs::read_link("/proc/thread-self").ok();
        let me = me.and_then(|path| path.file_name()?.to_str()?.parse::<i32>().ok());
        let memory = Memory::now(copy);
        let later = tasks().filter(|seen| Some(seen.task.0) != me && !self.0.contains(&seen.task));
        later.filter(|seen| !seen.ended && memory.may_run(seen.task.0)).map(|seen| seen.name).collect()
    }
}

/// Where the code of the library lies that is mapped from `copy`.
#[cfg(target_env = "gnu")]
pub(super) fn code(copy: &Path) -> Vec<Range<usize>> {
    let own = Memory::now(copy).maps.into_iter().filter(|mapping| mapping.code && mapping.own);
    own.map(|mapping| mapping.range).collect()
}

/// A thread as the system describes it.
struct Seen {
    task: Task,
    name: String,
    ended: bool,
}

/// Every thread of this process. One that ends meanwhile is left out.
fn tasks() -> impl Iterator<Item = Seen> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        parse(number, &String::from_utf8_lossy(&fs::read(entry.path().join("stat")).ok()?))
    })
}

/// A line of `stat`: the number, the name in parentheses, which may hold some itself, the state, and as the 22nd
/// value when the thread started.
fn parse(number: i32, stat: &str) -> Option<Seen> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut values = rest.split_ascii_whitespace();
    let ended = matches!(values.next()?, "Z" | "X" | "x");
    let started = values.nth(18)?.parse().ok()?;
    Some(Seen { task: (number, started), name: name.to_owned(), ended })
}

/// The memory of this process, as far as it tells threads apart.
struct Memory {
    content: Option<File>,
    maps: Vec<Mapping>,
}

struct Mapping {
    range: Range<usize>,
    code: bool,
    /// Of the library that is asked about.
    own: bool,
}

impl Memory {
    fn now(copy: &Path) -> Self {
        let text = maps();
        let maps = text.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let address = |text| usize::from_str_radix(text, 16).ok();
            let code = rest.as_bytes().get(2) == Some(&b'x');
            Some(Mapping { range: address(start)?..address(end)?, code, own: is_own(line, copy) })
        });
        Self { content: File::open("/proc/self/mem").ok(), maps: maps.collect() }
    }

    /// Whether the thread runs code of the library, as far as that can be known; else true.
    fn may_run(&self, thread: i32) -> bool {
        if !self.maps.iter().any(|mapping| mapping.code && mapping.own) {
            // Where the library's code is, is not known.
            return true;
        }
        let head = super::robust_list(thread);
        let notes = head.map_or(Vec::new(), |at| self.words(at.saturating_sub(NOTES.start)..at + NOTES.end));
        if notes.iter().any(|word| self.is_own_code(*word)) {
            return true;
        }
        // This program's own function: its stack may be one that an earlier thread has left full of old addresses.
        let program = maps as fn() -> String as usize;
        let program = self.mapping(program).map(|mapping| mapping.range.clone()).unwrap_or_default();
        if notes.iter().any(|word| program.contains(word)) {
            return false;
        }
        let origin_is_known = notes.iter().any(|word| self.mapping(*word).is_some_and(|m| m.code));
        let Some(pointer) = stack_pointer(thread) else { return !origin_is_known };
        // The notes stand at the end of the stack.
        let end = head.filter(|end| *end > pointer);
        let end = end.or_else(|| Some(self.mapping(pointer)?.range.end));
        let Some(end) = end.filter(|end| end - pointer <= LONGEST_STACK) else { return true };
        let stack = self.words(pointer..end);
        stack.is_empty() || stack.iter().any(|word| self.is_own_code(*word))
    }

    fn mapping(&self, address: usize) -> Option<&Mapping> {
        // In the order of addresses.
        let at = self.maps.partition_point(|mapping| mapping.range.end <= address);
        self.maps.get(at).filter(|mapping| mapping.range.contains(&address))
    }

    fn is_own_code(&self, address: usize) -> bool {
        self.mapping(address).is_some_and(|mapping| mapping.code && mapping.own)
    }

    /// The words in `range`, as far as it can be read.
    fn words(&self, range: Range<usize>) -> Vec<usize> {
        let Some(content) = &self.content else { return Vec::new() };
        let mut bytes = vec![0; range.len()];
        let mut read = 0;
        while read < bytes.len() {
            match content.read_at(&mut bytes[read..], (range.start + read) as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
        }
        let (words, _) = bytes[..read].as_chunks::<{ size_of::<usize>() }>();
        words.iter().map(|word| usize::from_ne_bytes(*word)).collect()
    }
}

/// The stack pointer of a thread that waits; none of one that runs.
fn stack_pointer(thread: i32) -> Option<usize> {
    // `running`, or the number of a system call (-1 for another reason to wait), its arguments, the stack pointer
    // and the place.
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let mut values = text.split_ascii_whitespace().rev();
    let pointer = values.nth(1)?.strip_prefix("0x")?;
    usize::from_str_radix(pointer, 16).ok().filter(|pointer| *pointer != 0)
}

/// What is mapped in this process.
fn maps() -> String {
    fs::read("/proc/self/maps").map(|maps| String::from_utf8_lossy(&maps).into_owned()).unwrap_or_default()
}

/// Returns true for a line of `maps` of the file `copy`, which may have been removed.
fn names(line: &str, copy: &Path) -> bool {
    file(line).is_some_and(|file| file == copy)
}

/// Returns true for a line of `maps` of the file `copy`, or of one that was brought along with it.
fn is_own(line: &str, copy: &Path) -> bool {
    let root = library::root(copy);
    file(line).is_some_and(|file| file == copy || root.is_some_and(|root| file.starts_with(root)))
}

/// Returns the file that a line of `maps` is of.
fn file(line: &str) -> Option<&Path> {
    let path = &line[line.find('/')?..];
    Some(Path::new(path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// Whether code of the file `copy` is mapped; also when that cannot be told.
pub(super) fn is_mapped(copy: &Path) -> bool {
    let maps = maps();
    // Not what was brought along: others may use the same library. And only what can run: after a panic the library's
    // own std leaves the file mapped, to be read, from which it made its backtrace.
    let code = |line: &str| line.split_ascii_whitespace().nth(1).is_some_and(|rights| rights.contains('x'));
    maps.is_empty() || maps.lines().any(|line| code(line) && names(line, copy))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_line_about_a_thread_is_read_whatever_its_name_is() {
        let line = |name: &str, state: &str| {
            let zeros = "0 ".repeat(18);
            format!("7 ({name}) {state} {zeros}4711 0 0")
        };
        let seen = parse(7, &line("a) R (b", "S")).expect("a line");
        assert_eq!((seen.task, seen.name.as_str(), seen.ended), ((7, 4711), "a) R (b", false));
        assert!(parse(7, &line("a", "Z")).expect("a line").ended);
        assert!(parse(7, "7 (a) S 0").is_none());
    }

    #[test]
    fn a_mapping_is_of_a_file_by_its_whole_name() {
        let copy = Path::new("/tmp/a b/lib-1.so");
        let line = |path: &str| format!("7f0000000000-7f0000001000 r-xp 00000000 08:01 42    {path}");
        assert!(names(&line("/tmp/a b/lib-1.so"), copy));
        assert!(names(&line("/tmp/a b/lib-1.so (deleted)"), copy));
        assert!(!names(&line("/tmp/a b/lib-1.so2"), copy));
        assert!(!names(&line("[stack]"), copy));
        let along = line("/tmp/a b/lib-1.so.d/lib/deep.so");
        assert!(!names(&along, copy) && !is_own(&along, copy));
        let inside = Path::new("/tmp/a b/lib-1.so.d/lib-1.so");
        assert!(!names(&along, inside) && is_own(&along, inside), "brought along with the copy");
    }

    #[test]
    fn threads_are_of_the_program_that_started_them() {
        let before = Tasks::now();
        let program = std::env::current_exe().expect("a program").canonicalize().expect("it is there");
        let (end, wait) = mpsc::channel::<()>();
        let spin = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let waits = thread::Builder::new().name("test:waits".to_owned()).spawn(move || wait.recv());
        let spins = thread::Builder::new().name("test:spins".to_owned()).spawn({
            let spin = std::sync::Arc::clone(&spin);
            move || while spin.load(std::sync::atomic::Ordering::Relaxed) {}
        });
        let found = |file: &Path| {
            // Other tests have threads too.
            let all = before.left_behind(file);
            all.into_iter().filter(|name| name.starts_with("test:")).collect::<Vec<_>>()
        };
        let both = ["test:spins", "test:waits"];
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(found(&program)), both);
        let mapped = |name: &str| {
            let maps = maps();
            let mut files = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
            files.find(|file| file.to_string_lossy().contains(name)).map(Path::to_owned)
        };
        // Whoever waits does so in the C library, and yet is this program's, which has started it.
        assert_eq!(found(&mapped("/libc.so").expect("a C library")), [""; 0]);
        assert_eq!(found(&mapped("/libm.so").expect("a library that nobody runs")), [""; 0]);
        assert_eq!(sorted(found(Path::new("/nowhere.so"))), both);
        drop(end);
        spin.store(false, std::sync::atomic::Ordering::Relaxed);
        for thread in [waits.map(|thread| drop(thread.join())), spins.map(|thread| drop(thread.join()))] {
            thread.expect("a thread");
        }
        assert_eq!(found(&program), [""; 0]);
    }
}
