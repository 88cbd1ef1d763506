//! `pulse update` and `pulse list`: releases of remotes that come from repositories; and `pulse install NAME`.

use std::{collections::BTreeMap, sync::Arc};

use clap::Args;
use delivery::{
    fetch::{FetchEvent, Task},
    listing::Release,
    release::Wanted,
};
use negotiation::manifest::{Range, RemoteManifest, UpdatePolicy, Written};
use negotiation::rehearsal::Rehearsal;
use plugin_api::abi::ABI_REVISION;
use semver::VersionReq;
use serde_json::json;

use super::{
    Exit, Folders,
    fetch::{check, decisions, perform, unexpected},
    load,
    plan::Inputs,
    pretty, print,
};
use crate::{
    catalogue::Code,
    config::Config,
    data::{
        archive::Archive,
        choices::Choices,
        deliveries::{
            Deliveries, DeliveryDecisions, InstalledRelease, NextRelease, Repository, Supplied, Supplier,
            is_address,
        },
    },
    failure::{Failure, Stage},
    federation::LINKED,
};

pub(super) const UPDATE_EXAMPLES: &str = "Examples:
  pulse update --check                     list newer releases and verdicts
  pulse update                             use all newer releases
  pulse update remoteHello                 only of this remote
  pulse update --all                       also of remotes with the policy `pin`

A remote that was rolled back stays where it is until `pulse rollback --latest`.
A running shell replaces a remote as soon as its release is fetched.

Exit status:
  0 when everything is up to date, or was updated
  1 when a file cannot be used or written
  2 for a wrong command line
  3 when a newer release would be refused
  4 when a repository cannot be verified
  5 when a repository cannot be reached
  6 when there is no such remote or release";

pub(super) const LIST_EXAMPLES: &str = "Examples:
  pulse list                               every remote, its version and origin
  pulse list --updates                     only those with a newer release
  pulse list --json

Exit status:
  0 when the list is printed
  1 when a file cannot be used
  2 for a wrong command line";

#[derive(Args)]
pub(super) struct UpdateArgs {
    /// Names of remotes; without one, all.
    names: Vec<String>,
    /// Only list newer releases.
    #[arg(long, conflicts_with = "all")]
    check: bool,
    /// Also update remotes with the policy `pin`.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Use this host's manifest; default: `PULSE_SHELL_CONFIG`.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only list remotes with a newer release in the lists that were fetched last.
    #[arg(long)]
    updates: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Use this host's manifest; default: `PULSE_SHELL_CONFIG`.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    folders: Folders,
}

/// The remotes of this host, and what is known about those from repositories.
struct State {
    config: Config,
    deliveries: Deliveries,
    decisions: DeliveryDecisions,
    archive: Archive,
}

/// A remote and its origin.
struct Row {
    name: String,
    location: String,
    supplied: Option<Supplied>,
}

impl State {
    fn load(folders: Folders, config: Option<std::path::PathBuf>) -> Result<Self, Exit> {
        let config = load(&folders.options(config))?;
        let (deliveries, decisions) = decisions(&config)?;
        let archive = Archive::new(&config.data_dir);
        Ok(Self { config, deliveries, decisions, archive })
    }

    fn read_again(&mut self) -> Result<(), Exit> {
        self.decisions = self.deliveries.read()?;
        Ok(())
    }

    fn supplied(&self, name: &str, location: &str) -> Result<Supplied, Exit> {
        let listing = self.archive.listing().map_err(|error| Exit::of(&error))?;
        Ok(self.deliveries.supplied(&self.config, &self.decisions, &listing, name, location))
    }

    /// Returns the remotes of the host's manifest and those that the user added.
    fn rows(&self) -> Result<Vec<Row>, Exit> {
        let added = self.decisions.remotes.iter();
        let added = added.filter_map(|(name, own)| Some((name.clone(), own.location.clone()?)));
        let configured = self.config.host.remotes.values();
        let configured = configured.map(|reference| (reference.name.clone(), reference.location.clone()));
        let all: BTreeMap<String, String> = added.chain(configured).collect();
        let row = |(name, location): (String, String)| {
            let supplied = is_address(&location).then(|| self.supplied(&name, &location)).transpose()?;
            Ok(Row { name, location, supplied })
        };
        all.into_iter().map(row).collect()
    }

    /// Returns the reason why the present remotes would refuse a release, from its manifest alone.
    fn verdict(&self, next: &NextRelease) -> Option<Failure> {
        let about = &next.release.about;
        if about.abi != ABI_REVISION {
            let text = format!(
                "{} {} is built for revision {} of the contract, and this Pulse has revision {ABI_REVISION}",
                about.name, about.version, about.abi
            );
            return Some(Failure::new(
                Stage::Check,
                Code::AbiRevision,
                text,
                "update Pulse, or wait for a build",
            ));
        }
        let written = next.manifest.as_deref()?;
        let mut remotes: Vec<Written<RemoteManifest>> =
            Inputs::of_host(&self.config, &[about.name.as_str()].into()).remotes;
        remotes.push(written.clone());
        let host = Written { manifest: self.config.host.clone(), origin: self.config.origin.clone() };
        let plan = Rehearsal::start(host, LINKED, remotes).plan();
        let cause = plan.refusal(&about.name)?.cause();
        Some(Failure::new(Stage::Plan, Code::from(cause.code), cause.to_string(), ""))
    }

    /// Fetches a release, and uses it.
    fn take(&self, repository: &Repository, wanted: &Wanted, next: &NextRelease) -> Result<(), Exit> {
        let release = Arc::clone(&next.release);
        if next.library.is_some() {
            return Ok(self.deliveries.install(&wanted.name, repository, release)?);
        }
        let task = Task::Download { wanted: wanted.clone(), version: release.about.version.clone() };
        match perform(&self.config, repository, task)? {
            FetchEvent::Fetched(fetched) => {
                Ok(self.deliveries.adopt(&self.archive, &fetched, repository, release)?)
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// Returns the repository of a remote.
fn repository_of(supplied: &Supplied) -> Result<Option<&Repository>, Exit> {
    match &supplied.supplier {
        Ok(Supplier::Repository(repository)) => Ok(Some(repository)),
        Ok(Supplier::Development(..)) => Ok(None),
        Err(failure) => Err(Exit::from(Failure::clone(failure))),
    }
}

pub(super) fn update(args: UpdateArgs) -> Result<u8, Exit> {
    let mut state = State::load(args.folders, args.config)?;
    let rows = state.rows()?;
    let mut wanted: BTreeMap<String, (Repository, Vec<Wanted>)> = BTreeMap::new();
    let mut names = Vec::new();
    for row in rows.iter().filter(|row| args.names.is_empty() || args.names.contains(&row.name)) {
        let Some(supplied) = &row.supplied else { continue };
        let Some(repository) = repository_of(supplied)? else { continue };
        names.push((row.name.clone(), row.location.clone()));
        let of = wanted.entry(repository.address.clone()).or_insert_with(|| (repository.clone(), Vec::new()));
        of.1.push(supplied.wanted.clone());
    }
    for name in &args.names {
        if !names.iter().any(|(known, _)| known == name) {
            return Err(unknown(name, &rows));
        }
    }
    let mut worst: Option<Exit> = None;
    for (repository, wanted) in wanted.into_values() {
        if let Err(exit) = check(&state.config, &repository, wanted) {
            exit.print();
            worst = Some(worst.unwrap_or(exit));
        }
    }
    state.read_again()?;
    let mut found = Vec::new();
    for (name, location) in names {
        let supplied = state.supplied(&name, &location)?;
        if let Some(failure) = &supplied.unlisted {
            let exit = Exit::from(Failure::clone(failure));
            exit.print();
            worst = Some(worst.unwrap_or(exit));
        }
        let (Some(next), Some(repository)) = (&supplied.next, repository_of(&supplied)?) else { continue };
        let pinned = state.archive.pin(&name).map_err(|error| Exit::of(&error))?.is_some();
        let held = supplied.policy == UpdatePolicy::Pin && !args.all && args.names.is_empty();
        let refused = state.verdict(next);
        let line = offer_line(&supplied, next);
        let mut done = false;
        if let Some(failure) = &refused {
            crate::log::note(format_args!("{line}: would be refused"));
            let exit = Exit { code: Exit::INCOMPATIBLE, ..failure.clone().into() };
            exit.print();
            worst = Some(worst.unwrap_or(exit));
        } else if args.check || held || pinned {
            let why = if pinned {
                " (rolled back)"
            } else if held {
                " (policy pin)"
            } else {
                ""
            };
            crate::log::note(format_args!("{line}{why}"));
        } else {
            crate::log::note(format_args!("{line}"));
            match state.take(repository, &supplied.wanted, next) {
                Ok(()) => done = true,
                Err(exit) => {
                    exit.print();
                    worst = Some(worst.unwrap_or(exit));
                }
            }
        }
        found.push(json!({
            "name": name,
            "from": supplied.installed.as_ref().map(|(installed, _)| installed.release.about.version.to_string()),
            "to": next.release.about.version.to_string(),
            "size": next.release.download.length,
            "publisher": next.release.signer.role,
            "notes": next.release.about.notes,
            "replacesWithdrawn": next.replaces_withdrawn,
            "refused": refused.as_ref().map(|failure| failure.code.as_str()),
            "pinned": pinned,
            "updated": done,
        }));
    }
    if args.json {
        print(&pretty(&found)?)?;
    } else if found.is_empty() && worst.is_none() {
        crate::log::note(format_args!("everything is up to date"));
    }
    Ok(worst.map_or(0, |exit| exit.code))
}

/// Describes an update in one line.
fn offer_line(supplied: &Supplied, next: &NextRelease) -> String {
    let Release { about, download, signer } = &*next.release;
    let from =
        supplied.installed.as_ref().map(|(installed, _)| format!("{} -> ", installed.release.about.version));
    let notes = if about.notes.is_empty() { String::new() } else { format!("; {}", about.notes) };
    let back = if next.replaces_withdrawn { ", replaces a withdrawn release" } else { "" };
    format!(
        "{} {}{} ({:.1} MB, signed by {}{back}{notes})",
        about.name,
        from.unwrap_or_default(),
        about.version,
        download.length as f64 / 1e6,
        signer.role
    )
}

fn unknown(name: &str, rows: &[Row]) -> Exit {
    let names: Vec<&str> =
        rows.iter().filter(|row| row.supplied.is_some()).map(|row| row.name.as_str()).collect();
    let advice = match (negotiation::manifest::near_miss(name, &names), names.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "install one with `pulse install NAME`".to_owned(),
        (None, names) => format!("name one of these: {}", names.join(", ")),
    };
    let text = format!("no remote from a repository is called `{name}`");
    Exit::new(Exit::NOT_FOUND, Code::RemoteUnknown, text, advice)
}

pub(super) fn list(args: ListArgs) -> Result<u8, Exit> {
    let state = State::load(args.folders, args.config)?;
    let choices = Choices::load(&state.config.data_dir);
    let configured = |name: &str| state.config.host.remotes.values().any(|known| known.name == name);
    let mut rows = state.rows()?;
    let installed = crate::data::drop_folder::DropFolder::new(&state.config.data_dir).scan().installed;
    for (name, path) in installed {
        if !rows.iter().any(|row| row.name == name) {
            rows.push(Row { name, location: path.display().to_string(), supplied: None });
        }
    }
    let mut found = Vec::new();
    for row in &rows {
        let own = state.decisions.remotes.get(&row.name);
        let next = row.supplied.as_ref().and_then(|supplied| supplied.next.as_ref());
        let newer = next.filter(|_| row.supplied.as_ref().is_some_and(|supplied| supplied.installed.is_some()));
        if args.updates && newer.is_none() {
            continue;
        }
        let enabled =
            choices.disabled(&row.name).is_none() && (configured(&row.name) || choices.is_enabled(&row.name));
        let used = row.supplied.as_ref().and_then(|supplied| supplied.installed.as_ref());
        let pin = state.archive.pin(&row.name).map_err(|error| Exit::of(&error))?;
        let kept = state.archive.kept(&row.name).map_err(|error| Exit::of(&error))?;
        let pinned = pin.as_ref().and_then(|pin| kept.into_iter().find(|kept| kept.digest == pin.digest));
        let version = match pinned {
            Some(pinned) => Some(pinned.version.to_string()),
            None => version_of(&state.config, row, used.map(|(installed, _)| installed)),
        };
        let local = own.and_then(|own| own.local.as_ref());
        if args.json {
            found.push(json!({
                "name": row.name,
                "version": version,
                "enabled": enabled,
                "location": row.location,
                "override": local,
                "rolledBack": pin.is_some(),
                "signed": used.map(|(installed, _)| json!({
                    "publisher": installed.release.signer.role,
                    "keys": installed.release.signer.keys,
                    "root": format!("sha256:{}", installed.root),
                })),
                "update": newer.map(|next| next.release.about.version.to_string()),
                "withdrawn": row.supplied.as_ref().and_then(|s| s.withdrawn.as_ref()).map(|w| w.note.clone()),
            }));
            continue;
        }
        let trust = trust(row, used.map(|(installed, _)| installed));
        let mut notes = Vec::new();
        notes.extend((!enabled).then(|| "not enabled".to_owned()));
        notes.extend(pin.map(|_| "rolled back".to_owned()));
        notes.extend(local.map(|path| format!("overridden by {}", path.display())));
        notes.extend(newer.map(|next| format!("{} is available", next.release.about.version)));
        let withdrawn = row.supplied.as_ref().and_then(|supplied| supplied.withdrawn.as_ref());
        notes.extend(withdrawn.map(|_| "withdrawn".to_owned()));
        let notes = if notes.is_empty() { String::new() } else { format!("  [{}]", notes.join("; ")) };
        print(&format!("{} {}  {trust}{notes}", row.name, version.unwrap_or_else(|| "-".to_owned())))?;
    }
    if args.json {
        print(&pretty(&found)?)?;
    } else if rows.is_empty() {
        crate::log::note(format_args!("no remotes; install one with `pulse install`"));
    }
    Ok(0)
}

/// Returns the version that a remote uses, if that is known without the network.
fn version_of(config: &Config, row: &Row, used: Option<&InstalledRelease>) -> Option<String> {
    if let Some(installed) = used {
        return Some(installed.release.about.version.to_string());
    }
    if row.supplied.is_some() {
        return None;
    }
    let reference = negotiation::manifest::RemoteRef { name: row.name.clone(), location: row.location.clone() };
    config.locate(&row.name, &reference).ok().map(|located| located.manifest.version.to_string())
}

/// Describes the origin of a remote: address, publisher, key and root, or that it is not signed.
fn trust(row: &Row, used: Option<&InstalledRelease>) -> String {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    match (&row.supplied, used) {
        (_, Some(installed)) => {
            let signer = &installed.release.signer;
            let key = signer.keys.first().map(|key| short(key)).unwrap_or_default();
            format!(
                "{}  signed by {} (key {key}, root sha256:{})",
                installed.repository,
                signer.role,
                installed.root.short()
            )
        }
        (Some(Supplied { supplier: Ok(Supplier::Development(address, _)), .. }), _) => {
            format!("{address}  development, not signed")
        }
        (Some(_), None) => format!("{}  not downloaded", row.location),
        (None, None) => format!("{}  not signed", row.location),
    }
}

/// Installs a remote from a trusted repository: fetches its newest release that fits, and enables it on request.
pub(super) fn install(
    name: &str,
    range: Option<VersionReq>,
    from: Option<&str>,
    channel: Option<String>,
    enable: bool,
    as_json: bool,
    folders: Folders,
) -> Result<u8, Exit> {
    let mut state = State::load(folders, None)?;
    let location = location(&state, name, from)?;
    state.deliveries.supplier(&state.config, &state.decisions, &location)?;
    let entry = state.config.host.remotes.iter().find(|(_, known)| known.name == name);
    if let Some((alias, known)) = entry.filter(|(_, known)| !is_address(&known.location)) {
        let place = state.config.origin.place(&format!("/remotes/{alias}"));
        let text = format!("the host's manifest takes `{name}` from a file ({}): {place}", known.location);
        let advice = format!("write \"{alias}\": \"{name}@{location}\" there, then `pulse update` fetches it");
        return Err(Exit::new(Exit::FAILURE, Code::DuplicateName, text, advice));
    }
    let listed = entry.is_some();
    // The decision is written once the release is there: a failed attempt leaves nothing.
    let own = state.decisions.remotes.entry(name.to_owned()).or_default();
    own.location = (!listed).then(|| location.clone());
    own.range = range.or(own.range.take());
    own.channel = channel.or(own.channel.take());
    let before = state.supplied(name, &location)?;
    let Some(repository) = repository_of(&before)? else {
        let text = format!("`{name}` comes from a development server, and is not installed");
        return Err(Exit::new(Exit::FAILURE, Code::RepoUntrusted, text, "start a shell that names the server"));
    };
    check(&state.config, repository, vec![before.wanted.clone()])?;
    let supplied = state.supplied(name, &location)?;
    if let (None, Some(failure)) = (&supplied.installed, &supplied.unlisted) {
        return Err(Exit::from(Failure::clone(failure)));
    }
    if let Some(next) = &supplied.next {
        if let Some(failure) = state.verdict(next) {
            return Err(Exit { code: Exit::INCOMPATIBLE, ..failure.into() });
        }
        crate::log::note(format_args!("{}", offer_line(&supplied, next)));
        state.take(repository, &supplied.wanted, next)?;
    }
    let own = state.decisions.remotes.remove(name).unwrap_or_default();
    let changed = state.deliveries.change(|decisions| {
        let entry = decisions.remotes.entry(name.to_owned()).or_default();
        (entry.location, entry.range, entry.channel) = (own.location, own.range, own.channel);
        entry.installed.as_ref().map(|installed| installed.release.about.version.to_string())
    });
    let version = changed?.unwrap_or_default();
    let mut choices = Choices::load(&state.config.data_dir);
    if enable {
        choices.enable(name)?;
    }
    let enabled = listed || choices.is_enabled(name);
    if as_json {
        print(&pretty(&json!({ "name": name, "version": version, "enabled": enabled, "from": location }))?)?;
    }
    let how = if enabled { "is installed and enabled" } else { "is installed" };
    let next = if enabled { String::new() } else { format!("; enable it with `pulse enable {name}`") };
    crate::log::note(format_args!("{name} {version} {how}{next}"));
    Ok(0)
}

/// Returns the address to install a remote from.
fn location(state: &State, name: &str, from: Option<&str>) -> Result<String, Exit> {
    if let Some(from) = from {
        return Ok(from.to_owned());
    }
    let rows = state.rows()?;
    if let Some(row) = rows.iter().find(|row| row.name == name && row.supplied.is_some()) {
        return Ok(row.location.clone());
    }
    let repositories = state.deliveries.repositories(&state.config, &state.decisions);
    let has = |repository: &&Repository| {
        let listing = repository.listing();
        listing.is_some_and(|listing| listing.releases.iter().any(|release| release.about.name == name))
    };
    let with: Vec<&Repository> = repositories.iter().filter(has).collect();
    match (with.as_slice(), repositories.as_slice()) {
        ([one], _) => Ok(one.address.clone()),
        ([], [one]) => Ok(one.address.clone()),
        ([], []) => {
            let text = format!("no repository is trusted to install `{name}` from");
            let advice = "trust one with `pulse repo add`, or name a file";
            Err(Exit::new(Exit::NOT_FOUND, Code::RepoUntrusted, text, advice))
        }
        ([], all) => {
            let text = format!("none of the {} trusted repositories lists `{name}`", all.len());
            let advice = "run `pulse update --check`, or name the repository with --from";
            Err(Exit::new(Exit::NOT_FOUND, Code::ReleaseUnknown, text, advice))
        }
        (several, _) => {
            let all: Vec<&str> = several.iter().map(|repository| repository.address.as_str()).collect();
            let text = format!("several repositories list `{name}`");
            let advice = format!("name one with --from: {}", all.join(", "));
            Err(Exit::new(Exit::FAILURE, Code::ReleaseUnknown, text, advice))
        }
    }
}

/// Takes `NAME@RANGE` apart; `None` for a text that is not the name of a remote.
pub(super) fn name_and_range(text: &str) -> Option<Result<(String, Option<VersionReq>), String>> {
    let (name, range) = text.split_once('@').map_or((text, None), |(name, range)| (name, Some(range)));
    if name.is_empty() || name.contains(['/', '\\', '.']) {
        return None;
    }
    let Some(range) = range else { return Some(Ok((name.to_owned(), None))) };
    // A bare version means exactly that one.
    let exact =
        semver::Version::parse(range).ok().and_then(|version| VersionReq::parse(&format!("={version}")).ok());
    let parsed = exact.map_or_else(
        || {
            range
                .parse::<Range>()
                .map_err(|error| error.to_string())
                .and_then(|_| VersionReq::parse(range).map_err(|error| error.to_string()))
        },
        Ok,
    );
    Some(parsed.map(|range| (name.to_owned(), Some(range))))
}
