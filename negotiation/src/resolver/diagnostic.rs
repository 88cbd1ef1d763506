//! What a plan has to say: one stable code, one sentence, and what to do next.

use std::fmt;
use std::sync::Arc;

use crate::manifest::{DEFAULT_SCOPE, Requirement, near_miss};
use semver::Version;
use serde::Serialize;

use super::Providers;
use super::edit::{Edit, shared_pointer};
use super::group::{Barred, Gets, Group};

/// The kinds of things that a plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A remote cannot be admitted because another would then be refused.
    Conflict,
    /// Several participants have one name.
    DuplicateName,
    /// A remote has a name that is the host's own.
    NameReserved,
    /// The host does not get what it strictly needs; the shell starts nevertheless.
    HostUnsatisfied,
    /// A remote without a copy of its own needs a crate that nobody offers.
    NoProvider,
    /// A running participant keeps another copy than the singleton, which was declared after it was loaded.
    NotShared,
    /// A participant uses another's copy of a crate that is no singleton, with a state of its own.
    NotSingleton,
    /// A participant uses its own copy of a crate while others use another.
    OwnCopy,
    /// A copy would do or be the best, and the host does not let its participant provide it.
    ProviderNotGranted,
    /// The only copies that would do are of refused participants, or must not be used.
    ProviderRefused,
    /// A singleton is one only within its share scope, and other scopes have the crate too.
    SeparateScopes,
    /// A crate is called nearly as another of its scope.
    SharedKeySimilar,
    /// A participant uses a singleton outside the versions that it asks for.
    VersionMismatch,
    /// A remote is refused because the singleton is outside the versions that it insists on.
    VersionMismatchStrict,
}

impl Code {
    /// The stable, kebab-case name.
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

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody does not get what it cannot do without.
    Error,
    /// Worth knowing; nothing is wrong.
    Info,
    /// It runs, perhaps not as meant.
    Warning,
}

impl Severity {
    /// The word in JSON and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }
}

/// Something that a plan says about one participant and one crate.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// What kind of thing it is.
    pub code: Code,
    /// The participant concerned.
    pub participant: Arc<str>,
    /// The share scope; empty where no crate is concerned.
    pub scope: Arc<str>,
    /// Name of the crate; empty where no crate is concerned.
    pub key: Arc<str>,
    detail: Detail,
    /// The line of the host's manifest that lets a participant provide.
    grant: Option<Edit>,
}

/// What the sentence is made of; it is written when it is read, because most never are.
#[derive(Debug, Clone, PartialEq)]
enum Detail {
    Mismatch { required: Arc<Requirement>, copy: Copy },
    Nothing { required: Arc<Requirement>, offered: Vec<Copy>, more: usize, meant: Option<Arc<str>> },
    Unusable { required: Arc<Requirement>, copy: Copy, barred: Option<Barred> },
    NotGranted { version: Version, used: Copy },
    Similar { meant: Arc<str> },
    Own { required: Arc<Requirement>, version: Version, satisfied: bool, other: Copy },
    Instance { copy: Copy },
    Bound { copy: Copy, singleton: Copy },
    Walls { others: Vec<Arc<str>> },
    Conflict { victim: Arc<str>, required: Arc<Requirement>, copy: Option<Copy> },
    Duplicate { host: bool, free: String },
    Reserved { free: String },
}

#[derive(Debug, Clone, PartialEq)]
struct Copy {
    provider: Arc<str>,
    version: Version,
}

impl Copy {
    fn of(group: &Group, offer: usize) -> Self {
        let offer = &group.offers[offer];
        Self { provider: offer.provider.clone(), version: offer.version.clone() }
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}`", self.version, self.provider)
    }
}

impl Diagnostic {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self.code {
            Code::SeparateScopes => Severity::Info,
            Code::ProviderNotGranted if matches!(self.detail, Detail::NotGranted { .. }) => Severity::Info,
            Code::NotShared
            | Code::NotSingleton
            | Code::OwnCopy
            | Code::SharedKeySimilar
            | Code::VersionMismatch => Severity::Warning,
            Code::Conflict
            | Code::DuplicateName
            | Code::HostUnsatisfied
            | Code::NameReserved
            | Code::NoProvider
            | Code::ProviderNotGranted
            | Code::ProviderRefused
            | Code::VersionMismatchStrict => Severity::Error,
        }
    }

    /// One sentence: what it is, and what to do next.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The one line of a manifest that would remedy it, as far as this diagnostic alone can tell.
    ///
    /// None where it takes another library, another scope or more than one line.
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
            Detail::Conflict { victim, copy, .. } => accept(victim, &copy.as_ref()?.version),
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

    /// Where what it is about is written: participant and JSON pointer; of a conflict, both sides.
    pub fn written_at(&self) -> Vec<(&str, String)> {
        if matches!(self.detail, Detail::Duplicate { .. } | Detail::Reserved { .. }) {
            return vec![(&self.participant, "/name".to_owned())];
        }
        let names = [Some(&self.participant), self.victim()].into_iter().flatten();
        names.map(|name| (&**name, shared_pointer(&self.key, None))).collect()
    }

    /// The refused participant whose copy would have done.
    pub fn refused_provider(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Unusable { copy, barred: None, .. } => Some(&copy.provider),
            _ => None,
        }
    }

    /// The participant that the host does not let provide a copy which would do, or be the best.
    pub fn not_granted_to(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Unusable { copy, barred: Some(Barred::NotGranted), .. } => Some(&copy.provider),
            Detail::NotGranted { .. } => Some(&self.participant),
            _ => None,
        }
    }

    /// Who would lose what it needs.
    pub fn victim(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Conflict { victim, .. } => Some(victim),
            _ => None,
        }
    }

    /// As JSON: `code`, `severity`, `participant`, `scope`, `key` and `message`.
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

    /// `demand` is not met by what `group` has to give.
    pub(super) fn unmet(group: &Group, demand: usize, participant: Arc<str>, host: usize) -> Self {
        let winner = if group.is_singleton() { group.winner() } else { None };
        let required = group.demands[demand].required.clone();
        let (code, detail) = match group.gets(demand, winner) {
            Gets::Mismatch { offer } | Gets::Offer { offer, .. } => {
                (Code::VersionMismatchStrict, Detail::Mismatch { required, copy: Copy::of(group, offer) })
            }
            Gets::Nothing => {
                let would_do = |&at: &usize| !group.offers[at].available() && group.fits(demand, at);
                match (0..group.offers.len()).find(would_do) {
                    Some(at) => {
                        let barred = group.offers[at].barred;
                        let code = match barred {
                            Some(Barred::NotGranted) => Code::ProviderNotGranted,
                            Some(Barred::Unusable) | None => Code::ProviderRefused,
                        };
                        (code, Detail::Unusable { required, copy: Copy::of(group, at), barred })
                    }
                    None => (Code::NoProvider, Detail::nothing(group, required)),
                }
            }
        };
        let code = if group.demands[demand].participant == host { Code::HostUnsatisfied } else { code };
        Self::about(group, participant, code, detail)
    }

    /// The singleton `offer` is used although it is outside what is asked for.
    pub(super) fn mismatch(group: &Group, demand: usize, offer: usize, participant: Arc<str>) -> Self {
        let required = group.demands[demand].required.clone();
        let detail = Detail::Mismatch { required, copy: Copy::of(group, offer) };
        Self::about(group, participant, Code::VersionMismatch, detail)
    }

    /// The own copy `offer` is used, and somebody else uses `other`.
    pub(super) fn own_copy(
        group: &Group,
        demand: usize,
        (offer, satisfied): (usize, bool),
        other: usize,
        participant: Arc<str>,
    ) -> Self {
        let required = group.demands[demand].required.clone();
        let version = group.offers[offer].version.clone();
        let detail = Detail::Own { required, version, satisfied, other: Copy::of(group, other) };
        Self::about(group, participant, Code::OwnCopy, detail)
    }

    /// The copy `offer` of another is used, of which each user has an instance of its own.
    pub(super) fn not_singleton(group: &Group, offer: usize, participant: Arc<str>) -> Self {
        Self::about(group, participant, Code::NotSingleton, Detail::Instance { copy: Copy::of(group, offer) })
    }

    /// A running participant keeps `offer` although `singleton` serves all others.
    pub(super) fn bound(group: &Group, offer: usize, singleton: usize, participant: Arc<str>) -> Self {
        let detail = Detail::Bound { copy: Copy::of(group, offer), singleton: Copy::of(group, singleton) };
        Self::about(group, participant, Code::NotShared, detail)
    }

    /// `declarer` wants one copy, and other scopes have copies of their own.
    pub(super) fn walls(group: &Group, others: Vec<Arc<str>>, declarer: Arc<str>) -> Self {
        Self::about(group, declarer, Code::SeparateScopes, Detail::Walls { others })
    }

    /// Letting `participant` in would leave the `victim`'s demand unmet.
    pub(super) fn conflict(group: &Group, demand: usize, [participant, victim]: [Arc<str>; 2]) -> Self {
        let winner = if group.is_singleton() { group.winner() } else { None };
        let required = group.demands[demand].required.clone();
        let copy = winner.map(|offer| Copy::of(group, offer));
        Self::about(group, participant, Code::Conflict, Detail::Conflict { victim, required, copy })
    }

    /// Several remotes have this name, or a remote has the host's; `free` is a name that nobody has.
    pub(super) fn duplicate(name: Arc<str>, host: bool, free: String) -> Self {
        let none: Arc<str> = "".into();
        let (detail, scope, key) = (Detail::Duplicate { host, free }, none.clone(), none);
        Self { code: Code::DuplicateName, participant: name, scope, key, detail, grant: None }
    }

    /// A remote has a name that is the host's own; `free` is one that it can have.
    pub(super) fn reserved(name: Arc<str>, free: String) -> Self {
        let none: Arc<str> = "".into();
        let (detail, scope, key) = (Detail::Reserved { free }, none.clone(), none);
        Self { code: Code::NameReserved, participant: name, scope, key, detail, grant: None }
    }

    /// `participant` offers a higher version than the copy `used`, and may not provide it.
    pub(super) fn not_granted(group: &Group, version: &Version, used: usize, participant: Arc<str>) -> Self {
        let detail = Detail::NotGranted { version: version.clone(), used: Copy::of(group, used) };
        Self::about(group, participant, Code::ProviderNotGranted, detail)
    }

    /// `participant` shares a crate that is called nearly as `meant`.
    pub(super) fn similar(group: &Group, meant: Arc<str>, participant: Arc<str>) -> Self {
        Self::about(group, participant, Code::SharedKeySimilar, Detail::Similar { meant })
    }

    /// The same, with the line of the host's manifest that lets a participant provide.
    pub(super) fn granting(mut self, host: &str, providers: &Providers) -> Self {
        self.grant = self.not_granted_to().map(|name| {
            let names: Vec<String> = providers.with(name, &self.key).into_iter().collect();
            Edit::new(host, format!("/providers/{}", self.key), names)
        });
        self
    }

    /// Adds the crate that was probably meant, if no participant offers the named one.
    pub(super) fn meaning(mut self, known: &[&str]) -> Self {
        if let Detail::Nothing { offered, meant, .. } = &mut self.detail
            && offered.is_empty()
        {
            *meant = near_miss(&self.key, known).map(Arc::from);
        }
        self
    }

    fn about(group: &Group, participant: Arc<str>, code: Code, detail: Detail) -> Self {
        let (scope, key) = (group.scope.clone(), group.key.clone());
        Self { code, participant, scope, key, detail, grant: None }
    }
}

impl Detail {
    fn nothing(group: &Group, required: Arc<Requirement>) -> Self {
        const NAMED: usize = 3;
        let available: Vec<usize> =
            (0..group.offers.len()).filter(|&at| group.offers[at].available()).collect();
        let offered = available.iter().take(NAMED).map(|&at| Copy::of(group, at)).collect();
        Self::Nothing { required, offered, more: available.len().saturating_sub(NAMED), meant: None }
    }
}

impl fmt::Display for Diagnostic {
    #[expect(clippy::too_many_lines, reason = "a sentence for each kind of finding")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { participant, scope, key, code, detail, .. } = self;
        let krate = if **scope == *DEFAULT_SCOPE {
            format!("`{key}`")
        } else {
            format!("`{key}` in the scope `{scope}`")
        };
        let strictly = if *code == Code::VersionMismatch { "" } else { ", and insists on it" };
        match detail {
            Detail::Mismatch { required, copy } if copy.provider == *participant => write!(
                f,
                "`{participant}` needs {required} of {krate}{strictly}, but everybody uses its own copy, {}: \
                 build it with a version within {required}, or widen its `requiredVersion`",
                copy.version
            ),
            Detail::Mismatch { required, copy } => write!(
                f,
                "`{participant}` needs {required} of {krate}{strictly}, but everybody uses {copy}: \
                 let `{}` or another participant bring a version within {required}, \
                 or widen `requiredVersion` in the manifest of `{participant}`",
                copy.provider
            ),
            Detail::Nothing { required, meant: Some(meant), .. } => write!(
                f,
                "`{participant}` needs {required} of {krate} from another participant, but nobody offers it: did you mean \
                 `{meant}`? Correct {} in the manifest of `{participant}`",
                shared_pointer(key, None)
            ),
            Detail::Nothing { required, offered, more, meant: None } => {
                write!(f, "`{participant}` needs {required} of {krate} from somebody else, but ")?;
                match offered.as_slice() {
                    [] => write!(f, "nobody offers it")?,
                    offered => {
                        let offered: Vec<String> = offered.iter().map(Copy::to_string).collect();
                        write!(f, "only {}", offered.join(", "))?;
                        if *more > 0 {
                            write!(f, " and {more} more")?;
                        }
                        write!(f, " can be had")?;
                    }
                }
                write!(f, ": add a participant that offers it, or let `{participant}` bring its own copy")
            }
            Detail::Unusable { required, copy, barred: Some(Barred::NotGranted) } => write!(
                f,
                "`{participant}` needs {required} of {krate} from another participant, and the best that would do is \
                 {copy}, which the host does not let it provide: if it may see what others keep there, name it in \
                 the host's manifest at /providers/{key}"
            ),
            Detail::NotGranted { version, used } => write!(
                f,
                "`{participant}` offers {version} of {krate} and may not provide it, so {used} is used: if it may see \
                 what others keep there, name it in the host's manifest at /providers/{key}"
            ),
            Detail::Similar { meant } => write!(
                f,
                "`{participant}` shares {krate}, and others share `{meant}`, which is another crate: did you mean \
                 `{meant}`? Correct {} in the manifest of `{participant}`",
                shared_pointer(key, None)
            ),
            Detail::Unusable { required, copy, barred } => {
                let reason =
                    if barred.is_some() { "which was found not to be usable" } else { "which is refused" };
                write!(
                    f,
                    "`{participant}` needs {required} of {krate}, and the best that would do is {copy}, {reason}: \
                     repair `{}`, or add another participant that offers such a version",
                    copy.provider
                )
            }
            Detail::Own { required, version, satisfied: true, other } => write!(
                f,
                "`{participant}` uses its own copy of {krate}, {version}, and shares no state with the users of \
                 {other}, because nobody in the scope declares `singleton`: if all should use one copy, set \
                 `singleton` to true at {} in the manifest of `{participant}`, which asks for {required}",
                shared_pointer(key, None)
            ),
            Detail::Own { required, version, satisfied: false, other } => write!(
                f,
                "`{participant}` needs {required} of {krate}, which nobody offers, so it uses its own copy, {version}, \
                 and shares no state with the users of {other}: build it with a version within {required}, or \
                 widen its `requiredVersion`"
            ),
            Detail::Instance { copy } => write!(
                f,
                "`{participant}` uses {copy} for {krate}, with a state of its own, because nobody in the scope \
                 declares `singleton`: what others write there it does not see; set `singleton` to true at {} in \
                 the manifest of `{participant}`",
                shared_pointer(key, None)
            ),
            Detail::Bound { copy, singleton } => write!(
                f,
                "`{participant}` keeps {copy} of {krate}, which it has used since it was loaded, while everybody else \
                 uses {singleton}: restart the shell to share one copy"
            ),
            Detail::Walls { others } => write!(
                f,
                "`{participant}` wants one copy of `{key}`, which holds in the scope `{scope}` only, and {} {} \
                 another: give all the same `shareScope` to share it",
                others.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(", "),
                if others.len() == 1 { "has" } else { "have" }
            ),
            Detail::Conflict { victim, required, copy: Some(copy) } => write!(
                f,
                "with `{participant}` everybody would use {copy} of {krate}, and `{victim}` insists on {required}: \
                 let the two agree on a version, or do without one of them"
            ),
            Detail::Conflict { victim, required, copy: None } => write!(
                f,
                "with `{participant}` nothing would be left for `{victim}`, which needs {required} of {krate}: \
                 let another participant offer it, or do without one of the two"
            ),
            Detail::Duplicate { host: false, .. } => {
                write!(
                    f,
                    "several remotes are called `{participant}`, so none of them is used: rename all but one"
                )
            }
            Detail::Duplicate { host: true, .. } => {
                write!(f, "a remote is called `{participant}`, which is the host's name: rename the remote")
            }
            Detail::Reserved { free } => write!(
                f,
                "a remote is called `{participant}`, and atoms under that name are the host's: rename the remote, to \
                 `{free}` for example"
            ),
        }
    }
}
