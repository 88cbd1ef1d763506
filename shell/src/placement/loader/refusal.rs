//! Causes for which the system's loader refuses a library, read from its message.

use crate::catalogue::Code;

/// Cause for which the system's loader does not load a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadRefusal {
    /// A library that it needs is missing, or the cause has no message of its own.
    Needs,
    /// No library defines a function or variable that it needs.
    Symbol,
    /// It needs a newer version of a system library.
    Version,
    /// Thread-local storage of a fixed size is used up.
    StaticTls,
    /// The folder of the private copy, or a policy, forbids code.
    NoExec,
    /// Memory is used up.
    Memory,
    /// Descriptors are used up.
    Descriptors,
}

impl LoadRefusal {
    /// Parses the message of the C library, of macOS, or of Windows.
    pub(super) fn of(message: &str) -> Self {
        let has = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
        // Several messages have a general beginning and the cause at their end, so the order matters.
        if has(&["static TLS"]) {
            Self::StaticTls
        } else if has(&["Too many open files", "os error 4)"]) {
            Self::Descriptors
        } else if has(&["annot allocate memory", "os error 1455)", "os error 8)", "os error 14)"]) {
            Self::Memory
        } else if has(&["failed to map segment", "code signature", "os error 1260)", "os error 577)"]) {
            Self::NoExec
        } else if has(&["' not found (required by", "' not found"]) && has(&["version `"]) {
            Self::Version
        } else if has(&["undefined symbol", "ymbol not found", "os error 127)"]) {
            Self::Symbol
        } else {
            Self::Needs
        }
    }

    /// Returns the stable code.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Needs => Code::LibraryRefused,
            Self::Symbol => Code::LibrarySymbol,
            Self::Version => Code::LibraryVersion,
            Self::StaticTls => Code::StaticTls,
            Self::NoExec => Code::LibraryNoexec,
            Self::Memory => Code::LibraryMemory,
            Self::Descriptors => Code::LibraryDescriptors,
        }
    }

    /// Returns what to do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Needs => "install the missing library, or build the remote on this system",
            Self::Symbol => {
                "link the library that defines the missing symbol, or rebuild the remote against the version that is \
                 installed here"
            }
            Self::Version => {
                "it was built with newer system libraries: build it on this system or on an older one"
            }
            Self::StaticTls => {
                "its allocator, or another crate of it, uses thread-local storage of a fixed size (initial-exec TLS), \
                 which is used up in this process: restart Pulse with \
                 GLIBC_TUNABLES=glibc.rtld.optional_static_tls=262144, or build the remote without that storage (for \
                 jemalloc its feature `disable_initial_exec_tls`, for mimalloc `local_dynamic_tls`)"
            }
            Self::NoExec => {
                "the file system of the private copies is mounted `noexec`, or a security policy forbids the code: \
                 allow execution in that folder, or name another one with PULSE_SHELL_CACHE_DIR, then restart Pulse"
            }
            Self::Memory => "there is not enough memory: close other programs or raise the limit, then retry",
            Self::Descriptors => {
                "the process has too many files open: raise its limit (`ulimit -n`) or disable a remote that leaks \
                 them, then retry"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loader_messages_are_classified() {
        for (message, refusal) in [
            ("libx.so: cannot open shared object file: No such file or directory", LoadRefusal::Needs),
            ("libx.so: cannot open shared object file: Too many open files", LoadRefusal::Descriptors),
            ("x.so: undefined symbol: bug_not_there", LoadRefusal::Symbol),
            ("libc.so.6: version `GLIBC_2.99' not found (required by x.so)", LoadRefusal::Version),
            ("x.so: cannot allocate memory in static TLS block", LoadRefusal::StaticTls),
            ("x.so: failed to map segment from shared object: Operation not permitted", LoadRefusal::NoExec),
            ("x.so: failed to map segment from shared object", LoadRefusal::NoExec),
            ("x.so: failed to map segment from shared object: Cannot allocate memory", LoadRefusal::Memory),
            ("x.so: cannot create shared object descriptor: Cannot allocate memory", LoadRefusal::Memory),
            ("dlopen(x.dylib, 0x0002): Symbol not found: _f", LoadRefusal::Symbol),
            ("dlopen(x.dylib, 0x0002): Library not loaded: @rpath/y.dylib", LoadRefusal::Needs),
            ("the specified module could not be found. (os error 126)", LoadRefusal::Needs),
            ("the specified procedure could not be found. (os error 127)", LoadRefusal::Symbol),
            ("", LoadRefusal::Needs),
        ] {
            assert_eq!(LoadRefusal::of(message), refusal, "{message}");
        }
    }
}
