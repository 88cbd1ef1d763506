//! Detection of threads of this process that may still run a library's code.
//!
//! Unmapping code that runs, or that a call returns to, crashes the process; leaving a library loaded costs memory.
//! Every doubt is therefore a reason to leave it loaded.
//!
//! On Linux only threads that started after the library was loaded are examined: its code cannot have started an
//! earlier one. The thread on which the host ran the remote is joined before. A library whose shared crates are in
//! use by others is not unloaded at all; the federation sees to that. Each thread is examined in this order:
//!
//! 1. *Has it ended?* A joined thread runs nothing any more, but stays in `/proc` for a moment.
//! 2. *Whose code started it?* The C library records a thread's start function next to the head of its list of robust
//!    mutexes, and the kernel reports the address of that head, also for a running thread. Each library has its own
//!    copy of Rust's standard library, so the function is in the library whose code called `spawn`. This is exact:
//!    other generations have other addresses. A thread that this program has started enters a library only through
//!    shared crates and objects that others use, see above, and is examined no further.
//! 3. *Is a call into the library under way?* The kernel reports the stack pointer of a waiting thread. A word
//!    between it and the stack's end that is an address in the library's code may be a return address. It may also be
//!    left over from an earlier call, or be anything else: the library then stays loaded without need. A thread that
//!    other code has started and that does not wait is not examined: such threads enter a library only through shared
//!    crates and objects that others use, see above.
//!
//! A thread counts if neither 2 nor 3 can be answered, and every thread counts if the library's address is not known.
//! All are examined again for [`PATIENCE`], because threads that were asked to end need a moment, and a last time
//! after none was found, because a thread may have started another just before it ended.
//!
//! Elsewhere none of this can be known without pausing threads, and libraries stay loaded: see
//! [`LoadedLibrary::unload`](super::LoadedLibrary::unload).

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

/// Time that threads have to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// Longest stack that is read, in bytes; a thread with a longer one counts.
const LONGEST_STACK: usize = 16 << 20;

/// Bytes that are read before and after the head of a thread's robust mutexes; the C library's record of a thread is
/// shorter.
const RECORD: Range<usize> = 0x400..0x800;

/// Number and start time of a thread; later threads may have the same number.
type Task = (i32, u64);

/// The threads of this process at one time.
pub(super) struct Tasks(BTreeSet<Task>);

impl Tasks {
    /// Lists the threads that run now.
    pub(super) fn now() -> Self {
        Self(tasks().map(|seen| seen.task).collect())
    }

    /// Returns the names of the threads that started later and may run code of the library that is mapped from
    /// `copy`.
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

/// Returns the address ranges of the code of the library that is mapped from `copy`.
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

/// Lists the threads of this process, except those that end meanwhile.
fn tasks() -> impl Iterator<Item = Seen> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        parse(number, &String::from_utf8_lossy(&fs::read(entry.path().join("stat")).ok()?))
    })
}

/// Parses a line of `stat`: the number, the name in parentheses, which may contain some itself, the state, and as the
/// 22nd value the thread's start time.
fn parse(number: i32, stat: &str) -> Option<Seen> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut values = rest.split_ascii_whitespace();
    let ended = matches!(values.next()?, "Z" | "X" | "x");
    let started = values.nth(18)?.parse().ok()?;
    Some(Seen { task: (number, started), name: name.to_owned(), ended })
}

/// Memory of this process, for examining threads.
struct Memory {
    content: Option<File>,
    maps: Vec<Mapping>,
}

struct Mapping {
    range: Range<usize>,
    code: bool,
    /// Set for the examined library.
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

    /// Returns `true` if the thread may run code of the library, also if that cannot be known.
    fn may_run(&self, thread: i32) -> bool {
        if !self.maps.iter().any(|mapping| mapping.code && mapping.own) {
            // The address of the library's code is not known.
            return true;
        }
        let head = super::robust_list(thread);
        let record = head.map_or(Vec::new(), |at| self.words(at.saturating_sub(RECORD.start)..at + RECORD.end));
        if record.iter().any(|word| self.is_own_code(*word)) {
            return true;
        }
        // This program started it. Its stack is not searched: it may contain old addresses of an earlier thread.
        let program = maps as fn() -> String as usize;
        let program = self.mapping(program).map(|mapping| mapping.range.clone()).unwrap_or_default();
        if record.iter().any(|word| program.contains(word)) {
            return false;
        }
        let origin_is_known = record.iter().any(|word| self.mapping(*word).is_some_and(|m| m.code));
        let Some(pointer) = stack_pointer(thread) else { return !origin_is_known };
        // The record is at the end of the stack.
        let end = head.filter(|end| *end > pointer);
        let end = end.or_else(|| Some(self.mapping(pointer)?.range.end));
        let Some(end) = end.filter(|end| end - pointer <= LONGEST_STACK) else { return true };
        let stack = self.words(pointer..end);
        stack.is_empty() || stack.iter().any(|word| self.is_own_code(*word))
    }

    fn mapping(&self, address: usize) -> Option<&Mapping> {
        // The mappings are sorted by address.
        let at = self.maps.partition_point(|mapping| mapping.range.end <= address);
        self.maps.get(at).filter(|mapping| mapping.range.contains(&address))
    }

    fn is_own_code(&self, address: usize) -> bool {
        self.mapping(address).is_some_and(|mapping| mapping.code && mapping.own)
    }

    /// Reads the words in `range`, as far as possible.
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

/// Returns the stack pointer of a waiting thread; `None` for a running one.
fn stack_pointer(thread: i32) -> Option<usize> {
    // `running`, or the number of a system call (-1 for another reason to wait), its arguments, the stack pointer
    // and the instruction pointer.
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let mut values = text.split_ascii_whitespace().rev();
    let pointer = values.nth(1)?.strip_prefix("0x")?;
    usize::from_str_radix(pointer, 16).ok().filter(|pointer| *pointer != 0)
}

/// Reads the memory map of this process.
fn maps() -> String {
    fs::read("/proc/self/maps").map(|maps| String::from_utf8_lossy(&maps).into_owned()).unwrap_or_default()
}

/// Returns `true` for a line of `maps` about the file `copy`, which may have been removed.
fn names(line: &str, copy: &Path) -> bool {
    file(line).is_some_and(|file| file == copy)
}

/// Returns `true` for a line of `maps` about the file `copy`, or a file that was brought along with it.
fn is_own(line: &str, copy: &Path) -> bool {
    let root = library::root(copy);
    file(line).is_some_and(|file| file == copy || root.is_some_and(|root| file.starts_with(root)))
}

/// Returns the file that a line of `maps` is about.
fn file(line: &str) -> Option<&Path> {
    let path = &line[line.find('/')?..];
    Some(Path::new(path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// Returns `true` if code of the file `copy` is mapped, also if that cannot be known.
pub(super) fn is_mapped(copy: &Path) -> bool {
    let maps = maps();
    // Files that were brought along do not count, because others may use them. Only executable mappings count: after
    // a panic the library's own std leaves the file mapped that it read for its backtrace.
    let code = |line: &str| line.split_ascii_whitespace().nth(1).is_some_and(|rights| rights.contains('x'));
    maps.is_empty() || maps.lines().any(|line| code(line) && names(line, copy))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn stat_line_is_parsed_with_any_thread_name() {
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
    fn mapping_matches_file_by_full_name() {
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
    fn threads_belong_to_the_program_that_started_them() {
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
        // A waiting thread is in the C library, but belongs to this program, which has started it.
        assert_eq!(found(&mapped("/libc.so").expect("a C library")), [""; 0]);
        assert_eq!(found(&mapped("/libm.so").expect("a library that no thread runs")), [""; 0]);
        assert_eq!(sorted(found(Path::new("/nowhere.so"))), both);
        drop(end);
        spin.store(false, std::sync::atomic::Ordering::Relaxed);
        for thread in [waits.map(|thread| drop(thread.join())), spins.map(|thread| drop(thread.join()))] {
            thread.expect("a thread");
        }
        assert_eq!(found(&program), [""; 0]);
    }
}
