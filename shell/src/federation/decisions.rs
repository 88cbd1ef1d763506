//! Decisions about remotes: read from memory, written by a worker.
//!
//! The view is the last content of the files plus the decisions made here since. A decision that cannot be written
//! stays in the view, and is written with the next one or at the end.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    catalogue::Code,
    config::Config,
    data::{
        archive::{Archive, ArchiveError, ArchiveListing},
        choices::{Choices, ChoicesError, Decision, Disabled},
        deliveries::{Deliveries, DeliveryDecisions, Supplied, is_address},
    },
    failure::{Advise, Failure, Stage},
    placement::Wake,
    spawn::SpawnError,
    worker::JobThread,
};

/// Time for which the start waits for the files, and the end for pending writes.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Decisions {
    files: Arc<Mutex<Files>>,
    /// `None` at the end, or without a thread: jobs then run on the caller's thread.
    worker: Option<JobThread>,
    sender: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// The last content of the files.
    base: Snapshot,
    /// The choices of `base` plus the pending decisions.
    choices: Choices,
    pending: Vec<Pending>,
    next: u64,
    /// Number of jobs without a result.
    running: Cell<usize>,
}

/// A decision that is not known to be in the file.
struct Pending {
    number: u64,
    decision: Decision,
    /// The decision was passed to the worker.
    sent: bool,
}

/// Contents of the files.
#[derive(Clone)]
struct Snapshot {
    choices: Choices,
    listing: ArchiveListing,
    /// The reason why the pins are not known.
    doubt: Option<String>,
    deliveries: DeliveryDecisions,
    /// Remotes whose location is an address, by name.
    supplied: BTreeMap<String, Arc<Supplied>>,
}

/// The worker's side of the files.
struct Files {
    snapshot: Snapshot,
    archive: Archive,
    deliveries: Deliveries,
    config: Arc<Config>,
    /// The last error of the archive, which is logged once.
    error: Option<String>,
    /// The last error of the decisions about repositories, which is logged once.
    delivery_error: Option<String>,
}

/// Result of a job.
struct Report {
    snapshot: Snapshot,
    /// Numbers of the decisions in the job.
    written: Vec<u64>,
    /// The failure of the job, with the remote's name.
    failed: Option<(String, Failure)>,
}

impl Decisions {
    /// Starts to read the files of this data folder, and waits for them for at most two seconds.
    pub(super) fn start(config: &Arc<Config>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let worker = JobThread::start("decisions", "write decisions, so the window waits for them");
        let worker = worker.inspect_err(SpawnError::log);
        let choices = Choices::unread(&config.data_dir);
        let snapshot = Snapshot {
            choices: choices.clone(),
            listing: ArchiveListing::default(),
            doubt: None,
            deliveries: DeliveryDecisions::default(),
            supplied: BTreeMap::new(),
        };
        let files = Files {
            snapshot: snapshot.clone(),
            archive: Archive::new(&config.data_dir),
            deliveries: Deliveries::new(&config.data_dir),
            config: Arc::clone(config),
            error: None,
            delivery_error: None,
        };
        let (sender, reports) = mpsc::channel();
        let mut decisions = Self {
            files: Arc::new(Mutex::new(files)),
            worker: worker.ok(),
            sender,
            reports,
            wake: Arc::new(wake),
            base: snapshot,
            choices,
            pending: Vec::new(),
            next: 0,
            running: Cell::new(0),
        };
        decisions.refresh();
        let until = Instant::now() + LIMIT;
        if let Ok(report) = decisions.reports.recv_timeout(until.saturating_duration_since(Instant::now())) {
            decisions.adopt(report);
        } else {
            tracing::warn!(
                code = Code::ChoicesUnreadable.as_str(),
                "the decisions about remotes were not read within {} s, and no remote starts until they are; check \
                 the disk or network folder of the file: {}",
                LIMIT.as_secs(),
                decisions.choices.file().display()
            );
        }
        decisions
    }

    pub(super) fn choices(&self) -> &Choices {
        &self.choices
    }

    pub(super) fn listing(&self) -> &ArchiveListing {
        &self.base.listing
    }

    /// Returns the decisions about repositories and remotes from them.
    pub(super) fn deliveries(&self) -> &DeliveryDecisions {
        &self.base.deliveries
    }

    /// Returns the remotes whose location is an address, by name.
    pub(super) fn supplied(&self) -> &BTreeMap<String, Arc<Supplied>> {
        &self.base.supplied
    }

    /// Returns the reason why the decisions are not known; see [`Choices::doubt`].
    pub(super) fn doubt(&self) -> Option<String> {
        self.choices.doubt().or_else(|| self.base.doubt.clone())
    }

    /// Applies a decision at once, and queues it for writing. Returns the entry if it disables the remote.
    pub(super) fn decide(&mut self, decision: Decision) -> Option<Disabled> {
        let disabled = self.choices.note(&decision);
        self.next += 1;
        self.pending.push(Pending { number: self.next, decision, sent: false });
        self.write();
        disabled
    }

    /// Returns `true` while the files are being read or written.
    pub(super) fn is_busy(&self) -> bool {
        self.running.get() > 0
    }

    /// Requests that the files are read again.
    pub(super) fn refresh(&self) {
        self.run(Vec::new(), |_| None);
    }

    /// Requests that the archive pins or unpins a generation of the remote called `name`.
    pub(super) fn change_pin(
        &self,
        name: String,
        change: impl FnOnce(&Archive, &str) -> Result<(), ArchiveError> + Send + 'static,
    ) {
        self.run(Vec::new(), move |files| {
            let error = change(&files.archive, &name).err()?;
            Some((name, Failure::from_error(Stage::Discover, &error)))
        });
    }

    /// Requests a change of the deliveries of the remote called `name`.
    pub(super) fn change_delivery(
        &self,
        name: String,
        change: impl FnOnce(&Deliveries, &Archive) -> Result<(), Failure> + Send + 'static,
    ) {
        self.run(Vec::new(), move |files| {
            change(&files.deliveries, &files.archive).err().map(|failure| (name, failure))
        });
    }

    fn write(&mut self) {
        let (mut numbers, mut decisions) = (Vec::new(), Vec::new());
        for pending in self.pending.iter_mut().filter(|pending| !pending.sent) {
            pending.sent = true;
            numbers.push(pending.number);
            decisions.push(pending.decision.clone());
        }
        if decisions.is_empty() {
            return;
        }
        self.run(numbers, move |files| {
            let error: ChoicesError = files.snapshot.choices.write(&decisions).err()?;
            let name = decisions.last().map(Decision::name).unwrap_or_default().to_owned();
            Some((name, Failure::from_error(Stage::Discover, &error)))
        });
    }

    /// Runs `job` on the worker, then reads the files again.
    fn run(
        &self,
        written: Vec<u64>,
        job: impl FnOnce(&mut Files) -> Option<(String, Failure)> + Send + 'static,
    ) {
        let (files, sender, wake) = (Arc::clone(&self.files), self.sender.clone(), Arc::clone(&self.wake));
        self.running.set(self.running.get() + 1);
        let run = move || {
            let mut files = files.lock();
            let failed = job(&mut files);
            files.read();
            // The federation may have ended.
            let _ = sender.send(Report { snapshot: files.snapshot.clone(), written, failed });
            wake();
        };
        match &self.worker {
            Some(worker) => worker.run(run),
            None => run(),
        }
    }

    /// Adopts the results of finished jobs. Returns `None` if nothing has changed, else the failures by the remote's
    /// name.
    pub(super) fn poll(&mut self) -> Option<Vec<(String, Failure)>> {
        let (mut changed, mut failed) = (false, Vec::new());
        while let Ok(report) = self.reports.try_recv() {
            let (differs, failure) = self.adopt(report);
            changed |= differs || failure.is_some();
            failed.extend(failure);
        }
        changed.then_some(failed)
    }

    fn adopt(&mut self, report: Report) -> (bool, Option<(String, Failure)>) {
        let Report { snapshot, written, failed } = report;
        self.running.set(self.running.get().saturating_sub(1));
        if failed.is_none() {
            self.pending.retain(|pending| !written.contains(&pending.number));
        } else {
            self.pending.iter_mut().filter(|p| written.contains(&p.number)).for_each(|p| p.sent = false);
        }
        let mut choices = snapshot.choices.clone();
        for pending in &self.pending {
            choices.note(&pending.decision);
        }
        let differs = !choices.has_same_decisions(&self.choices)
            || snapshot.listing != self.base.listing
            || snapshot.doubt != self.base.doubt
            || snapshot.deliveries != self.base.deliveries
            || snapshot.supplied != self.base.supplied;
        (self.base, self.choices) = (snapshot, choices);
        (differs, failed)
    }

    /// Writes pending decisions, and waits for that for at most two seconds.
    pub(super) fn finish(&mut self) {
        let _ = self.poll();
        self.write();
        let Some(worker) = self.worker.take() else { return };
        let in_time = worker.finish(LIMIT);
        let mut failed = None;
        for report in self.reports.try_iter().collect::<Vec<_>>() {
            failed = self.adopt(report).1.or(failed);
        }
        if let Some(pending) = self.pending.last() {
            let why = match failed {
                Some((_, failure)) => failure.line(),
                None if in_time => String::new(),
                None => format!("it was not written within {} s", LIMIT.as_secs()),
            };
            tracing::warn!(
                code = Code::ChoicesUnwritable.as_str(),
                "the last decision, about `{}`, is not saved ({why}); decide again: {}",
                pending.decision.name(),
                self.choices.file().display()
            );
        }
    }
}

impl Files {
    fn read(&mut self) {
        self.snapshot.choices.reload();
        let error = match self.archive.listing() {
            Ok(listing) => {
                (self.snapshot.listing, self.snapshot.doubt) = (listing, None);
                None
            }
            Err(error) => {
                let text = error.line();
                // A later version of the shell may have set pins.
                self.snapshot.doubt = error.is_later_format().then(|| text.clone());
                if self.error.as_ref() != Some(&text) {
                    tracing::warn!(code = error.code().as_str(), "{text}");
                }
                Some(text)
            }
        };
        self.error = error;
        self.read_deliveries();
    }

    /// Reads the decisions about repositories; unreadable ones stay as they were known.
    fn read_deliveries(&mut self) {
        let Self { deliveries, config, snapshot, delivery_error, .. } = self;
        match deliveries.read() {
            Ok(decisions) => {
                snapshot.deliveries = decisions;
                *delivery_error = None;
            }
            Err(failure) => {
                let text = failure.line();
                if delivery_error.as_ref() != Some(&text) {
                    tracing::warn!(code = failure.code.as_str(), "{text}");
                }
                *delivery_error = Some(text);
            }
        }
        let decisions = &snapshot.deliveries;
        let configured = config.host.remotes.values();
        let configured = configured.map(|reference| (reference.name.clone(), reference.location.clone()));
        let added =
            decisions.remotes.iter().filter_map(|(name, own)| Some((name.clone(), own.location.clone()?)));
        // The host's manifest counts where both name a remote.
        let all: BTreeMap<String, String> = added.chain(configured).collect();
        let addresses = all.into_iter().filter(|(_, location)| is_address(location));
        let listing = &snapshot.listing;
        snapshot.supplied = addresses
            .map(|(name, location)| {
                let supplied = deliveries.supplied(config, decisions, listing, &name, &location);
                (name, Arc::new(supplied))
            })
            .collect();
    }
}

/// Routes the worker's reports to the window.
pub(super) fn waker(wake: &Wake) -> impl Fn() + Send + Sync + 'static {
    let wake = Arc::clone(wake);
    move || wake(Duration::ZERO)
}
