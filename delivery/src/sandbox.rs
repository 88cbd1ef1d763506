//! The sandbox of the fetching process.
//!
//! On Linux the process may afterwards read what the system needs to resolve names, and the folder of a `file:`
//! repository; it may read and write the cache, and the folder of a mirror. It may execute nothing, listen on no port,
//! signal no other process and gain no privileges. Connecting stays allowed: the kernel can limit ports, not addresses.
//! Older kernels enforce a part of this. Other systems have no such interface for programs without privileges; there,
//! the process is separate from the shell and nothing more.

use std::path::PathBuf;

use crate::error::DeliveryError;

/// The part of the sandbox that the system enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has a sandbox"))]
pub(crate) enum Confinement {
    /// All of it.
    Full,
    /// Some of it: the kernel is older.
    Partial,
    /// Nothing.
    Missing,
}

/// The folders and files of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// It may read these.
    pub(crate) read: Vec<PathBuf>,
    /// It may read these and change what is in them.
    pub(crate) write: Vec<PathBuf>,
}

/// Confines the calling thread, and all threads that it starts.
#[cfg(target_os = "linux")]
pub(crate) fn confine(access: &Reach) -> Result<Confinement, DeliveryError> {
    linux::confine(access).map_err(|error| {
        DeliveryError::new(
            crate::ErrorCode::DeliveryProcessFailed,
            format!("the fetching process cannot confine itself ({error})"),
            "report this to the maintainers of Pulse",
        )
    })
}

/// Confines nothing.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
pub(crate) fn confine(_: &Reach) -> Result<Confinement, DeliveryError> {
    Ok(Confinement::Missing)
}

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
        RulesetStatus, Scope, path_beneath_rules,
    };
    use rustix::process::{Resource, Rlimit, setrlimit};

    use super::{Confinement, Reach};

    /// The files that the C library reads to resolve a host's name, and the modules that it loads for that.
    const RESOLVER: &[&str] = &[
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/host.conf",
        "/etc/nsswitch.conf",
        "/etc/gai.conf",
        "/etc/services",
        "/etc/ld.so.cache",
        "/run/systemd/resolve",
        "/run/NetworkManager",
        "/run/resolvconf",
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
    ];

    /// The interface that the rules are written for; a later one could forbid what is needed.
    const RULES: ABI = ABI::V6;

    pub(super) fn confine(access: &Reach) -> Result<Confinement, RulesetError> {
        // A dump of memory would contain the token. A limit that cannot be lowered stays.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = read
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(RULES))?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::from_all(RULES))?
            .create()?
            .add_rules(path_beneath_rules(RESOLVER, read))?
            .add_rules(path_beneath_rules(&access.read, read))?
            .add_rules(path_beneath_rules(&access.write, write))?
            .restrict_self()?;
        Ok(match status.ruleset {
            RulesetStatus::FullyEnforced => Confinement::Full,
            RulesetStatus::PartiallyEnforced => Confinement::Partial,
            RulesetStatus::NotEnforced => Confinement::Missing,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
pub(crate) use tests::is_supported;
#[cfg(all(test, target_os = "linux"))]
mod tests;
