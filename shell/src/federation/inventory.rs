//! Inventory of remotes: their origins while the shell runs, and the decisions about them.
//!
//! It watches files, the drop folder and decisions, and turns changes into [`Order`]s; it starts and ends nothing
//! itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use delivery::fetch::Fetched;
use negotiation::manifest::RemoteRef;

use super::{
    decisions::{self, Decisions},
    events::{RemoteEvent, Topic},
    found::{CodeOrigin, RemoteOrigin},
    negotiator::Remotes,
    remote::ManagedRemote,
    scan::{self, Scan},
};
use crate::{
    catalogue::Code,
    config::Config,
    data::{
        archive::{Archive, ArchiveError, ArchivedGeneration},
        choices::{By, Decision, Disabled},
        deliveries::{Deliveries, is_address},
        drop_folder::{DropFolder, Scanned},
    },
    failure::{Failure, FailureCode, SharedFailure, Stage},
    placement::Wake,
    watch::{FileEvent, Watch},
};

mod supplied;

/// Advice for a remote that could run and does not.
const ENABLE: &str = "enable it to use it";

/// The code of a remote in the drop folder that is not enabled yet.
const NOT_ENABLED: Code = Code::RemoteNotEnabled;

/// Wait for the other file of a remote, its manifest or its library: a build writes both.
const QUIET: Duration = Duration::from_millis(150);

/// Origins of remotes and decisions about them. `[window's thread]`
pub struct Inventory {
    config: Arc<Config>,
    decisions: Decisions,
    archive: Archive,
    drop_folder: DropFolder,
    watch: Option<Watch>,
    /// The remotes of the drop folder, by name.
    installed: BTreeMap<String, PathBuf>,
    /// Scans the drop folder off the window's thread.
    scan: Option<Scan>,
    /// Files of the first scan that cannot be used, until they are reported.
    unusable: Vec<(PathBuf, Failure)>,
    deliveries: Deliveries,
    /// Builds of development servers, by name of the remote.
    builds: BTreeMap<String, Fetched>,
    /// Remotes enabled since safe mode began; `None` outside of it.
    safe: Option<BTreeSet<String>>,
    /// Remotes with changed files: time of the change, and time at which its other file should be complete too.
    changed: BTreeMap<String, (Instant, Instant)>,
    wake: Wake,
}

/// A change to carry out.
pub(super) enum Order {
    /// A remote was found in the drop folder.
    Add(Box<ManagedRemote>),
    /// A remote was removed.
    Remove(String),
    /// A remote must not run any more.
    Disable {
        alias: String,
        reason: SharedFailure,
        place: RemoteOrigin,
        /// Save its open panels first.
        save: bool,
        /// The user has decided: withdraw the message about enabling it.
        settled: bool,
    },
    /// A remote may run again, or must be started again.
    Retry(String),
    /// A remote has another origin.
    Move(String, RemoteOrigin),
    /// A running remote has another library, complete since this time.
    Replace(String, Instant),
    /// A remote that is not requested has another file.
    Renew(Box<ManagedRemote>),
    /// A remote cannot be fetched.
    Block(String, SharedFailure),
    /// An event of a remote, with its reason, that is no failure of the remote.
    Notify(String, RemoteEvent, Option<SharedFailure>),
    /// A failure of a remote, or of a file with this name.
    Report(String, SharedFailure, RemoteEvent),
    /// Messages of a topic no longer hold.
    Withdraw(String, Topic),
    /// The files to watch may have changed.
    Follow,
}

impl Inventory {
    /// Reads files and decisions, for a few seconds at most; later results arrive with [`poll`](Self::poll).
    pub(super) fn new(config: Arc<Config>, wake: Wake) -> Self {
        let looked = Arc::clone(&wake);
        let drop_folder = DropFolder::new(&config.data_dir);
        let watch = config.watch.then(|| Watch::start(move || looked(Duration::ZERO)));
        if let Some(watch) = &watch {
            // Before the first scan, so that no file is missed between the two.
            watch.follow(BTreeSet::new(), BTreeSet::from([drop_folder.path().to_owned()]));
        }
        // The scan and the decisions are read in parallel.
        let mut inventory = Self {
            archive: Archive::new(&config.data_dir),
            deliveries: Deliveries::new(&config.data_dir),
            builds: BTreeMap::new(),
            watch,
            installed: BTreeMap::new(),
            scan: config.watch.then(|| Scan::start(drop_folder.clone(), &wake)),
            drop_folder,
            unusable: Vec::new(),
            decisions: Decisions::start(&config, decisions::waker(&wake)),
            safe: config.safe_mode.then(BTreeSet::new),
            changed: BTreeMap::new(),
            config,
            wake,
        };
        if inventory.scan.as_ref().is_none_or(Scan::wait) {
            inventory.take_scan();
        } else {
            tracing::warn!(
                code = Code::DropFolderSilent.as_str(),
                "the drop folder has not answered for {} s, and the shell starts without its remotes; check the disk \
                 or network folder that it is on: {}",
                scan::LIMIT.as_secs(),
                inventory.drop_folder.path().display()
            );
        }
        inventory
    }

    /// Returns the remotes of the host's manifest and of the drop folder. Logs missing libraries.
    pub(super) fn remotes(&self) -> Remotes {
        let configured = self.config.host.remotes.iter();
        let mut remotes: Remotes =
            configured.map(|(alias, reference)| (alias.clone(), self.remote(alias, reference))).collect();
        let installed = self.unlisted(&remotes);
        remotes.extend(installed.into_iter().map(|remote| (remote.alias().to_owned(), remote)));
        log_missing(remotes.values());
        remotes
    }

    /// Returns the remotes that the user added, and those of the drop folder, that are not in `remotes`.
    fn unlisted(&self, remotes: &Remotes) -> Vec<ManagedRemote> {
        let is_listed =
            |name: &String| remotes.contains_key(name) || remotes.values().any(|remote| remote.name() == name);
        let installed = self.installed.iter();
        let mut new: BTreeMap<&String, String> =
            installed.map(|(name, path)| (name, path.to_string_lossy().into_owned())).collect();
        for (name, own) in &self.decisions.deliveries().remotes {
            if let Some(location) = &own.location {
                new.insert(name, location.clone());
            }
        }
        let new = new.into_iter().filter(|(name, _)| !is_listed(name));
        new.map(|(name, location)| self.remote(name, &RemoteRef { name: name.clone(), location })).collect()
    }

    /// Finds `remote` again.
    pub(super) fn find_again(&self, remote: &ManagedRemote) -> ManagedRemote {
        remote.linked_again().unwrap_or_else(|| self.remote(remote.alias(), remote.reference()))
    }

    /// Finds a remote, with the decisions about it.
    fn remote(&self, alias: &str, reference: &RemoteRef) -> ManagedRemote {
        let (place, damaged) = self.place(reference);
        let host = &self.config.host;
        let mut remote = if let Some(failure) = damaged {
            ManagedRemote::new(alias, reference.clone(), place, Err(failure))
        } else if let Some(first) = host.alias_of(&reference.name).filter(|first| *first != alias) {
            let failure = self.config.duplicate(first, alias, reference);
            tracing::error!(remote = alias, code = failure.code.as_str(), "{}", failure.line());
            ManagedRemote::new(alias, reference.clone(), place, Err(Arc::new(failure)))
        } else if place == RemoteOrigin::Configured && is_address(&reference.location) {
            self.unfetched(alias, reference)
        } else {
            ManagedRemote::locate(&self.config, alias, reference.clone(), place)
        };
        remote.set_disabled(self.disabled_by(reference));
        remote
    }

    /// Returns the origin of a remote, and the failure of a pinned generation that is damaged.
    fn place(&self, reference: &RemoteRef) -> (RemoteOrigin, Option<SharedFailure>) {
        let own = self.decisions.deliveries().remotes.get(&reference.name);
        if let Some(local) = own.and_then(|own| own.local.clone()) {
            return (RemoteOrigin::Overridden(local), None);
        }
        match self.pinned(&reference.name) {
            Ok(Some(place)) => return (place, None),
            Ok(None) => {}
            Err(error) => {
                let failure = Failure::from_error(Stage::Discover, &error);
                return (RemoteOrigin::Configured, Some(Arc::new(failure)));
            }
        }
        let installed = self.installed.get(&reference.name).filter(|path| {
            !self.is_configured(&reference.name)
                || (self.decisions.choices().is_enabled(&reference.name)
                    && *Path::new(&reference.location) != **path)
        });
        let fetched = || {
            let is_used = is_address(&reference.location);
            is_used.then(|| self.fetched(&reference.name)).flatten().unwrap_or(RemoteOrigin::Configured)
        };
        (installed.map_or_else(fetched, |path| RemoteOrigin::Installed(path.clone())), None)
    }

    fn is_configured(&self, name: &str) -> bool {
        self.config.host.remotes.values().any(|known| known.name == name)
    }

    /// Returns the generation that a remote is pinned to; it is checked before it is loaded.
    fn pinned(&self, name: &str) -> Result<Option<RemoteOrigin>, ArchiveError> {
        let pinned = self.decisions.listing().pinned(name)?;
        Ok(pinned.map(|(pin, ArchivedGeneration { digest, library, .. })| RemoteOrigin::Pinned {
            library,
            digest,
            note: pin.note,
        }))
    }

    /// Returns the decision that keeps a remote from running.
    fn disabled_by(&self, reference: &RemoteRef) -> Option<SharedFailure> {
        let name = &reference.name;
        let failure =
            |code, text, advice: &str| Some(Arc::new(Failure::new(Stage::Discover, code, text, advice)));
        if let Some(Disabled { by, message, codes, .. }) = self.decisions.choices().disabled(name) {
            return match by {
                By::User => {
                    let why = if message.is_empty() { String::new() } else { format!(" ({message})") };
                    failure(Code::RemoteDisabled, format!("`{name}` was disabled{why}"), ENABLE)
                }
                By::Failures => failure(
                    Code::RemoteFailing,
                    format!(
                        "`{name}` failed three times within ten minutes ({}) and was disabled; the last time: \
                         {message}",
                        FailureCode::list(codes)
                    ),
                    "enable it to try again, roll it back, or report this to the plugin's author",
                ),
            };
        }
        if let Some(doubt) = self.decisions.doubt()
            && !self.decisions.choices().is_enabled(name)
        {
            let text = format!("`{name}` is not started, because it may have been disabled ({doubt})");
            return failure(Code::DecisionsUnknown, text, ENABLE);
        }
        if self.safe.as_ref().is_some_and(|enabled| !enabled.contains(name)) {
            let text = format!("`{name}` is not started, because the shell runs without remotes (--safe-mode)");
            return failure(Code::SafeMode, text, ENABLE);
        }
        let configured = self.config.host.remotes.values().any(|known| known.name == *name);
        if !configured && self.config.watch && !self.decisions.choices().is_enabled(name) {
            let how = if self.installed.contains_key(name) { "put into the drop folder" } else { "installed" };
            let text = format!("`{name}` was {how} and is not enabled");
            return failure(NOT_ENABLED, text, ENABLE);
        }
        None
    }

    /// Returns `true` for a remote that the user removed, or whose file in the drop folder was removed and that is not
    /// pinned.
    fn is_gone(&self, remote: &ManagedRemote) -> bool {
        let name = remote.name();
        let pinned = || self.is_dropped(remote) && !matches!(self.pinned(name), Ok(None));
        let added = self.decisions.deliveries().remotes.get(name).is_some_and(|own| own.location.is_some());
        let is_known = self.is_configured(name) || self.installed.contains_key(name) || added;
        self.config.watch && !is_known && !pinned()
    }

    /// Returns `true` for a remote of the drop folder, `false` for one of the host's manifest or that the user added.
    fn is_dropped(&self, remote: &ManagedRemote) -> bool {
        Path::new(&remote.reference().location).parent() == Some(self.drop_folder.path())
    }

    /// Adopts the result of a finished scan of the drop folder; returns `true` if there was one.
    fn take_scan(&mut self) -> bool {
        let Some(Scanned { installed, failures }) = self.scan.as_ref().and_then(Scan::poll) else {
            return false;
        };
        self.installed = installed;
        self.unusable.extend(failures);
        true
    }

    /// Polls for changes of the drop folder, of decisions made here or by other processes, and of remotes' files.
    pub(super) fn poll(&mut self, remotes: &Remotes) -> Vec<Order> {
        let mut orders = self.take_decisions(remotes);
        let changes = self.watch.as_ref().map(Watch::changes).unwrap_or_default();
        if !changes.is_empty() {
            orders.extend(self.take_changes(changes, remotes));
            orders.push(Order::Follow);
        }
        let now = Instant::now();
        let due: Vec<_> = self.changed.extract_if(.., |_, (_, due)| *due <= now).collect();
        for (alias, (seen, _)) in due {
            orders.extend(remotes.get(&alias).map(|remote| self.changed_file(remote, seen)));
            orders.push(Order::Follow);
        }
        if let Some(next) = self.changed.values().map(|(_, due)| *due).min() {
            (self.wake)(next.saturating_duration_since(now));
        }
        orders
    }

    fn take_decisions(&mut self, remotes: &Remotes) -> Vec<Order> {
        let mut orders = Vec::new();
        let scanned = self.take_scan();
        for (path, failure) in self.unusable.drain(..) {
            orders.push(Order::Report(file_name(&path), Arc::new(failure), RemoteEvent::FileUnusable));
        }
        let failed = self.decisions.poll();
        if !scanned && failed.is_none() {
            return orders;
        }
        for (name, failure) in failed.into_iter().flatten() {
            let remote = remotes.values().find(|remote| remote.name() == name);
            let alias = remote.map_or(name, |remote| remote.alias().to_owned());
            let failure = Arc::new(failure);
            orders.push(if remote.is_some_and(ManagedRemote::is_unfetched) {
                Order::Block(alias, failure)
            } else {
                Order::Report(alias, failure, RemoteEvent::DecisionUnsaved)
            });
        }
        orders.extend(self.unlisted(remotes).into_iter().map(|remote| Order::Add(Box::new(remote))));
        orders.extend(self.decided(remotes));
        orders.push(Order::Follow);
        orders
    }

    /// Returns the orders by which `remotes` follow the decisions.
    pub(super) fn decided(&self, remotes: &Remotes) -> Vec<Order> {
        let library = remotes.values().filter(|remote| remote.linked().is_none());
        library.flat_map(|remote| self.decided_about(remote)).collect()
    }

    fn decided_about(&self, remote: &ManagedRemote) -> Vec<Order> {
        let (alias, name) = (remote.alias().to_owned(), remote.name());
        let now = self.disabled_by(remote.reference());
        if self.is_gone(remote) {
            // A running remote keeps running without its file; one that the user had added was removed on purpose.
            let removed = remote.placement().is_none() || now.is_some() || !self.is_dropped(remote);
            return if removed { vec![Order::Remove(alias)] } else { Vec::new() };
        }
        match (remote.disabled(), now) {
            (_, Some(reason)) => {
                let (place, _) = self.place(remote.reference());
                // A panel's state may be the reason why its remote fails.
                let disabled = self.decisions.choices().disabled(name);
                let save = disabled.is_none_or(|disabled| disabled.by != By::Failures);
                let settled = reason.code != NOT_ENABLED;
                vec![Order::Disable { alias, reason, place, save, settled }]
            }
            (Some(_), None) => vec![
                Order::Withdraw(alias.clone(), Topic::Enabling),
                Order::Withdraw(alias.clone(), Topic::Running),
                Order::Retry(alias),
            ],
            (None, None) => self.moved(remote).into_iter().collect(),
        }
    }

    fn take_changes(&mut self, changes: Vec<FileEvent>, remotes: &Remotes) -> Vec<Order> {
        let decided = self.decision_files();
        if changes.iter().any(|change| decided.iter().any(|file| file == change.path())) {
            self.decisions.refresh();
        }
        let mut orders = Vec::new();
        for change in changes {
            let path = change.path();
            let dropped = path.parent() == Some(self.drop_folder.path());
            let file = file_name(path);
            let of = remotes.values().filter(|remote| self.files_of(remote).iter().any(|file| file == path));
            let of: Vec<_> = of.collect();
            let aliases = of.iter().map(|remote| remote.alias().to_owned());
            match change {
                FileEvent::Unreadable { failure, .. } => {
                    let failure = Arc::new(failure);
                    let unlisted = (of.is_empty() && dropped).then_some(file);
                    orders.extend(
                        aliases
                            .chain(unlisted)
                            .map(|alias| Order::Report(alias, Arc::clone(&failure), RemoteEvent::FileUnusable)),
                    );
                    continue;
                }
                FileEvent::Complete { seen, .. } => {
                    for remote in &of {
                        let wait = if remote.has_several_files() { QUIET } else { Duration::ZERO };
                        self.changed.insert(remote.alias().to_owned(), (seen, Instant::now() + wait));
                    }
                }
                // A running remote keeps running without its file.
                FileEvent::Gone { .. } => {}
            }
            // A file that could not be read is gone, or was read again.
            let aliases = aliases.chain(dropped.then_some(file));
            orders.extend(aliases.map(|alias| Order::Withdraw(alias, Topic::Update)));
            if dropped && let Some(scan) = &self.scan {
                scan.again();
            }
        }
        orders
    }

    /// Returns the order for a changed file of `remote`, complete since `seen`.
    fn changed_file(&self, remote: &ManagedRemote, seen: Instant) -> Order {
        let alias = remote.alias().to_owned();
        match remote.disabled() {
            None if remote.active().is_some() => Order::Replace(alias, seen),
            None if remote.is_wanted() => Order::Retry(alias),
            _ => Order::Renew(Box::new(self.find_again(remote))),
        }
    }

    /// Watches the files of `remotes` from now on.
    pub(super) fn follow(&self, remotes: &Remotes) {
        let Some(watch) = &self.watch else { return };
        let mut files: BTreeSet<PathBuf> = remotes.values().flat_map(|remote| self.files_of(remote)).collect();
        files.extend(self.decision_files());
        watch.follow(files, BTreeSet::from([self.drop_folder.path().to_owned()]));
    }

    /// Returns the files with decisions, which other processes write too.
    fn decision_files(&self) -> [PathBuf; 3] {
        let choices = self.decisions.choices().file().to_owned();
        [choices, self.archive.index_file(), self.deliveries.file().to_owned()]
    }

    /// Returns the files that define a remote.
    fn files_of(&self, remote: &ManagedRemote) -> Vec<PathBuf> {
        if remote.is_unfetched() || is_address(&remote.source().location) {
            return Vec::new();
        }
        let mut files = vec![self.config.place_of(&remote.source().location)];
        if let Ok(found) = remote.found() {
            files.extend(found.looked.iter().cloned());
            if let CodeOrigin::Library(path) = &found.code {
                files.push(path.clone());
            }
        }
        files
    }

    /// Returns the archive of generations that ran well; `None` if files are not watched.
    pub(super) fn archive(&self) -> Option<&Archive> {
        self.config.watch.then_some(&self.archive)
    }

    /// Lets a remote run that was disabled, was not enabled yet, or was left out.
    pub(super) fn enable(&mut self, remotes: &Remotes, alias: &str) {
        if let Some(name) = remotes.get(alias).map(ManagedRemote::name) {
            if let Some(enabled) = &mut self.safe {
                enabled.insert(name.to_owned());
            }
            self.decisions.decide(Decision::Enable(name.to_owned()));
        }
    }

    /// Disables a remote, over restarts.
    pub(super) fn disable(&mut self, remotes: &Remotes, alias: &str) {
        if let Some(name) = remotes.get(alias).map(ManagedRemote::name) {
            self.decisions.decide(Decision::Disable(name.to_owned(), Disabled::by_user("by hand")));
        }
    }

    /// Counts a failure of a running remote. Returns `true` if that disables it: the third within ten minutes.
    pub(super) fn count_failure(&mut self, remotes: &Remotes, alias: &str, failure: &Failure) -> bool {
        let Some(name) = remotes.get(alias).map(ManagedRemote::name) else { return false };
        let failed = Decision::failed(name, &failure.code, &failure.summary, SystemTime::now());
        self.decisions.decide(failed).is_some()
    }

    /// Begins or ends safe mode, in which only remotes run that the user enables.
    pub(super) fn set_safe_mode(&mut self, safe: bool) {
        if safe {
            self.safe.get_or_insert_default();
        } else {
            self.safe = None;
        }
    }

    /// Returns `true` in safe mode.
    pub fn is_safe_mode(&self) -> bool {
        self.safe.is_some()
    }

    /// Returns the decision that disabled a remote, with its time and reason.
    pub fn disabled(&self, remote: &ManagedRemote) -> Option<&Disabled> {
        self.decisions.choices().disabled(remote.name())
    }

    /// Returns the generations of a remote that ran well, newest first.
    pub fn generations(&self, remote: &ManagedRemote) -> Vec<ArchivedGeneration> {
        self.decisions.listing().kept(remote.name())
    }

    /// Returns the generation to roll back to: the last that ran well before the running one, or the newest if the
    /// running one is not in the archive.
    pub fn earlier(&self, remote: &ManagedRemote) -> Option<ArchivedGeneration> {
        let generations = self.generations(remote);
        let now = generations.iter().position(|kept| Some(&kept.digest) == remote.digest());
        generations.into_iter().nth(now.map_or(0, |now| now + 1))
    }

    /// Rolls a remote back to its [`earlier`](Self::earlier) generation, and pins it there.
    ///
    /// A notification follows if that generation is damaged, or the decision cannot be saved.
    ///
    /// # Errors
    /// Fails if there is no earlier build.
    pub fn roll_back(&self, remote: &ManagedRemote, note: &str) -> Result<(), SharedFailure> {
        let Some(to) = self.earlier(remote).map(|kept| kept.digest.to_string()) else {
            let error = ArchiveError::NoneOlder(remote.name().to_owned());
            return Err(Arc::new(Failure::from_error(Stage::Discover, &error)));
        };
        let note = note.to_owned();
        self.decisions.change_pin(remote.name().to_owned(), move |archive, name| {
            archive.roll_back(name, Some(&to), &note).map(drop)
        });
        Ok(())
    }

    /// Lets newer generations of a remote run again; a notification follows if that cannot be saved.
    pub fn unpin(&self, remote: &ManagedRemote) {
        self.decisions.change_pin(remote.name().to_owned(), Archive::unpin);
    }

    /// Returns a library of the drop folder that could replace a configured one, and is not enabled.
    pub fn alternative(&self, remote: &ManagedRemote) -> Option<&Path> {
        let path = self.installed.get(remote.name())?;
        let other = matches!(remote.place(), RemoteOrigin::Configured)
            && *Path::new(&remote.reference().location) != **path;
        other.then_some(path)
    }

    /// Writes pending decisions, within seconds.
    pub(super) fn finish(&mut self) {
        self.decisions.finish();
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Logs the libraries that are missing: five with their places, the others as a count.
fn log_missing<'a>(remotes: impl Iterator<Item = &'a ManagedRemote>) {
    const NAMED: usize = 5;
    let missing: Vec<_> = remotes
        .filter_map(|remote| Some((remote.alias(), remote.unusable()?)))
        .filter(|(_, failure)| failure.code == Code::LibraryMissing)
        .collect();
    for (alias, failure) in missing.iter().take(NAMED) {
        tracing::error!(remote = *alias, code = failure.code.as_str(), "{}", failure.line());
    }
    if let more @ 1.. = missing.len().saturating_sub(NAMED) {
        tracing::error!(
            code = Code::LibraryMissing.as_str(),
            "the libraries of {more} more remotes are missing; build or install them"
        );
    }
}
