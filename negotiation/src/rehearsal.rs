//! A plan before anything runs: manifests as they are written, and what is taken to be running already.

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::manifest::{HostManifest, RemoteManifest};
use semver::Version;
use serde_json::Value;

use crate::manifest::{Origin, Written};
use crate::resolver::{Edit, Live, Participant, Plan, Providers, Request, resolve};

/// The host, the remotes that run beside it, and those that join.
///
/// Those that run were planned first, as at a start, and use what that plan gave them.
/// Whoever joins displaces nothing of it. A joining remote with the name of a running one is its new
/// generation: it replaces the old one, whose copies stay where others use them.
pub struct Rehearsal {
    host: Written<HostManifest>,
    running: Vec<Written<RemoteManifest>>,
    joining: Vec<Written<RemoteManifest>>,
    live: Live,
    /// The host as it takes part.
    first: Participant,
    /// The crates that the host keeps its own state in.
    linked: &'static [&'static str],
    providers: Providers,
    /// Those that run and are not replaced, then those that join.
    remotes: Vec<Participant>,
}

impl Rehearsal {
    /// Rehearses a start with these remotes; `linked` is as in [`Self::join`].
    pub fn start(
        host: Written<HostManifest>,
        linked: &'static [&'static str],
        remotes: Vec<Written<RemoteManifest>>,
    ) -> Self {
        Self::join(host, linked, Vec::new(), remotes)
    }

    /// Rehearses a federation in which `running` run and `joining` come.
    ///
    /// `linked` are the shared crates that the host keeps its own state in ([`Providers::of`]).
    /// One that is said to run and would have been refused does not run: it joins, if no other of its name does.
    pub fn join(
        host: Written<HostManifest>,
        linked: &'static [&'static str],
        running: Vec<Written<RemoteManifest>>,
        mut joining: Vec<Written<RemoteManifest>>,
    ) -> Self {
        let first = Participant::host(&host.manifest);
        let providers = Providers::of(&host.manifest, linked);
        let mut live = Live::new();
        let (mut run, mut remotes) = (Vec::new(), Vec::new());
        if !running.is_empty() {
            let people: Vec<_> = running.iter().map(|one| Participant::remote(&one.manifest)).collect();
            let request = Request::new(&first, &people, host.manifest.share_strategy);
            let plan = resolve(&Request { providers: &providers, ..request });
            live.bind_assigned(&plan, first.name());
            for (one, person) in running.into_iter().zip(people) {
                let replaced = joining.iter().any(|other| other.manifest.name == one.manifest.name);
                if !plan.is_refused(&one.manifest.name) {
                    live.bind_assigned(&plan, person.name());
                    remotes.extend((!replaced).then(|| person.loaded(true)));
                    run.push(one);
                } else if !replaced {
                    joining.push(one);
                }
            }
        }
        remotes.extend(joining.iter().map(|one| Participant::remote(&one.manifest)));
        Self { host, running: run, joining, live, first, linked, providers, remotes }
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        self.resolved(&self.first, &self.providers, &self.remotes)
    }

    /// The remotes that run, by name and version.
    pub fn running(&self) -> impl Iterator<Item = (&str, &Version)> {
        self.running.iter().map(|one| (one.manifest.name.as_str(), &one.manifest.version))
    }

    /// The remotes that join: name, version, and the version that runs now where it is a new generation.
    pub fn joining(&self) -> impl Iterator<Item = (&str, &Version, Option<&Version>)> {
        self.joining.iter().map(|one| {
            let RemoteManifest { name, version, .. } = &one.manifest;
            let old = self.running().find(|(running, _)| running == name).map(|(_, version)| version);
            (name.as_str(), version, old)
        })
    }

    /// The host's name.
    pub fn host_name(&self) -> &str {
        &self.host.manifest.name
    }

    /// `edit` with the place where it is to be made; none for a participant that there is not.
    pub fn change(&self, edit: &Edit) -> Option<Change> {
        self.origin_of(&edit.participant).map(|origin| Change::new(edit.clone(), origin))
    }

    /// Where the value of a JSON pointer stands, or belongs, in the manifest of `participant`.
    pub fn place(&self, participant: &str, pointer: &str) -> Option<String> {
        self.origin_of(participant).map(|origin| origin.place(pointer))
    }

    /// Of several remotes with one name the last, and of a remote and the host the remote: it is to be renamed.
    fn origin_of(&self, participant: &str) -> Option<&Origin> {
        let known = |one: &&Written<RemoteManifest>| *one.manifest.name == *participant;
        let remote = self.joining.iter().rfind(known).or_else(|| self.running.iter().find(known));
        let host = (*self.host.manifest.name == *participant).then_some(&self.host.origin);
        remote.map(|one| &one.origin).or(host)
    }

    /// The manifests that may be edited: those that join and, where nothing runs yet, the host's.
    pub(crate) fn editable(&self, name: &str) -> Vec<Party> {
        let joining = self.joining.iter().enumerate().filter(|(_, one)| one.manifest.name == name);
        let joining = joining.map(|(at, _)| Party(at + 1));
        let host = self.running.is_empty() && self.host.manifest.name == name;
        host.then_some(Party::HOST).into_iter().chain(joining).collect()
    }

    /// The manifest of `party` as JSON.
    pub(crate) fn json(&self, party: Party) -> Value {
        // The text has been read as a manifest, so it is JSON.
        serde_json::from_str(self.origin(party).text()).unwrap_or_default()
    }

    pub(crate) fn origin(&self, party: Party) -> &Origin {
        match party.0.checked_sub(1) {
            None => &self.host.origin,
            Some(at) => &self.joining[at].origin,
        }
    }

    /// The plan with these edits; none where they do not leave a manifest.
    pub(crate) fn plan_with<'a>(&self, edits: impl Iterator<Item = (Party, &'a Edit)>) -> Option<Plan> {
        let mut edited: BTreeMap<Party, Value> = BTreeMap::new();
        for (party, edit) in edits {
            if !edit.apply(edited.entry(party).or_insert_with(|| self.json(party))) {
                return None;
            }
        }
        let (mut first, mut remotes) = (self.first.clone(), self.remotes.clone());
        let mut providers = Cow::Borrowed(&self.providers);
        let loaded = remotes.len() - self.joining.len();
        for (party, json) in edited {
            let text = json.to_string();
            match party.0.checked_sub(1) {
                None => {
                    let host = HostManifest::from_json(&text).ok()?;
                    providers = Cow::Owned(Providers::of(&host, self.linked));
                    first = Participant::host(&host);
                }
                Some(at) => {
                    remotes[loaded + at] = Participant::remote(&RemoteManifest::from_json(&text).ok()?);
                }
            }
        }
        Some(self.resolved(&first, &providers, &remotes))
    }

    fn resolved(&self, host: &Participant, providers: &Providers, remotes: &[Participant]) -> Plan {
        let request = Request::new(host, remotes, self.host.manifest.share_strategy);
        resolve(&Request { live: &self.live, providers, ..request })
    }
}

/// A manifest that may be edited: the host's, or the one of a remote that joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Party(usize);

impl Party {
    pub(crate) const HOST: Self = Self(0);
}

/// An edit, with the place in the file and the value that stands there now.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What to write.
    pub edit: Edit,
    /// Where, as people read it.
    pub place: String,
    /// The file.
    pub file: Arc<str>,
    /// Line and column in it, from 1.
    pub at: (usize, usize),
    /// What is written there; none where it is absent.
    pub old: Option<Value>,
}

impl Change {
    /// Locates `edit` in the manifest that `origin` holds.
    pub fn new(edit: Edit, origin: &Origin) -> Self {
        let json: Value = serde_json::from_str(origin.text()).unwrap_or_default();
        Self {
            place: origin.place(&edit.pointer),
            file: origin.file().into(),
            at: origin.line_column(&edit.pointer),
            old: json.pointer(&edit.pointer).cloned(),
            edit,
        }
    }

    /// What stands there now, as it is written.
    pub(crate) fn before(&self) -> String {
        self.old.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string)
    }

    /// The change as JSON: `participant`, `file`, `line`, `column`, `pointer`, `old` and `new`.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "participant": &*self.edit.participant,
            "file": &*self.file,
            "line": self.at.0,
            "column": self.at.1,
            "pointer": self.edit.pointer,
            "old": self.old,
            "new": self.edit.value,
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, edit, .. } = self;
        write!(f, "{place}  {}: {} -> {}", edit.pointer, self.before(), edit.value)
    }
}
