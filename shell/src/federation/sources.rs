//! Where remotes come from while the shell runs: files that change, the drop folder, pins, and what people decide.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use plugin_api::manifest::RemoteRef;

use super::{
    Federation,
    decisions::{self, Decisions},
    entry::{Entry, Place, Source},
    events::{Event, Topic},
    remote::{State, Wake},
    scan::{self, Scan, Scanned},
};
use crate::{
    archive::{Archive, ArchiveError, Kept},
    choices::{By, Decision, Disabled},
    config::Config,
    failure::{Failure, SharedFailure, Stage},
    install::drop_folder,
    watch::{Change, Watch},
};

/// The code of a remote in the drop folder that waits for being enabled.
const NOT_ENABLED: &str = "remote-not-enabled";

/// What was decided about remotes, and what tells of changes.
pub(super) struct Sources {
    pub(super) decisions: Decisions,
    pub(super) archive: Archive,
    watch: Option<Watch>,
    /// The remotes of the drop folder, by name.
    installed: BTreeMap<String, PathBuf>,
    /// Looks into the drop folder; the window does not wait for its files.
    scan: Option<Scan>,
    /// Files of the first scan that cannot be used, until they are reported.
    unusable: Vec<(PathBuf, Failure)>,
    /// Started on purpose without remotes: these have been enabled since.
    safe: Option<BTreeSet<String>>,
    /// Remotes of which files have changed: when that was seen, and when no more is expected.
    changed: BTreeMap<String, (Instant, Instant)>,
}

/// Wait for the other file of a remote, its manifest or its library: a build writes both.
const QUIET: Duration = Duration::from_millis(150);

impl Sources {
    /// Reads what there is, for some seconds at most; the rest comes when it is read.
    pub(super) fn new(config: &Config, wake: &Wake) -> Self {
        let looked = Arc::clone(wake);
        let watch = config.watch.then(|| Watch::start(move || looked(Duration::ZERO)));
        if let Some(watch) = &watch {
            // Before the first look: what comes between the two is seen by either.
            watch.follow(BTreeSet::new(), BTreeSet::from([drop_folder(config)]));
        }
        // The slow things at the same time.
        let mut sources = Self {
            archive: Archive::new(&config.data_dir),
            watch,
            installed: BTreeMap::new(),
            scan: config.watch.then(|| Scan::start(drop_folder(config), wake)),
            unusable: Vec::new(),
            decisions: Decisions::start(&config.data_dir, decisions::waker(wake)),
            safe: config.safe_mode.then(BTreeSet::new),
            changed: BTreeMap::new(),
        };
        if sources.scan.as_ref().is_none_or(Scan::wait) {
            sources.take_scan();
        } else {
            tracing::warn!(
                code = "drop-folder-silent",
                "the drop folder has not answered for {} s, and the shell starts without its remotes; check the disk \
                 or network folder that it is on: {}",
                scan::LIMIT.as_secs(),
                drop_folder(config).display()
            );
        }
        sources
    }

    /// Takes what was found in the drop folder, if a look is over.
    fn take_scan(&mut self) -> bool {
        let Some(Scanned { installed, failures }) = self.scan.as_ref().and_then(Scan::poll) else {
            return false;
        };
        self.installed = installed;
        self.unusable.extend(failures);
        true
    }

    /// Every remote that there is: those of the host's manifest, and those that were put into the drop folder.
    pub(super) fn entries(&self, config: &Config) -> BTreeMap<String, Entry> {
        let mut entries = BTreeMap::new();
        for (alias, reference) in &config.host.remotes {
            entries.insert(alias.clone(), self.entry(config, alias, reference));
        }
        self.add_installed(config, &mut entries);
        entries
    }

    /// Lists what the drop folder has and nobody has listed; the aliases of what is new.
    fn add_installed(&self, config: &Config, entries: &mut BTreeMap<String, Entry>) -> Vec<String> {
        let mut new = Vec::new();
        for (name, path) in &self.installed {
            if entries.contains_key(name) || entries.values().any(|entry| entry.reference.name == *name) {
                continue;
            }
            let location = path.to_string_lossy().into_owned();
            let reference = RemoteRef { name: name.clone(), location };
            entries.insert(name.clone(), self.entry(config, name, &reference));
            new.push(name.clone());
        }
        new
    }

    /// The entry of a remote, as everything that was decided about it has it.
    pub(super) fn entry(&self, config: &Config, alias: &str, reference: &RemoteRef) -> Entry {
        let (place, damaged) = self.place(config, reference);
        let mut entry = Entry::new(config, alias, reference, place);
        if let Some(failure) = damaged {
            entry.found = Err(failure);
        }
        if let Some(first) = config.host.alias_of(&reference.name).filter(|first| *first != alias) {
            let text = format!(
                "`{first}` and `{alias}` both stand for the remote `{}`, and `{first}` is used; take one of them out of \
                 the host's manifest: {}",
                reference.name,
                config.origin.place(&format!("/remotes/{alias}"))
            );
            tracing::error!(remote = alias, code = "alias-duplicate", "{text}");
            entry.found = Err(Arc::new(Failure::new(Stage::Discover, "alias-duplicate", text)));
        }
        entry.off = self.off(config, reference);
        entry
    }

    /// Where a remote comes from; and why it cannot, if it is kept to a generation that is damaged.
    fn place(&self, config: &Config, reference: &RemoteRef) -> (Place, Option<SharedFailure>) {
        match self.pinned(&reference.name) {
            Ok(Some(place)) => return (place, None),
            Ok(None) => {}
            Err(error) => {
                let failure = Failure::new(Stage::Discover, error.code(), error);
                return (Place::Configured, Some(Arc::new(failure)));
            }
        }
        let installed = self.installed.get(&reference.name).filter(|path| {
            let own = config.host.remotes.values().all(|configured| configured.name != reference.name);
            own || (self.decisions.choices().is_enabled(&reference.name)
                && *Path::new(&reference.location) != **path)
        });
        (installed.map_or(Place::Configured, |path| Place::Installed(path.clone())), None)
    }

    /// The generation that a remote is kept to; whether it is whole is looked at before it is loaded.
    fn pinned(&self, name: &str) -> Result<Option<Place>, ArchiveError> {
        let pinned = self.decisions.listing().pinned(name)?;
        Ok(pinned.map(|(pin, Kept { digest, library, .. })| Place::Pinned { library, digest, note: pin.note }))
    }

    /// Why a remote is not to run.
    fn off(&self, config: &Config, reference: &RemoteRef) -> Option<SharedFailure> {
        let name = &reference.name;
        let failure = |code, text| Some(Arc::new(Failure::new(Stage::Discover, code, text)));
        if let Some(Disabled { by, message, codes, .. }) = self.decisions.choices().disabled(name) {
            return match by {
                By::Person => {
                    let why = if message.is_empty() { String::new() } else { format!(" ({message})") };
                    failure("remote-disabled", format!("`{name}` was disabled{why}; enable it to use it"))
                }
                By::Failures => failure(
                    "remote-failing",
                    format!(
                        "`{name}` failed three times within ten minutes ({}) and was disabled; the last time: \
                         {message}; enable it to try again, roll it back, or ask its author",
                        codes.join(", ")
                    ),
                ),
            };
        }
        if let Some(doubt) = self.decisions.doubt()
            && !self.decisions.choices().is_enabled(name)
        {
            let text = format!(
                "`{name}` is not started, because it may have been disabled; enable it to use it ({doubt})"
            );
            return failure("decisions-unknown", text);
        }
        if self.safe.as_ref().is_some_and(|enabled| !enabled.contains(name)) {
            let text =
                format!("the shell was started without remotes (--safe-mode); enable `{name}` to use it now");
            return failure("safe-mode", text);
        }
        let configured = config.host.remotes.values().any(|known| known.name == *name);
        if !configured && config.watch && !self.decisions.choices().is_enabled(name) {
            let text =
                format!("`{name}` was put into the drop folder and nobody has enabled it; enable it to use it");
            return failure(NOT_ENABLED, text);
        }
        None
    }

    /// Returns true for a remote of the drop folder whose file was removed, and that is not kept to a generation.
    fn is_gone(&self, config: &Config, entry: &Entry) -> bool {
        let name = &entry.reference.name;
        let configured = config.host.remotes.values().any(|known| known.name == *name);
        let pinned = || !matches!(self.pinned(name), Ok(None));
        config.watch && !configured && !self.installed.contains_key(name) && !pinned()
    }
}

impl Federation {
    /// Looks at the files that matter now, from now on.
    pub(super) fn follow(&self) {
        let Some(watch) = &self.sources.watch else { return };
        let mut files: BTreeSet<PathBuf> =
            self.entries.values().flat_map(|entry| self.files_of(entry)).collect();
        files.insert(self.sources.decisions.choices().file().to_owned());
        files.insert(self.sources.archive.index_file());
        watch.follow(files, BTreeSet::from([drop_folder(&self.config)]));
    }

    /// The files that decide what a remote is.
    fn files_of(&self, entry: &Entry) -> Vec<PathBuf> {
        let mut files = vec![self.config.place_of(&entry.source().location)];
        if let Ok(found) = &entry.found {
            files.extend(found.looked.iter().cloned());
            if let Source::Library(path) = &found.code {
                files.push(path.clone());
            }
        }
        files
    }

    /// Takes what has changed on the disk since the last time.
    pub(super) fn take_changes(&mut self) {
        let changes = self.sources.watch.as_ref().map(Watch::changes).unwrap_or_default();
        if !changes.is_empty() {
            self.note_changes(changes);
        }
        let now = Instant::now();
        let due = self.sources.changed.extract_if(.., |_, (_, due)| *due <= now).collect::<Vec<_>>();
        for (alias, (seen, _)) in &due {
            self.file_changed(alias, *seen);
        }
        if !due.is_empty() {
            self.follow();
        }
        if let Some(next) = self.sources.changed.values().map(|(_, due)| *due).min() {
            (self.wake)(next.saturating_duration_since(now));
        }
    }

    fn note_changes(&mut self, changes: Vec<Change>) {
        let drop_folder = drop_folder(&self.config);
        let decided = [self.sources.decisions.choices().file().to_owned(), self.sources.archive.index_file()];
        if changes.iter().any(|change| decided.iter().any(|file| file == change.path())) {
            self.sources.decisions.refresh();
        }
        for change in changes {
            let path = &change.path().to_owned();
            let dropped = path.parent() == Some(&*drop_folder);
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let of: Vec<String> = self
                .entries
                .iter()
                .filter(|(_, entry)| self.files_of(entry).contains(path))
                .map(|(alias, _)| alias.clone())
                .collect();
            match change {
                Change::Unreadable { failure, .. } => {
                    let failure = Arc::new(failure);
                    let of = if of.is_empty() && dropped { vec![file] } else { of };
                    for alias in of {
                        self.note_failure(&alias, Arc::clone(&failure), Event::Unreadable);
                    }
                    continue;
                }
                Change::Complete { seen, .. } => {
                    for alias in &of {
                        let more = self.entries.get(alias).is_some_and(Entry::has_several_files);
                        let due = Instant::now() + if more { QUIET } else { Duration::ZERO };
                        self.sources.changed.insert(alias.clone(), (seen, due));
                    }
                }
                // What runs keeps running without its file.
                Change::Gone { .. } => {}
            }
            // What could not be read has gone, or is looked at anew.
            for alias in of.iter().chain(dropped.then_some(&file)) {
                self.withdraw(alias, Topic::Update);
            }
            if dropped && let Some(scan) = &self.sources.scan {
                scan.again();
            }
        }
        self.follow();
    }

    /// Takes what the drop folder has, and what was decided here or elsewhere.
    pub(super) fn take_decisions(&mut self) {
        let scanned = self.sources.take_scan();
        for (path, failure) in std::mem::take(&mut self.sources.unusable) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.note_failure(&name, Arc::new(failure), Event::Unreadable);
        }
        let failed = self.sources.decisions.poll();
        if !scanned && failed.is_none() {
            return;
        }
        for (name, failure) in failed.into_iter().flatten() {
            let alias = self.entries.iter().find(|(_, entry)| entry.reference.name == name);
            let alias = alias.map_or(name, |(alias, _)| alias.clone());
            self.note_failure(&alias, Arc::new(failure), Event::Undecided);
        }
        let new = self.sources.add_installed(&self.config, &mut self.entries);
        for alias in &new {
            if self.entries.get(alias).is_some_and(|entry| entry.off.is_some()) {
                self.tell(alias, Event::Installed);
            }
        }
        self.apply_choices();
        if !new.is_empty() {
            self.replan();
        }
        self.follow();
    }

    /// Writes what was decided, within seconds.
    pub(super) fn finish_decisions(&mut self) {
        self.sources.decisions.finish();
    }

    /// Takes what was decided about remotes to those that it is about.
    pub(super) fn apply_choices(&mut self) {
        let aliases: Vec<String> = self.entries.keys().cloned().collect();
        let mut again = false;
        for alias in aliases {
            let Some(entry) = self.entries.get_mut(&alias) else { continue };
            if matches!(entry.found.as_ref().map(|found| &found.code), Ok(Source::Linked(_))) {
                continue;
            }
            let off = self.sources.off(&self.config, &entry.reference);
            if self.sources.is_gone(&self.config, entry) {
                if entry.running.is_none() || off.is_some() {
                    self.stop(&alias);
                    self.entries.remove(&alias);
                    for topic in Topic::ALL {
                        self.withdraw(&alias, topic);
                    }
                    again = true;
                }
                // What runs keeps running, from where it came.
                continue;
            }
            let (place, _) = self.sources.place(&self.config, &entry.reference);
            let moved = entry.place != place;
            match (entry.off.take(), off) {
                (was, Some(now)) => {
                    again |= was.is_none();
                    let waits = now.code == NOT_ENABLED;
                    entry.off = Some(now);
                    entry.place = place;
                    self.stop(&alias);
                    if !waits {
                        self.withdraw(&alias, Topic::Enabling);
                    }
                }
                (Some(_), None) => {
                    self.withdraw(&alias, Topic::Enabling);
                    self.withdraw(&alias, Topic::Running);
                    self.retry(&alias);
                }
                (None, None) if moved => {
                    entry.place = place;
                    self.reload(&alias);
                }
                (None, None) => {}
            }
        }
        if again {
            self.replan();
        }
    }

    /// Another file stands where a remote comes from.
    fn file_changed(&mut self, alias: &str, seen: Instant) {
        let Some(entry) = self.entries.get(alias) else { return };
        let running = entry.running.as_ref().map(super::Remote::state);
        if matches!(running, Some(State::Active)) && entry.off.is_none() {
            self.replace(alias, false, seen);
        } else if entry.wanted && entry.off.is_none() {
            self.retry(alias);
        } else {
            let fresh = self.sources.entry(&self.config, alias, &entry.reference);
            self.entries.insert(alias.to_owned(), fresh);
            self.replan();
        }
    }

    /// Ends a remote that is not to run; its entry stays.
    pub(super) fn stop(&mut self, alias: &str) {
        self.give_up_replacement(alias);
        let Some(entry) = self.entries.get(alias) else { return };
        // What has failed so often may have done so because of its state.
        let disabled = self.sources.decisions.choices().disabled(&entry.reference.name);
        if disabled.is_none_or(|disabled| disabled.by != By::Failures) {
            self.keep_panels_of(entry);
        }
        let Some(entry) = self.entries.get_mut(alias) else { return };
        entry.opened.clear();
        entry.check = None;
        entry.initialised = false;
        let (name, generation) = (entry.reference.name.clone(), entry.generation);
        if let Some(running) = entry.running.take() {
            self.release(alias, &name, generation, running);
        }
        self.live.release(&name);
    }

    /// Lets a remote run that was disabled, was not enabled yet, or was left out.
    ///
    /// A decision that cannot be saved holds until the shell ends, and an event reports it.
    pub fn enable(&mut self, alias: &str) {
        let Some(name) = self.name_of(alias) else { return };
        if let Some(enabled) = &mut self.sources.safe {
            enabled.insert(name.clone());
        }
        self.sources.decisions.decide(Decision::Enable(name));
        self.apply_choices();
    }

    /// Ends a remote, and does not start it again until it is enabled, over restarts.
    ///
    /// A decision that cannot be saved holds until the shell ends, and an event reports it.
    pub fn disable(&mut self, alias: &str) {
        let Some(name) = self.name_of(alias) else { return };
        self.sources.decisions.decide(Decision::Disable(name, Disabled::by_person("by hand")));
        self.apply_choices();
    }

    /// Why a remote is disabled: who has decided that, and when.
    pub fn disabled(&self, alias: &str) -> Option<&Disabled> {
        self.sources.decisions.choices().disabled(&self.entries.get(alias)?.reference.name)
    }

    /// Ends every remote, and starts none for the rest of this run unless somebody enables it.
    pub fn begin_safe_mode(&mut self) {
        self.sources.safe.get_or_insert_default();
        self.apply_choices();
    }

    /// Lets those run again that only safe mode has kept from it.
    pub fn end_safe_mode(&mut self) {
        self.sources.safe = None;
        self.apply_choices();
    }

    /// Whether remotes run only where somebody has enabled them in this run.
    pub fn is_safe_mode(&self) -> bool {
        self.sources.safe.is_some()
    }

    /// The generation to go back to: the one that ran well before the one that runs or, if that one never did, the
    /// newest that did.
    pub fn earlier(&self, alias: &str) -> Option<Kept> {
        let current = self.entries.get(alias)?.digest();
        let generations = self.generations(alias);
        let now = generations.iter().position(|kept| Some(&kept.digest) == current);
        generations.into_iter().nth(now.map_or(0, |now| now + 1))
    }

    /// Goes back to the [`earlier`](Self::earlier) generation, and stays with it.
    ///
    /// An event says when that one is damaged, or the decision cannot be saved.
    ///
    /// # Errors
    /// Fails if there is no earlier build.
    pub fn roll_back(&mut self, alias: &str, note: &str) -> Result<(), SharedFailure> {
        let Some(name) = self.name_of(alias) else { return Ok(()) };
        let Some(to) = self.earlier(alias).map(|kept| kept.digest.to_string()) else {
            let error = ArchiveError::NoneOlder(name);
            return Err(Arc::new(Failure::new(Stage::Discover, error.code(), error)));
        };
        let note = note.to_owned();
        self.sources
            .decisions
            .change_pin(name, move |archive, name| archive.roll_back(name, Some(&to), &note).map(drop));
        Ok(())
    }

    /// Takes newer generations again; an event says when that cannot be saved.
    pub fn unpin(&mut self, alias: &str) {
        let Some(name) = self.name_of(alias) else { return };
        self.sources.decisions.change_pin(name, Archive::unpin);
    }

    /// The generations that ran well, newest first.
    pub fn generations(&self, alias: &str) -> Vec<Kept> {
        let name = self.name_of(alias).unwrap_or_default();
        self.sources.decisions.listing().kept(&name)
    }

    /// A library of the drop folder that could take the place of a configured one, and is not enabled.
    pub fn installed_beside(&self, alias: &str) -> Option<&Path> {
        let entry = self.entries.get(alias)?;
        let path = self.sources.installed.get(&entry.reference.name)?;
        let other = matches!(entry.place, Place::Configured) && *Path::new(&entry.reference.location) != **path;
        other.then_some(path)
    }

    fn name_of(&self, alias: &str) -> Option<String> {
        self.entries.get(alias).map(|entry| entry.reference.name.clone())
    }

    /// Counts a failure of what runs; the third within ten minutes disables it.
    pub(super) fn count_failure(&mut self, alias: &str, failure: &SharedFailure) {
        let Some(name) = self.name_of(alias) else { return };
        let failed = Decision::failed(&name, &failure.code, &failure.message, SystemTime::now());
        if self.sources.decisions.decide(failed).is_none() {
            return;
        }
        self.apply_choices();
        if let Some(off) = self.entries.get(alias).and_then(|entry| entry.off.clone()) {
            self.note_failure(alias, off, Event::Disabled);
        }
    }
}
