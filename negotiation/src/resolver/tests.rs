#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fixes;
mod levels;
mod properties;
mod providers;
mod rules;
mod vectors;

use std::collections::BTreeMap;

use crate::manifest::{HostManifest, MANIFEST_VERSION, RemoteManifest, Requirement, ShareDecl, ShareStrategy};
use semver::Version;

use super::{Participant, Plan};

/// Parses a participant from a line such as `a: store 1.2.0 ^1.0 singleton strict; charts noimport * in=legacy`.
///
/// Each crate has the version of the own copy, the requirement, and the switches that are on.
fn participant(line: &str) -> Participant {
    let (name, entries) = line.split_once(':').unwrap();
    let entries = entries.split(';').filter(|entry| !entry.trim().is_empty()).map(entry).collect();
    if name == "host" { Participant::host(&host(entries)) } else { Participant::remote(&remote(name, entries)) }
}

fn entry(text: &str) -> (String, ShareDecl) {
    let mut words = text.split_whitespace();
    let key = words.next().unwrap().to_owned();
    let mut shared = ShareDecl {
        version: None,
        required_version: None,
        singleton: false,
        eager: false,
        strict_version: false,
        import: true,
        share_scope: "default".to_owned(),
    };
    for word in words {
        match word {
            "singleton" => shared.singleton = true,
            "eager" => shared.eager = true,
            "strict" => shared.strict_version = true,
            "noimport" => shared.import = false,
            "any" => shared.required_version = Some(Requirement::Any),
            scope if scope.starts_with("in=") => scope[3..].clone_into(&mut shared.share_scope),
            version if version.starts_with(|c: char| c.is_ascii_digit()) => {
                shared.version = Some(version.parse::<Version>().unwrap());
            }
            range => shared.required_version = Some(Requirement::Range(range.parse().unwrap())),
        }
    }
    (key, shared)
}

fn host(shared: BTreeMap<String, ShareDecl>) -> HostManifest {
    HostManifest {
        schema: None,
        manifest_version: MANIFEST_VERSION,
        name: "host".to_owned(),
        share_strategy: ShareStrategy::default(),
        remotes: BTreeMap::new(),
        shared,
        auth: None,
        preflight: true,
        grants: None,
        providers: BTreeMap::new(),
        repositories: BTreeMap::new(),
        updates: crate::manifest::UpdateConfig::default(),
    }
}

fn remote(name: &str, shared: BTreeMap<String, ShareDecl>) -> RemoteManifest {
    RemoteManifest {
        schema: None,
        manifest_version: MANIFEST_VERSION,
        name: name.to_owned(),
        version: Version::new(1, 0, 0),
        title: None,
        remote_entry: name.to_owned(),
        sha256: None,
        exposes: BTreeMap::new(),
        shared,
        atoms: BTreeMap::new(),
    }
}

/// Returns a plan as lines: `a store: 1.2.0 of b`, with `!` if `a` does not accept the version, and
/// `a refused: code key`.
fn lines(plan: &Plan) -> Vec<String> {
    let assigned = plan.assignments().iter().map(|known| {
        let scope = if *known.scope == *"default" { String::new() } else { format!(" in {}", known.scope) };
        let unsatisfied = if known.satisfied { "" } else { "!" };
        format!("{} {}{scope}: {} of {}{unsatisfied}", known.consumer, known.key, known.version, known.provider)
    });
    let refused = plan.refused().iter().map(|refusal| {
        let cause = refusal.cause();
        format!("{} refused: {} {}", refusal.participant, cause.code, cause.key).trim_end().to_owned()
    });
    assigned.chain(refused).collect()
}
