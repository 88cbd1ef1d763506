//! A second resolver, written straight from the rules: slow, and without any of the first one's machinery.

use std::collections::{BTreeMap, BTreeSet};

use plugin_api::manifest::{Requirement, ShareStrategy, Shared};
use semver::Version;

/// What both resolvers are given.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) strategy: ShareStrategy,
    /// The host is first.
    pub(super) people: Vec<Person>,
    /// Consumer, scope, key, provider, version.
    pub(super) live: BTreeMap<(String, String, String), (String, Version)>,
    /// Participant, scope, key.
    pub(super) excluded: BTreeSet<(String, String, String)>,
    /// By key.
    pub(super) providers: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) loaded: bool,
    pub(super) shared: BTreeMap<String, Shared>,
}

/// Consumer, scope, key → provider, version, satisfied.
pub(super) type Assigned = BTreeMap<(String, String, String), (String, Version, bool)>;

/// What should come out: the assignments, and who is refused.
pub(super) fn plan(world: &World) -> (Assigned, BTreeSet<String>) {
    let mut out: BTreeSet<String> = BTreeSet::new();
    // Rule 7: refuse together, to a fixed point.
    loop {
        let (_, refused) = with_everybody_but(world, &out);
        let remotes: Vec<String> = refused.into_iter().filter(|name| *name != world.people[0].name).collect();
        if remotes.is_empty() {
            break;
        }
        out.extend(remotes);
    }
    // Rule 7: then each again, by name. Nobody may be refused by that who was not before.
    for name in out.clone() {
        let (_, before) = unmet(world, &out);
        let mut fewer = out.clone();
        fewer.remove(&name);
        let (_, after) = unmet(world, &fewer);
        if after.is_subset(&before) {
            out = fewer;
        }
    }
    let (assigned, refused) = with_everybody_but(world, &out);
    (assigned, refused.into_iter().chain(out).collect())
}

fn with_everybody_but(world: &World, out: &BTreeSet<String>) -> (Assigned, BTreeSet<String>) {
    let (assigned, unmet) = unmet(world, out);
    (assigned, unmet.into_iter().map(|(name, _, _)| name).collect())
}

/// The assignments without those who are out, and the demands (consumer, scope, key) that cannot be met.
fn unmet(world: &World, out: &BTreeSet<String>) -> (Assigned, BTreeSet<(String, String, String)>) {
    let people: Vec<&Person> = world.people.iter().filter(|person| !out.contains(&person.name)).collect();
    let mut assigned = Assigned::new();
    let mut unmet = BTreeSet::new();
    for person in &people {
        for (key, entry) in &person.shared {
            let slot = (person.name.clone(), entry.share_scope.clone(), key.clone());
            let (copy, met) = decide(world, &people, person, key, entry);
            if !met {
                unmet.insert(slot.clone());
            }
            // The host runs with what there is.
            if let Some((provider, version)) = copy
                && (met || person.name == world.people[0].name)
            {
                let satisfied = entry.requirement().matches(&version);
                assigned.insert(slot, (provider, version, satisfied));
            }
        }
    }
    (assigned, unmet)
}

#[derive(Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "what the rules look at")]
struct Copy {
    provider: String,
    version: Version,
    live: bool,
    host: bool,
    eager: bool,
    loaded: bool,
}

/// The copy for one demand, and whether the demand is met in the sense of rules 7 and 8.
fn decide(
    world: &World,
    people: &[&Person],
    consumer: &Person,
    key: &str,
    entry: &Shared,
) -> (Option<(String, Version)>, bool) {
    let scope = &entry.share_scope;
    let named = |copy: &Copy| Some((copy.provider.clone(), copy.version.clone()));
    // Rules 5 and 10: what a loaded participant uses stays.
    if let Some((provider, version)) = bound(world, consumer, scope, key) {
        return (Some((provider, version)), true);
    }
    // Rule 2: only entries of this scope are looked at.
    let group: Vec<(&Person, &Shared)> = people
        .iter()
        .filter_map(|person| Some((*person, person.shared.get(key)?)))
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
    let fitting: Vec<Copy> = copies.into_iter().filter(|copy| requirement.matches(&copy.version)).collect();
    let loaded: Vec<Copy> = fitting.iter().filter(|copy| copy.loaded).cloned().collect();
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

fn bound(world: &World, consumer: &Person, scope: &str, key: &str) -> Option<(String, Version)> {
    let slot = (consumer.name.clone(), scope.to_owned(), key.to_owned());
    world.live.get(&slot).filter(|_| consumer.loaded).cloned()
}

fn copies(world: &World, group: &[(&Person, &Shared)], scope: &str, key: &str) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    for ((user, in_scope, of), (provider, version)) in &world.live {
        let replaced = world.people.iter().any(|person| person.name == *user && !person.loaded);
        let excluded = world.people.iter().any(|person| {
            let own =
                person.shared.get(key).filter(|own| own.share_scope == scope && own.offered() == Some(version));
            person.name == *provider
                && own.is_some()
                && world.excluded.contains(&(provider.clone(), scope.to_owned(), key.to_owned()))
        });
        if in_scope == scope && of == key && !replaced && !excluded && may_provide(world, key, provider) {
            let eager = world.people.iter().any(|person| {
                let own = person.shared.get(key).filter(|own| own.share_scope == scope);
                person.name == *provider && own.is_some_and(|own| own.offered() == Some(version) && own.eager)
            });
            let host = *provider == world.people[0].name;
            copies.push(Copy {
                provider: provider.clone(),
                version: version.clone(),
                live: true,
                host,
                eager,
                loaded: true,
            });
        }
    }
    for (person, entry) in group {
        let excluded = world.excluded.contains(&(person.name.clone(), scope.to_owned(), key.to_owned()));
        let barred = excluded || !may_provide(world, key, &person.name);
        if let Some(version) = entry.offered().filter(|_| !barred) {
            copies.push(Copy {
                provider: person.name.clone(),
                version: version.clone(),
                live: copies.iter().any(|copy| copy.provider == person.name && copy.version == *version),
                host: person.name == world.people[0].name,
                eager: entry.eager,
                loaded: person.loaded,
            });
        }
    }
    copies
}

pub(super) fn may_provide(world: &World, key: &str, name: &str) -> bool {
    world.providers.get(key).is_none_or(|names| names.contains(name))
}

/// The highest version; of equal ones, rule 4.
fn best(copies: &[Copy]) -> Option<Copy> {
    let mut best: Option<&Copy> = None;
    for copy in copies {
        let better = best.is_none_or(|best| {
            let preference =
                |copy: &Copy| (copy.live, copy.host, copy.eager, std::cmp::Reverse(copy.provider.clone()));
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

/// Rules 5 and 6.
fn singleton(
    world: &World,
    group: &[(&Person, &Shared)],
    copies: &[Copy],
    scope: &str,
    key: &str,
) -> Option<Copy> {
    let live: Vec<Copy> = copies.iter().filter(|copy| copy.live).cloned().collect();
    if !live.is_empty() {
        return best(&live);
    }
    let demands: Vec<(bool, bool, Requirement)> = group
        .iter()
        .filter(|(person, _)| bound(world, person, scope, key).is_none())
        .map(|(person, entry)| (person.name == world.people[0].name, entry.strict_version, entry.requirement()))
        .collect();
    let strictly_unsatisfied = |copy: &Copy| {
        demands.iter().filter(|(_, strict, required)| *strict && !required.matches(&copy.version)).count()
    };
    let unsatisfied =
        |copy: &Copy| demands.iter().filter(|(_, _, required)| !required.matches(&copy.version)).count();
    let mut candidates = copies.to_vec();
    if world.strategy == ShareStrategy::LoadedFirst
        && candidates.iter().any(|copy| copy.loaded && strictly_unsatisfied(copy) == 0)
    {
        candidates.retain(|copy| copy.loaded);
    }
    let for_all: Vec<Copy> = candidates.iter().filter(|copy| unsatisfied(copy) == 0).cloned().collect();
    if !for_all.is_empty() {
        return best(&for_all);
    }
    let for_host =
        |copy: &Copy| demands.iter().all(|(host, _, required)| !host || required.matches(&copy.version));
    if candidates.iter().any(for_host) {
        candidates.retain(for_host);
    }
    let least = candidates.iter().map(strictly_unsatisfied).min()?;
    candidates.retain(|copy| strictly_unsatisfied(copy) == least);
    let least = candidates.iter().map(unsatisfied).min()?;
    candidates.retain(|copy| unsatisfied(copy) == least);
    best(&candidates)
}
