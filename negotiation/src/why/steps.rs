//! Edits that could help with something that a plan says.

use crate::manifest::{DEFAULT_SCOPE, Requirement};
use semver::Version;
use serde_json::{Value, json};

use crate::rehearsal::{Party, Rehearsal};
use crate::resolver::{Code, DemandView, Diagnostic, Edit, KeyView, Outcome, Plan, shared_pointer};

/// Versions, providers and demands of a crate that are looked at; the best come first.
const LOOKED_AT: usize = 4;

/// One edit of one manifest.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) party: Party,
    pub(super) edit: Edit,
    /// What it comes to, in a few words.
    pub(super) summary: String,
    /// Whether a library has to be built with another copy of a crate, too.
    pub(super) builds: bool,
}

impl Step {
    /// Tells steps apart.
    pub(super) fn key(&self) -> String {
        format!("{:?} {} {}", self.party, self.edit.pointer, self.edit.value)
    }

    /// Whether both write the same value, or one of them a part of what the other writes.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let within =
            |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        within(&self.edit.pointer, &other.edit.pointer) || within(&other.edit.pointer, &self.edit.pointer)
    }
}

impl Rehearsal {
    /// The edits that could help with what `plan` says, the likeliest first.
    pub(super) fn steps(&self, plan: &Plan, said: &Diagnostic) -> Vec<Step> {
        if [Code::DuplicateName, Code::NameReserved].contains(&said.code) {
            return self.renames(plan, said);
        }
        let Some(view) = plan.key(&said.scope, &said.key) else { return Vec::new() };
        let mut krate = Krate { rehearsal: self, view: &view, steps: Vec::new() };
        let demand = |name: &str| view.demands.iter().find(|demand| *demand.participant == *name);
        if let Some(demand) = demand(&said.participant) {
            krate.satisfy(demand);
            krate.let_others_bring(demand);
        }
        let about = |other: &&Diagnostic| (&other.scope, &other.key) == (&said.scope, &said.key);
        for other in plan.diagnostics().iter().filter(about).filter(|other| other.not_granted_to().is_some()) {
            krate.steps.extend(self.grant(other));
        }
        if let Some(victim) = said.victim().and_then(|name| demand(name)) {
            krate.satisfy(victim);
            krate.let_others_bring(victim);
            krate.undeclare(&said.participant);
        }
        krate.steps
    }

    /// The host lets one more participant provide.
    fn grant(&self, said: &Diagnostic) -> Option<Step> {
        let (edit, name) = (said.fix()?, said.not_granted_to()?);
        let editable = self.editable(self.host_name()).contains(&Party::HOST);
        let summary = format!("let `{name}` provide `{}`", said.key);
        editable.then_some(Step { party: Party::HOST, edit, summary, builds: false })
    }

    /// All but one of those of one name get another.
    fn renames(&self, plan: &Plan, said: &Diagnostic) -> Vec<Step> {
        let Some(edit) = said.fix() else { return Vec::new() };
        let mut parties = self.editable(&said.participant);
        if *said.participant == *plan.host() {
            // The host's name is used in other places; it stays.
            parties.retain(|party| *party != Party::HOST);
        }
        let step = |party| {
            let summary = format!("call one of those called `{}` {}", said.participant, edit.value);
            Step { party, edit: edit.clone(), summary, builds: false }
        };
        parties.into_iter().rev().map(step).collect()
    }
}

/// Steps that concern one crate.
struct Krate<'a> {
    rehearsal: &'a Rehearsal,
    view: &'a KeyView,
    steps: Vec<Step>,
}

impl Krate<'_> {
    /// Edits of the manifest that makes the demand.
    fn satisfy(&mut self, demand: &DemandView) {
        // What everybody uses comes before what else is offered.
        let used = self.view.demands.iter().filter_map(|other| match &other.outcome {
            Outcome::Uses { version, .. } => Some(version),
            Outcome::Refused { .. } => None,
        });
        let offered = self.view.offers.iter().filter(|offer| offer.available).map(|offer| &offer.version);
        let mut versions: Vec<&Version> = Vec::new();
        for version in used.chain(offered) {
            if !versions.contains(&version) && versions.len() < LOOKED_AT {
                versions.push(version);
            }
        }
        for version in versions {
            self.accept(demand, version);
        }
        if demand.strict {
            let (name, key) = (&demand.participant, &self.view.key);
            let summary = format!("let `{name}` not insist on {} of `{key}`", demand.required);
            self.put(name, "strictVersion", false, &summary);
        }
        if let Some(lowest) = demand.required.lowest() {
            self.bring(&demand.participant, &demand.required, &lowest);
        }
    }

    /// Another participant brings what `demand` asks for, and others accept what does.
    fn let_others_bring(&mut self, demand: &DemandView) {
        let Some(lowest) = demand.required.lowest() else { return };
        let host = self.rehearsal.host_name();
        let providers = self.view.offers.iter().map(|offer| &*offer.provider);
        let others = self.view.demands.iter().map(|other| &*other.participant);
        let mut names = vec![host];
        for name in providers.chain(others) {
            if !names.contains(&name) && *name != *demand.participant && names.len() < LOOKED_AT {
                names.push(name);
            }
        }
        for name in names.into_iter().filter(|name| **name != *demand.participant) {
            self.bring(name, &demand.required, &lowest);
        }
        let would_do = self.view.offers.iter().find(|offer| demand.required.matches(&offer.version));
        if let Some(offer) = would_do {
            let others = self.view.demands.iter().filter(|other| other.participant != demand.participant);
            for other in others.filter(|other| !other.required.matches(&offer.version)).take(LOOKED_AT) {
                self.accept(other, &offer.version);
            }
        }
    }

    fn accept(&mut self, demand: &DemandView, version: &Version) {
        if !demand.required.matches(version) {
            let (name, key) = (&demand.participant, &self.view.key);
            let range = Requirement::written_for(version).to_string();
            let summary = format!("let `{name}` work with {range} of `{key}`");
            self.put(name, "requiredVersion", range, &summary);
        }
    }

    /// `name` brings a copy of its own in this version, the lowest of what is `required`.
    fn bring(&mut self, name: &str, required: &Requirement, version: &Version) {
        let (key, scope) = (&self.view.key, &self.view.scope);
        if self.view.offers.iter().any(|offer| *offer.provider == *name && required.matches(&offer.version)) {
            return;
        }
        let whole = shared_pointer(key, None);
        for party in self.rehearsal.editable(name) {
            let manifest = self.rehearsal.json(party);
            let text = Value::from(version.to_string());
            let entry = manifest.pointer(&whole);
            let in_scope =
                entry.is_none_or(|entry| entry["shareScope"].as_str().unwrap_or(DEFAULT_SCOPE) == &**scope);
            let (pointer, value) = match entry {
                _ if !in_scope => continue,
                None if party != Party::HOST => continue,
                None if **scope == *DEFAULT_SCOPE => (whole.clone(), json!({ "version": text })),
                None => (whole.clone(), json!({ "version": text, "shareScope": &**scope })),
                Some(entry) if entry["import"] == Value::Bool(false) => {
                    let states_it = entry.get("version") == Some(&text);
                    if states_it {
                        (shared_pointer(key, Some("import")), true.into())
                    } else {
                        let mut entry = entry.clone();
                        if let Value::Object(members) = &mut entry {
                            members.remove("import");
                            members.insert("version".to_owned(), text);
                        }
                        (whole.clone(), entry)
                    }
                }
                Some(entry) if entry.get("version") == Some(&text) => continue,
                Some(_) => (shared_pointer(key, Some("version")), text),
            };
            let summary = format!("let `{name}` bring {version} of `{key}`");
            self.steps.push(Step { party, edit: Edit::new(name, pointer, value), summary, builds: true });
        }
    }

    /// `name` does not make everybody use one copy.
    fn undeclare(&mut self, name: &str) {
        if self.view.demands.iter().any(|demand| *demand.participant == *name && demand.singleton) {
            let summary = format!("let `{name}` not ask for one copy of `{}` for all", self.view.key);
            self.put(name, "singleton", false, &summary);
        }
    }

    fn put(&mut self, name: &str, field: &str, value: impl Into<Value>, summary: &str) {
        let edit = Edit::new(name, shared_pointer(&self.view.key, Some(field)), value);
        for party in self.rehearsal.editable(name) {
            self.steps.push(Step { party, edit: edit.clone(), summary: summary.to_owned(), builds: false });
        }
    }
}
