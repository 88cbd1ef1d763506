//! Diagnostics of a plan: a stable code, a sentence and advice.

use std::fmt;
use std::sync::Arc;

use crate::manifest::{DEFAULT_SCOPE, Requirement};
use semver::Version;
use serde::Serialize;

use super::Providers;
use super::edit::{Edit, shared_pointer};
use super::group::{Barred, Gets, Group};

/// The kinds of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiagnosticCode {
    /// A remote cannot be admitted, because another participant would then be refused.
    Conflict,
    /// Several participants have one name.
    DuplicateName,
    /// A remote has a name that is reserved for the host.
    NameReserved,
    /// A strict demand of the host is not met; the shell starts anyway.
    HostUnsatisfied,
    /// A remote without its own copy requires a crate that no participant offers.
    NoProvider,
    /// A running participant keeps another copy than the singleton, which was declared after it was loaded.
    NotShared,
    /// A participant uses another's copy of a crate that is not a singleton, with separate state.
    NotSingleton,
    /// A participant uses its own copy of a crate while others use another.
    OwnCopy,
    /// A copy fits or is the best, but the host does not let its participant provide it.
    ProviderNotGranted,
    /// The only copies that fit belong to refused participants or are unusable.
    ProviderRefused,
    /// A singleton has copies in other share scopes, because it is unique only within its own.
    SeparateScopes,
    /// The name of a crate is nearly that of another crate in its scope.
    SharedKeySimilar,
    /// A participant uses a singleton outside the versions that it accepts.
    VersionMismatch,
    /// A remote is refused, because its demand is strict and the singleton is outside the versions that it accepts.
    VersionMismatchStrict,
}

impl DiagnosticCode {
    /// Returns the stable, kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::DuplicateName => "duplicate-name",
            Self::HostUnsatisfied => "host-unsatisfied",
            Self::NameReserved => "name-reserved",
            Self::NoProvider => "no-provider",
            Self::NotShared => "not-shared",
            Self::NotSingleton => "not-singleton",
            Self::OwnCopy => "own-copy",
            Self::ProviderNotGranted => "provider-not-granted",
            Self::ProviderRefused => "provider-refused",
            Self::SeparateScopes => "separate-scopes",
            Self::SharedKeySimilar => "shared-key-similar",
            Self::VersionMismatch => "version-mismatch",
            Self::VersionMismatchStrict => "version-mismatch-strict",
        }
    }
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A participant is refused, or a strict demand of the host is not met.
    Error,
    /// Information; nothing is wrong.
    Info,
    /// The participant runs, perhaps not as intended.
    Warning,
}

impl Severity {
    /// Returns the word in JSON and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}

/// A finding of a plan about one participant and one crate.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// The kind of the finding.
    pub code: DiagnosticCode,
    /// The participant concerned.
    pub participant: Arc<str>,
    /// The share scope; empty where no crate is concerned.
    pub scope: Arc<str>,
    /// Name of the crate; empty where no crate is concerned.
    pub key: Arc<str>,
    detail: Detail,
    /// The edit of the host's manifest that lets a participant provide.
    grant: Option<Edit>,
}

/// The facts behind the message, which is formatted on demand, because most messages are never read.
#[derive(Debug, Clone, PartialEq)]
enum Detail {
    Mismatch { required: Arc<Requirement>, copy: NamedCopy },
    Nothing { required: Arc<Requirement>, offered: Vec<NamedCopy>, more: usize, meant: Option<Arc<str>> },
    Unusable { required: Arc<Requirement>, copy: NamedCopy, barred: Option<Barred> },
    NotGranted { version: Version, used: NamedCopy },
    Similar { meant: Arc<str> },
    Own { required: Arc<Requirement>, version: Version, satisfied: bool, other: NamedCopy },
    Instance { copy: NamedCopy },
    Bound { copy: NamedCopy, singleton: NamedCopy },
    Walls { others: Vec<Arc<str>> },
    Conflict { displaced: Arc<str>, required: Arc<Requirement>, copy: Option<NamedCopy> },
    Duplicate { host: bool, free: String },
    Reserved { free: String },
}

#[derive(Debug, Clone, PartialEq)]
struct NamedCopy {
    provider: Arc<str>,
    version: Version,
}

impl NamedCopy {
    fn of(group: &Group, offer: usize) -> Self {
        let offer = &group.offers[offer];
        Self { provider: offer.provider.clone(), version: offer.version.clone() }
    }
}

impl fmt::Display for NamedCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from `{}`)", self.version, self.provider)
    }
}

impl Diagnostic {
    /// Returns the severity.
    pub fn severity(&self) -> Severity {
        match self.code {
            DiagnosticCode::SeparateScopes => Severity::Info,
            DiagnosticCode::ProviderNotGranted if matches!(self.detail, Detail::NotGranted { .. }) => {
                Severity::Info
            }
            DiagnosticCode::NotShared
            | DiagnosticCode::NotSingleton
            | DiagnosticCode::OwnCopy
            | DiagnosticCode::SharedKeySimilar
            | DiagnosticCode::VersionMismatch => Severity::Warning,
            DiagnosticCode::Conflict
            | DiagnosticCode::DuplicateName
            | DiagnosticCode::HostUnsatisfied
            | DiagnosticCode::NameReserved
            | DiagnosticCode::NoProvider
            | DiagnosticCode::ProviderNotGranted
            | DiagnosticCode::ProviderRefused
            | DiagnosticCode::VersionMismatchStrict => Severity::Error,
        }
    }

    /// Returns the finding and the advice in one sentence.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Returns the edit of a manifest that would remedy the finding, judged by this diagnostic alone.
    ///
    /// Returns `None` if the remedy is another library, another scope or more than one line.
    pub fn fix(&self) -> Option<Edit> {
        if self.grant.is_some() {
            return self.grant.clone();
        }
        let edit = |participant: &str, field, value: serde_json::Value| {
            Some(Edit::new(participant, shared_pointer(&self.key, Some(field)), value))
        };
        let accept = |participant: &str, version: &Version| {
            edit(participant, "requiredVersion", Requirement::written_for(version).to_string().into())
        };
        match &self.detail {
            Detail::Mismatch { copy, .. } => accept(&self.participant, &copy.version),
            Detail::Nothing { offered, .. } => accept(&self.participant, &offered.first()?.version),
            Detail::Own { version, satisfied: false, .. } => accept(&self.participant, version),
            Detail::Own { satisfied: true, .. } | Detail::Instance { .. } => {
                edit(&self.participant, "singleton", true.into())
            }
            Detail::Conflict { displaced, copy, .. } => accept(displaced, &copy.as_ref()?.version),
            Detail::Walls { others } if *self.scope != *DEFAULT_SCOPE => {
                let default = others.iter().find(|scope| ***scope == *DEFAULT_SCOPE)?;
                edit(&self.participant, "shareScope", (**default).into())
            }
            Detail::Duplicate { free, .. } | Detail::Reserved { free } => {
                Some(Edit::new(&self.participant, "/name", &**free))
            }
            Detail::Unusable { .. }
            | Detail::NotGranted { .. }
            | Detail::Similar { .. }
            | Detail::Bound { .. }
            | Detail::Walls { .. } => None,
        }
    }

    /// Returns the manifest entries concerned, as participant and JSON pointer; for a conflict, those of both sides.
    pub fn written_at(&self) -> Vec<(&str, String)> {
        if matches!(self.detail, Detail::Duplicate { .. } | Detail::Reserved { .. }) {
            return vec![(&self.participant, "/name".to_owned())];
        }
        let names = [Some(&self.participant), self.displaced()].into_iter().flatten();
        names.map(|name| (&**name, shared_pointer(&self.key, None))).collect()
    }

    /// Returns the refused participant whose copy would fit.
    pub fn refused_provider(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Unusable { copy, barred: None, .. } => Some(&copy.provider),
            _ => None,
        }
    }

    /// Returns the participant that the host does not let provide a copy that fits or is the best.
    pub fn not_granted_to(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Unusable { copy, barred: Some(Barred::NotGranted), .. } => Some(&copy.provider),
            Detail::NotGranted { .. } => Some(&self.participant),
            _ => None,
        }
    }

    /// Returns the participant whose demand would no longer be met.
    pub fn displaced(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Conflict { displaced, .. } => Some(displaced),
            _ => None,
        }
    }

    /// Returns the diagnostic as JSON: `code`, `severity`, `participant`, `scope`, `key` and `message`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code.as_str(),
            "severity": self.severity().as_str(),
            "participant": &*self.participant,
            "scope": &*self.scope,
            "key": &*self.key,
            "message": self.message(),
        })
    }

    /// Creates the diagnostic of a `demand` that `group` does not meet.
    pub(super) fn unmet(group: &Group, demand: usize, participant: Arc<str>, host: usize) -> Self {
        let winner = if group.is_singleton() { group.winner() } else { None };
        let required = group.demands[demand].required.clone();
        let (code, detail) = match group.gets(demand, winner) {
            Gets::Mismatch { offer } | Gets::Offer { offer, .. } => (
                DiagnosticCode::VersionMismatchStrict,
                Detail::Mismatch { required, copy: NamedCopy::of(group, offer) },
            ),
            Gets::Nothing => {
                let fitting = |&at: &usize| !group.offers[at].available() && group.fits(demand, at);
                match (0..group.offers.len()).find(fitting) {
                    Some(at) => {
                        let barred = group.offers[at].barred;
                        let code = match barred {
                            Some(Barred::NotGranted) => DiagnosticCode::ProviderNotGranted,
                            Some(Barred::Unusable) | None => DiagnosticCode::ProviderRefused,
                        };
                        (code, Detail::Unusable { required, copy: NamedCopy::of(group, at), barred })
                    }
                    None => (DiagnosticCode::NoProvider, Detail::nothing(group, required)),
                }
            }
        };
        let code =
            if group.demands[demand].participant == host { DiagnosticCode::HostUnsatisfied } else { code };
        Self::about(group, participant, code, detail)
    }

    /// Creates the diagnostic of a singleton `offer` that is used outside the range of `demand`.
    pub(super) fn mismatch(group: &Group, demand: usize, offer: usize, participant: Arc<str>) -> Self {
        let required = group.demands[demand].required.clone();
        let detail = Detail::Mismatch { required, copy: NamedCopy::of(group, offer) };
        Self::about(group, participant, DiagnosticCode::VersionMismatch, detail)
    }

    /// Creates the diagnostic of an own copy `offer` that is used while another participant uses `other`.
    pub(super) fn own_copy(
        group: &Group,
        demand: usize,
        (offer, satisfied): (usize, bool),
        other: usize,
        participant: Arc<str>,
    ) -> Self {
        let required = group.demands[demand].required.clone();
        let version = group.offers[offer].version.clone();
        let detail = Detail::Own { required, version, satisfied, other: NamedCopy::of(group, other) };
        Self::about(group, participant, DiagnosticCode::OwnCopy, detail)
    }

    /// Creates the diagnostic of another's copy `offer`, of which each consumer has a separate instance.
    pub(super) fn not_singleton(group: &Group, offer: usize, participant: Arc<str>) -> Self {
        Self::about(
            group,
            participant,
            DiagnosticCode::NotSingleton,
            Detail::Instance { copy: NamedCopy::of(group, offer) },
        )
    }

    /// Creates the diagnostic of a running participant that keeps `offer` although `singleton` serves all others.
    pub(super) fn bound(group: &Group, offer: usize, singleton: usize, participant: Arc<str>) -> Self {
        let detail =
            Detail::Bound { copy: NamedCopy::of(group, offer), singleton: NamedCopy::of(group, singleton) };
        Self::about(group, participant, DiagnosticCode::NotShared, detail)
    }

    /// Creates the diagnostic of a singleton of `declarer` that has copies in the scopes `others`.
    pub(super) fn separate_scopes(group: &Group, others: Vec<Arc<str>>, declarer: Arc<str>) -> Self {
        Self::about(group, declarer, DiagnosticCode::SeparateScopes, Detail::Walls { others })
    }

    /// Creates the diagnostic of a `participant` whose admission would leave the `displaced`'s demand unmet.
    pub(super) fn conflict(group: &Group, demand: usize, [participant, displaced]: [Arc<str>; 2]) -> Self {
        let winner = if group.is_singleton() { group.winner() } else { None };
        let required = group.demands[demand].required.clone();
        let copy = winner.map(|offer| NamedCopy::of(group, offer));
        Self::about(
            group,
            participant,
            DiagnosticCode::Conflict,
            Detail::Conflict { displaced, required, copy },
        )
    }

    /// Creates the diagnostic of a name that several remotes have, or a remote and the host; `free` is an unused one.
    pub(super) fn duplicate(name: Arc<str>, host: bool, free: String) -> Self {
        let none: Arc<str> = "".into();
        let (detail, scope, key) = (Detail::Duplicate { host, free }, none.clone(), none);
        Self { code: DiagnosticCode::DuplicateName, participant: name, scope, key, detail, grant: None }
    }

    /// Creates the diagnostic of a remote with a reserved name; `free` is a name that it can have.
    pub(super) fn reserved(name: Arc<str>, free: String) -> Self {
        let none: Arc<str> = "".into();
        let (detail, scope, key) = (Detail::Reserved { free }, none.clone(), none);
        Self { code: DiagnosticCode::NameReserved, participant: name, scope, key, detail, grant: None }
    }

    /// Creates the diagnostic of a `participant` that may not provide its `version`, which is higher than `used`.
    pub(super) fn not_granted(group: &Group, version: &Version, used: usize, participant: Arc<str>) -> Self {
        let detail = Detail::NotGranted { version: version.clone(), used: NamedCopy::of(group, used) };
        Self::about(group, participant, DiagnosticCode::ProviderNotGranted, detail)
    }

    /// Creates the diagnostic of a `participant` that shares a crate with nearly the name `meant`.
    pub(super) fn similar(group: &Group, meant: Arc<str>, participant: Arc<str>) -> Self {
        Self::about(group, participant, DiagnosticCode::SharedKeySimilar, Detail::Similar { meant })
    }

    /// Adds the edit of the host's manifest that lets a participant provide.
    pub(super) fn granting(mut self, host: &str, providers: &Providers) -> Self {
        self.grant = self.not_granted_to().map(|name| {
            let names: Vec<String> = providers.with(name, &self.key).into_iter().collect();
            Edit::new(host, format!("/providers/{}", self.key), names)
        });
        self
    }

    /// Adds the crate that was probably meant, from `find`, if no participant offers the named one.
    pub(super) fn meaning(mut self, find: impl FnOnce() -> Option<Arc<str>>) -> Self {
        if let Detail::Nothing { offered, meant, .. } = &mut self.detail
            && offered.is_empty()
        {
            *meant = find();
        }
        self
    }

    fn about(group: &Group, participant: Arc<str>, code: DiagnosticCode, detail: Detail) -> Self {
        let (scope, key) = (group.scope.clone(), group.key.clone());
        Self { code, participant, scope, key, detail, grant: None }
    }
}

impl Detail {
    fn nothing(group: &Group, required: Arc<Requirement>) -> Self {
        const NAMED: usize = 3;
        let available = (0..group.offers.len()).filter(|&at| group.offers[at].available());
        let named = group.available().min(NAMED);
        let offered = available.take(named).map(|at| NamedCopy::of(group, at)).collect();
        Self::Nothing { required, offered, more: group.available() - named, meant: None }
    }
}

impl fmt::Display for Diagnostic {
    #[expect(clippy::too_many_lines, reason = "a sentence for each kind of finding")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { participant, scope, key, code, detail, .. } = self;
        let in_scope =
            if **scope == *DEFAULT_SCOPE { String::new() } else { format!(" in the scope `{scope}`") };
        let krate = format!("`{key}`{in_scope}");
        let demand = |required: &Requirement| match required {
            Requirement::Range(_) => format!("`{key}` {required}{in_scope}"),
            Requirement::Any => format!("any version of {krate}"),
        };
        let offer = |copy: &NamedCopy| format!("`{key}` {}{in_scope} (from `{}`)", copy.version, copy.provider);
        let strict = if *code == DiagnosticCode::VersionMismatch { "" } else { " (strict)" };
        match detail {
            Detail::Mismatch { required, copy } if copy.provider == *participant => write!(
                f,
                "`{participant}` requires {}{strict}, but the singleton is its own copy, {}: build it with a version within \
                 {required}, or widen its `requiredVersion`",
                demand(required),
                copy.version
            ),
            Detail::Mismatch { required, copy } => write!(
                f,
                "`{participant}` requires {}{strict}, but the singleton is {copy}: let `{}` or another participant offer a \
                 version within {required}, or widen `requiredVersion` in the manifest of `{participant}`",
                demand(required),
                copy.provider
            ),
            Detail::Nothing { required, meant: Some(meant), .. } => write!(
                f,
                "`{participant}` requires {} from another participant, but no participant offers it: did you mean \
                 `{meant}`? Correct {} in the manifest of `{participant}`",
                demand(required),
                shared_pointer(key, None)
            ),
            Detail::Nothing { required, offered, more, meant: None } => {
                write!(f, "`{participant}` requires {} from another participant, but ", demand(required))?;
                match offered.as_slice() {
                    [] => write!(f, "no participant offers it")?,
                    offered => {
                        let offered: Vec<String> = offered.iter().map(NamedCopy::to_string).collect();
                        write!(f, "only {}", offered.join(", "))?;
                        if *more > 0 {
                            write!(f, " and {more} more")?;
                        }
                        write!(f, " {} offered", if offered.len() + more == 1 { "is" } else { "are" })?;
                    }
                }
                write!(f, ": add a participant that offers it, or let `{participant}` bring its own copy")
            }
            Detail::Unusable { required, copy, barred: Some(Barred::NotGranted) } => write!(
                f,
                "`{participant}` requires {} from another participant, and the best match is {copy}, which the host \
                 does not let it provide: if `{}` may see all state in that crate, name it in the host's manifest at \
                 /providers/{key}",
                demand(required),
                copy.provider
            ),
            Detail::NotGranted { version, used } => write!(
                f,
                "`{participant}` offers `{key}` {version}{in_scope} but may not provide it, so {used} is used: if it \
                 may see all state in that crate, name it in the host's manifest at /providers/{key}"
            ),
            Detail::Similar { meant } => write!(
                f,
                "`{participant}` shares {krate}, but others share `{meant}`, which is another crate: did you mean \
                 `{meant}`? Correct {} in the manifest of `{participant}`",
                shared_pointer(key, None)
            ),
            Detail::Unusable { required, copy, barred } => {
                let reason =
                    if barred.is_some() { "which was found to be unusable" } else { "which is refused" };
                write!(
                    f,
                    "`{participant}` requires {}, and the best match is {copy}, {reason}: repair `{}`, or add \
                     another participant that offers such a version",
                    demand(required),
                    copy.provider
                )
            }
            Detail::Own { required, version, satisfied: true, other } => write!(
                f,
                "`{participant}` uses its own copy of {krate}, {version}, and shares no state with the users of \
                 {other}, because no participant in the scope declares `singleton`: to share one copy, set \
                 `singleton` to true at {} in the manifest of `{participant}`, which requires {required}",
                shared_pointer(key, None)
            ),
            Detail::Own { required, version, satisfied: false, other } => write!(
                f,
                "`{participant}` requires {}, which no participant offers, so it uses its own copy, {version}, and \
                 shares no state with the users of {other}: build it with a version within {required}, or widen its \
                 `requiredVersion`",
                demand(required)
            ),
            Detail::Instance { copy } => write!(
                f,
                "`{participant}` uses {} with separate state, because no participant in the scope declares \
                 `singleton`: it does not see what others write there; set `singleton` to true at {} in the manifest \
                 of `{participant}`",
                offer(copy),
                shared_pointer(key, None)
            ),
            Detail::Bound { copy, singleton } => write!(
                f,
                "`{participant}` keeps {}, in use since it was loaded, while the other participants use {singleton}: \
                 restart the shell to share one copy",
                offer(copy)
            ),
            Detail::Walls { others } => write!(
                f,
                "`{participant}` declares `{key}` a singleton, which holds only in the scope `{scope}`, and {} {} \
                 another copy: set the same `shareScope` everywhere to share one",
                others.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(", "),
                if others.len() == 1 { "has" } else { "have" }
            ),
            Detail::Conflict { displaced, required, copy: Some(copy) } => write!(
                f,
                "with `{participant}`, every participant would get {}, but `{displaced}` requires {required} (strict): \
                 let both accept one version, or leave one of them out",
                offer(copy)
            ),
            Detail::Conflict { displaced, required, copy: None } => write!(
                f,
                "with `{participant}`, no copy would be left for `{displaced}`, which requires {}: let another \
                 participant offer it, or leave one of the two out",
                demand(required)
            ),
            Detail::Duplicate { host: false, .. } => {
                write!(
                    f,
                    "several remotes are called `{participant}`, so all of them are refused: rename all but one"
                )
            }
            Detail::Duplicate { host: true, .. } => {
                write!(f, "a remote is called `{participant}`, which is the host's name: rename the remote")
            }
            Detail::Reserved { free } => write!(
                f,
                "a remote is called `{participant}`, but atoms under that name belong to the host: rename the \
                 remote, for example to `{free}`"
            ),
        }
    }
}
