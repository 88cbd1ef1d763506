//! Plans from manifests as written, with a set of remotes assumed to run already; nothing is loaded.

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
use crate::resolver::{Edit, Live, Participant, Plan, PlanRequest, Providers, resolve};

/// The host, the running remotes and the joining remotes.
///
/// The running remotes are planned first, as at a start, and use the copies of that plan. A joining remote displaces
/// none of these. A joining remote with the name of a running one is its new generation: it replaces the old one, and
/// copies of the old one stay in use by others.
pub struct Rehearsal {
    host: Written<HostManifest>,
    running: Vec<Written<RemoteManifest>>,
    joining: Vec<Written<RemoteManifest>>,
    live: Live,
    /// The host as a participant.
    first: Participant,
    /// The crates in which the host keeps its own state.
    linked: &'static [&'static str],
    providers: Providers,
    /// The running remotes that are not replaced, then the joining ones.
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

    /// Rehearses a federation in which the remotes `running` run and the remotes `joining` join.
    ///
    /// `linked` are the shared crates in which the host keeps its own state ([`Providers::of`]). A remote of
    /// `running` that would have been refused does not run: it joins, unless another remote of its name does.
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
            let participants: Vec<_> = running.iter().map(|one| Participant::remote(&one.manifest)).collect();
            let request = PlanRequest::new(&first, &participants, host.manifest.share_strategy);
            let plan = resolve(&PlanRequest { providers: &providers, ..request });
            live.bind_assigned(&plan, first.name());
            for (one, participant) in running.into_iter().zip(participants) {
                let replaced = joining.iter().any(|other| other.manifest.name == one.manifest.name);
                if !plan.is_refused(&one.manifest.name) {
                    live.bind_assigned(&plan, participant.name());
                    remotes.extend((!replaced).then(|| participant.loaded(true)));
                    run.push(one);
                } else if !replaced {
                    joining.push(one);
                }
            }
        }
        remotes.extend(joining.iter().map(|one| Participant::remote(&one.manifest)));
        Self { host, running: run, joining, live, first, linked, providers, remotes }
    }

    /// Plans the federation.
    pub fn plan(&self) -> Plan {
        self.resolved(&self.first, &self.providers, &self.remotes)
    }

    /// Returns the running remotes: name and version.
    pub fn running(&self) -> impl Iterator<Item = (&str, &Version)> {
        self.running.iter().map(|one| (one.manifest.name.as_str(), &one.manifest.version))
    }

    /// Returns the joining remotes: name, version and, for a new generation, the version that runs now.
    pub fn joining(&self) -> impl Iterator<Item = (&str, &Version, Option<&Version>)> {
        self.joining.iter().map(|one| {
            let RemoteManifest { name, version, .. } = &one.manifest;
            let old = self.running().find(|(running, _)| running == name).map(|(_, version)| version);
            (name.as_str(), version, old)
        })
    }

    /// Returns the host's name.
    pub fn host_name(&self) -> &str {
        &self.host.manifest.name
    }

    /// Locates `edit` in its manifest; returns `None` for an unknown participant.
    pub fn change(&self, edit: &Edit) -> Option<Change> {
        self.origin_of(&edit.participant).map(|origin| Change::new(edit.clone(), origin))
    }

    /// Returns the place of the value of a JSON pointer in the manifest of `participant`, as [`Origin::place`].
    pub fn place(&self, participant: &str, pointer: &str) -> Option<String> {
        self.origin_of(participant).map(|origin| origin.place(pointer))
    }

    /// Returns the origin of a participant's manifest: of several remotes with one name, the last; of a remote and
    /// the host with one name, the remote's, because that is the one to rename.
    fn origin_of(&self, participant: &str) -> Option<&Origin> {
        let known = |one: &&Written<RemoteManifest>| *one.manifest.name == *participant;
        let remote = self.joining.iter().rfind(known).or_else(|| self.running.iter().find(known));
        let host = (*self.host.manifest.name == *participant).then_some(&self.host.origin);
        remote.map(|one| &one.origin).or(host)
    }

    /// Returns the manifests of `name` that may be edited: those of joining remotes and, if no remote runs, the
    /// host's.
    pub(crate) fn editable(&self, name: &str) -> Vec<Party> {
        let joining = self.joining.iter().enumerate().filter(|(_, one)| one.manifest.name == name);
        let joining = joining.map(|(at, _)| Party(at + 1));
        let host = self.running.is_empty() && self.host.manifest.name == name;
        host.then_some(Party::HOST).into_iter().chain(joining).collect()
    }

    /// Returns the manifest of `party` as JSON.
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

    /// Plans with these edits; returns `None` if an edited manifest is not valid.
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
        let request = PlanRequest::new(host, remotes, self.host.manifest.share_strategy);
        resolve(&PlanRequest { live: &self.live, providers, ..request })
    }
}

/// A manifest that may be edited: the host's, or that of a joining remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Party(usize);

impl Party {
    pub(crate) const HOST: Self = Self(0);
}

/// An edit with its place in the file and the present value.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The edit.
    pub edit: Edit,
    /// The place in the form that editors open ([`Origin::place`]).
    pub place: String,
    /// The path of the file.
    pub file: Arc<str>,
    /// Line and column in the file, from 1.
    pub at: (usize, usize),
    /// The present value; `None` if it is absent.
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

    /// Returns the present value as JSON text.
    pub(crate) fn before(&self) -> String {
        self.old.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string)
    }

    /// Returns the change as JSON: `participant`, `file`, `line`, `column`, `pointer`, `old` and `new`.
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
