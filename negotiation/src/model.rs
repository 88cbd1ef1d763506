//! The rules of the [crate's page](crate) as plain code: slow, and without the resolver's data structures.
//!
//! Numbers in comments are rule numbers. Tests compare the resolver with this module; the shell does not use it.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use crate::manifest::{Requirement, ShareDecl, ShareStrategy};

/// The complete input of a plan.
#[derive(Debug, Clone)]
pub struct World {
    /// The host's strategy for choosing providers.
    pub strategy: ShareStrategy,
    /// The host first, then the remotes in any order; names are unique.
    pub members: Vec<Member>,
    /// Copies in use: consumer, scope and key, with provider and version.
    pub live: BTreeMap<(String, String, String), (String, Version)>,
    /// Copies that were found to be unusable: participant, scope and key.
    pub excluded: BTreeSet<(String, String, String)>,
    /// Participants that may provide a crate, by key; all, if the key is absent.
    pub providers: BTreeMap<String, BTreeSet<String>>,
}

/// A participant.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// `true` if it runs already.
    pub loaded: bool,
    /// Its offers and demands, by key.
    pub shared: BTreeMap<String, ShareDecl>,
}

/// Consumer, scope and key, with provider, version, and `true` if that satisfies the demand.
pub type Assigned = BTreeMap<(String, String, String), (String, Version, bool)>;

/// Plans by the rules; returns the assignments and the names of refused participants.
pub fn plan(world: &World) -> (Assigned, BTreeSet<String>) {
    let mut out: BTreeSet<String> = BTreeSet::new();
    // Rule 7: refuse together, to a fixed point.
    loop {
        let (_, refused) = without(world, &out);
        let remotes: Vec<String> = refused.into_iter().filter(|name| *name != world.members[0].name).collect();
        if remotes.is_empty() {
            break;
        }
        out.extend(remotes);
    }
    // Rule 7: then admit each again, by name, if that refuses no other.
    for name in out.clone() {
        let (_, before) = unmet(world, &out);
        let mut fewer = out.clone();
        fewer.remove(&name);
        let (_, after) = unmet(world, &fewer);
        if after.is_subset(&before) {
            out = fewer;
        }
    }
    let (assigned, refused) = without(world, &out);
    (assigned, refused.into_iter().chain(out).collect())
}

fn without(world: &World, out: &BTreeSet<String>) -> (Assigned, BTreeSet<String>) {
    let (assigned, unmet) = unmet(world, out);
    (assigned, unmet.into_iter().map(|(name, _, _)| name).collect())
}

/// Returns the assignments without the participants in `out`, and the unmet demands: consumer, scope and key.
fn unmet(world: &World, out: &BTreeSet<String>) -> (Assigned, BTreeSet<(String, String, String)>) {
    let members: Vec<&Member> = world.members.iter().filter(|member| !out.contains(&member.name)).collect();
    let mut assigned = Assigned::new();
    let mut unmet = BTreeSet::new();
    for member in &members {
        for (key, entry) in &member.shared {
            let slot = (member.name.clone(), entry.share_scope.clone(), key.clone());
            let (copy, met) = decide(world, &members, member, key, entry);
            if !met {
                unmet.insert(slot.clone());
            }
            // The host runs even with an unmet demand.
            if let Some((provider, version)) = copy
                && (met || member.name == world.members[0].name)
            {
                let satisfied = entry.requirement().matches(&version);
                assigned.insert(slot, (provider, version, satisfied));
            }
        }
    }
    (assigned, unmet)
}

#[derive(Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that the rules compare")]
struct OfferedCopy {
    provider: String,
    version: Version,
    live: bool,
    host: bool,
    eager: bool,
    loaded: bool,
}

/// Returns the copy for one demand, and `true` if the demand is met in the sense of rules 7 and 8.
fn decide(
    world: &World,
    members: &[&Member],
    consumer: &Member,
    key: &str,
    entry: &ShareDecl,
) -> (Option<(String, Version)>, bool) {
    let scope = &entry.share_scope;
    let named = |copy: &OfferedCopy| Some((copy.provider.clone(), copy.version.clone()));
    // Rules 5 and 10: a loaded participant keeps its copy.
    if let Some((provider, version)) = bound(world, consumer, scope, key) {
        return (Some((provider, version)), true);
    }
    // Rule 2: only entries of this scope count.
    let group: Vec<(&Member, &ShareDecl)> = members
        .iter()
        .filter_map(|member| Some((*member, member.shared.get(key)?)))
        .filter(|(_, other)| other.share_scope == *scope)
        .collect();
    let copies = copies(world, &group, scope, key);
    let requirement = entry.requirement();
    // Rule 3.
    if group.iter().any(|(_, other)| other.singleton) {
        return match singleton(world, &group, &copies, scope, key) {
            None => (None, false),
            Some(copy) => (named(&copy), requirement.matches(&copy.version) || !entry.strict_version),
        };
    }
    // Rule 8.
    let fitting: Vec<OfferedCopy> =
        copies.into_iter().filter(|copy| requirement.matches(&copy.version)).collect();
    let loaded: Vec<OfferedCopy> = fitting.iter().filter(|copy| copy.loaded).cloned().collect();
    let best = if world.strategy == ShareStrategy::LoadedFirst && !loaded.is_empty() {
        best(&loaded)
    } else {
        best(&fitting)
    };
    match (best, entry.offered()) {
        (Some(copy), _) => (named(&copy), true),
        (None, Some(own)) => (Some((consumer.name.clone(), own.clone())), true),
        (None, None) => (None, false),
    }
}

fn bound(world: &World, consumer: &Member, scope: &str, key: &str) -> Option<(String, Version)> {
    let slot = (consumer.name.clone(), scope.to_owned(), key.to_owned());
    world.live.get(&slot).filter(|_| consumer.loaded).cloned()
}

fn copies(world: &World, group: &[(&Member, &ShareDecl)], scope: &str, key: &str) -> Vec<OfferedCopy> {
    let mut copies: Vec<OfferedCopy> = Vec::new();
    for ((user, in_scope, of), (provider, version)) in &world.live {
        let replaced = world.members.iter().any(|member| member.name == *user && !member.loaded);
        let excluded = world.members.iter().any(|member| {
            let own =
                member.shared.get(key).filter(|own| own.share_scope == scope && own.offered() == Some(version));
            member.name == *provider
                && own.is_some()
                && world.excluded.contains(&(provider.clone(), scope.to_owned(), key.to_owned()))
        });
        if in_scope == scope && of == key && !replaced && !excluded && may_provide(world, key, provider) {
            let eager = world.members.iter().any(|member| {
                let own = member.shared.get(key).filter(|own| own.share_scope == scope);
                member.name == *provider && own.is_some_and(|own| own.offered() == Some(version) && own.eager)
            });
            let host = *provider == world.members[0].name;
            copies.push(OfferedCopy {
                provider: provider.clone(),
                version: version.clone(),
                live: true,
                host,
                eager,
                loaded: true,
            });
        }
    }
    for (member, entry) in group {
        let excluded = world.excluded.contains(&(member.name.clone(), scope.to_owned(), key.to_owned()));
        let barred = excluded || !may_provide(world, key, &member.name);
        if let Some(version) = entry.offered().filter(|_| !barred) {
            copies.push(OfferedCopy {
                provider: member.name.clone(),
                version: version.clone(),
                live: copies.iter().any(|copy| copy.provider == member.name && copy.version == *version),
                host: member.name == world.members[0].name,
                eager: entry.eager,
                loaded: member.loaded,
            });
        }
    }
    copies
}

/// Returns `true` if the host lets `name` provide `key` (rule 11).
pub fn may_provide(world: &World, key: &str, name: &str) -> bool {
    world.providers.get(key).is_none_or(|names| names.contains(name))
}

/// Returns the copy with the highest version; rule 4 decides between equal versions.
fn best(copies: &[OfferedCopy]) -> Option<OfferedCopy> {
    let mut best: Option<&OfferedCopy> = None;
    for copy in copies {
        let better = best.is_none_or(|best| {
            let preference = |copy: &OfferedCopy| {
                (copy.live, copy.host, copy.eager, std::cmp::Reverse(copy.provider.clone()))
            };
            copy.version
                .cmp_precedence(&best.version)
                .then(preference(copy).cmp(&preference(best)))
                .then(copy.version.cmp(&best.version))
                .is_gt()
        });
        if better {
            best = Some(copy);
        }
    }
    best.cloned()
}

/// Returns the copy of a singleton, by rules 5 and 6.
fn singleton(
    world: &World,
    group: &[(&Member, &ShareDecl)],
    copies: &[OfferedCopy],
    scope: &str,
    key: &str,
) -> Option<OfferedCopy> {
    let live: Vec<OfferedCopy> = copies.iter().filter(|copy| copy.live).cloned().collect();
    if !live.is_empty() {
        return best(&live);
    }
    let demands: Vec<(bool, bool, Requirement)> = group
        .iter()
        .filter(|(member, _)| bound(world, member, scope, key).is_none())
        .map(|(member, entry)| {
            (member.name == world.members[0].name, entry.strict_version, entry.requirement())
        })
        .collect();
    let strictly_unsatisfied = |copy: &OfferedCopy| {
        demands.iter().filter(|(_, strict, required)| *strict && !required.matches(&copy.version)).count()
    };
    let unsatisfied =
        |copy: &OfferedCopy| demands.iter().filter(|(_, _, required)| !required.matches(&copy.version)).count();
    let mut candidates = copies.to_vec();
    if world.strategy == ShareStrategy::LoadedFirst
        && candidates.iter().any(|copy| copy.loaded && strictly_unsatisfied(copy) == 0)
    {
        candidates.retain(|copy| copy.loaded);
    }
    let for_all: Vec<OfferedCopy> = candidates.iter().filter(|copy| unsatisfied(copy) == 0).cloned().collect();
    if !for_all.is_empty() {
        return best(&for_all);
    }
    let for_host =
        |copy: &OfferedCopy| demands.iter().all(|(host, _, required)| !host || required.matches(&copy.version));
    if candidates.iter().any(for_host) {
        candidates.retain(for_host);
    }
    let least = candidates.iter().map(strictly_unsatisfied).min()?;
    candidates.retain(|copy| strictly_unsatisfied(copy) == least);
    let least = candidates.iter().map(unsatisfied).min()?;
    candidates.retain(|copy| unsatisfied(copy) == least);
    best(&candidates)
}
