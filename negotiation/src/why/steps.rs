//! Edits that could remove the cause of a diagnostic.

use crate::manifest::{DEFAULT_SCOPE, Requirement};
use semver::Version;
use serde_json::{Value, json};

use crate::rehearsal::{Party, Rehearsal};
use crate::resolver::{DemandView, Diagnostic, DiagnosticCode, Edit, KeyView, Outcome, Plan, shared_pointer};

/// The number of versions, providers and demands of a crate that are considered; the best come first.
const LOOKED_AT: usize = 4;

/// An edit of one manifest.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) party: Party,
    pub(super) edit: Edit,
    /// A summary of the edit, in a few words.
    pub(super) summary: String,
    /// Set if a library must also be built with another copy of a crate.
    pub(super) builds: bool,
}

impl Step {
    /// Returns a key that identifies the step.
    pub(super) fn key(&self) -> String {
        format!("{:?} {} {}", self.party, self.edit.pointer, self.edit.value)
    }

    /// Returns `true` if both write the same value, or one writes a part of the other's value.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let within =
            |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        within(&self.edit.pointer, &other.edit.pointer) || within(&other.edit.pointer, &self.edit.pointer)
    }
}

impl Rehearsal {
    /// Returns the edits that could remove the cause of `finding`, the likeliest first.
    pub(super) fn steps(&self, plan: &Plan, finding: &Diagnostic) -> Vec<Step> {
        if [DiagnosticCode::DuplicateName, DiagnosticCode::NameReserved].contains(&finding.code) {
            return self.renames(plan, finding);
        }
        let Some(view) = plan.key(&finding.scope, &finding.key) else { return Vec::new() };
        let mut krate = Krate { rehearsal: self, view: &view, steps: Vec::new() };
        let demand = |name: &str| view.demands.iter().find(|demand| *demand.participant == *name);
        if let Some(demand) = demand(&finding.participant) {
            krate.satisfy(demand);
            krate.add_provider_edits(demand);
        }
        let about = |other: &&Diagnostic| (&other.scope, &other.key) == (&finding.scope, &finding.key);
        for other in plan.diagnostics().iter().filter(about).filter(|other| other.not_granted_to().is_some()) {
            krate.steps.extend(self.grant(other));
        }
        if let Some(displaced) = finding.displaced().and_then(|name| demand(name)) {
            krate.satisfy(displaced);
            krate.add_provider_edits(displaced);
            krate.undeclare(&finding.participant);
        }
        krate.steps
    }

    /// Returns the edit by which the host lets one more participant provide.
    fn grant(&self, finding: &Diagnostic) -> Option<Step> {
        let (edit, name) = (finding.fix()?, finding.not_granted_to()?);
        let editable = self.editable(self.host_name()).contains(&Party::HOST);
        let summary = format!("let `{name}` provide `{}`", finding.key);
        editable.then_some(Step { party: Party::HOST, edit, summary, builds: false })
    }

    /// Returns edits, each of which renames one remote of that name.
    fn renames(&self, plan: &Plan, finding: &Diagnostic) -> Vec<Step> {
        let Some(edit) = finding.fix() else { return Vec::new() };
        let mut parties = self.editable(&finding.participant);
        if *finding.participant == *plan.host() {
            // The host keeps its name, which other files refer to.
            parties.retain(|party| *party != Party::HOST);
        }
        let step = |party| {
            let summary =
                format!("rename one of the remotes called `{}` to {}", finding.participant, edit.value);
            Step { party, edit: edit.clone(), summary, builds: false }
        };
        parties.into_iter().rev().map(step).collect()
    }
}

/// The steps that concern one crate.
struct Krate<'a> {
    rehearsal: &'a Rehearsal,
    view: &'a KeyView,
    steps: Vec<Step>,
}

impl Krate<'_> {
    /// Adds edits of the manifest that states the demand.
    fn satisfy(&mut self, demand: &DemandView) {
        // Versions in use come before other offered versions.
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
            let summary = format!("let `{name}` run with `{key}` outside {}", demand.required);
            self.put(name, "strictVersion", false, &summary);
        }
        if let Some(lowest) = demand.required.lowest() {
            self.bring(&demand.participant, &demand.required, &lowest);
        }
    }

    /// Adds edits by which another participant brings a copy that fits `demand`, or others accept an offer that fits.
    fn add_provider_edits(&mut self, demand: &DemandView) {
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
        let fitting = self.view.offers.iter().find(|offer| demand.required.matches(&offer.version));
        if let Some(offer) = fitting {
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
            let summary = format!("let `{name}` accept `{key}` {range}");
            self.put(name, "requiredVersion", range, &summary);
        }
    }

    /// Adds an edit by which `name` brings its own copy in `version`, the lowest that is `required`.
    fn bring(&mut self, name: &str, required: &Requirement, version: &Version) {
        let (key, scope) = (&self.view.key, &self.view.scope);
        if self.view.offers.iter().any(|offer| *offer.provider == *name && required.matches(&offer.version)) {
            return;
        }
        let entry_at = shared_pointer(key, None);
        for party in self.rehearsal.editable(name) {
            let manifest = self.rehearsal.json(party);
            let text = Value::from(version.to_string());
            let entry = manifest.pointer(&entry_at);
            let in_scope =
                entry.is_none_or(|entry| entry["shareScope"].as_str().unwrap_or(DEFAULT_SCOPE) == &**scope);
            let (pointer, value) = match entry {
                _ if !in_scope => continue,
                None if party != Party::HOST => continue,
                None if **scope == *DEFAULT_SCOPE => (entry_at.clone(), json!({ "version": text })),
                None => (entry_at.clone(), json!({ "version": text, "shareScope": &**scope })),
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
                        (entry_at.clone(), entry)
                    }
                }
                Some(entry) if entry.get("version") == Some(&text) => continue,
                Some(_) => (shared_pointer(key, Some("version")), text),
            };
            let summary = format!("let `{name}` bring `{key}` {version}");
            self.steps.push(Step { party, edit: Edit::new(name, pointer, value), summary, builds: true });
        }
    }

    /// Adds an edit by which `name` does not declare a singleton.
    fn undeclare(&mut self, name: &str) {
        if self.view.demands.iter().any(|demand| *demand.participant == *name && demand.singleton) {
            let summary = format!("let `{name}` not declare `{}` a singleton", self.view.key);
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
