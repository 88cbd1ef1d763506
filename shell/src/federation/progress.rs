//! What has become of remotes since the last look: loaded, failed, hung, drawn.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    CALL_LIMIT, Federation, Note, Remote, START_LIMIT, State,
    check::{Check, Checked},
    events::{Event, Topic},
    replacement,
};
use crate::{
    choices::{FAILURES, WINDOW},
    compositor::Mailbox,
    failure::{Failure, SharedFailure},
};

/// A call that takes longer is looked at again when it reaches its limit; most are over before.
const LATE: Duration = Duration::from_millis(40);

impl Federation {
    /// Takes a remote whose library was looked at, or why it is not to be loaded.
    pub(super) fn take_checked(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias) else { return };
        match entry.check.as_ref().and_then(Check::poll) {
            None => {}
            Some(Ok(checked)) => {
                entry.check = None;
                if let Some(Checked { found, digest, copy, mut remote, times, .. }) = checked {
                    remote.on_drop(Some(self.retiring.ending(alias, entry.generation)));
                    // What was planned with is what was looked at, unless the file has changed in between.
                    let same = entry.manifest() == Some(&*found.manifest);
                    entry.found = Ok(found);
                    entry.copy = Some((copy, digest));
                    entry.archived = false;
                    entry.before = times;
                    entry.running = Some(remote);
                    if !same {
                        self.replan();
                    }
                }
            }
            Some(Err(failure)) => {
                entry.check = None;
                let (stage, code) = (failure.stage, &*failure.code);
                tracing::error!(remote = alias, %stage, code, "{}", failure.message);
                let failure = Arc::new(failure);
                entry.unbound = Some(Arc::clone(&failure));
                self.note_failure(alias, Arc::clone(&failure), Event::Failed);
                self.replan();
            }
        }
    }

    /// Takes what a remote did wrong.
    pub(super) fn take_notes(&mut self, alias: &str) {
        let notes = self.entries.get(alias).and_then(|entry| entry.running.as_ref()).map(Remote::notes);
        for Note { failure, fatal, surface } in notes.into_iter().flatten() {
            if let Some((expose, mailbox)) = surface {
                let failure = self.count_of_surface(alias, &expose, failure, &mailbox);
                self.note_failure(alias, failure, Event::Failed);
                continue;
            }
            let event = if fatal { Event::Failed } else { Event::StateLost };
            self.note_failure(alias, Arc::clone(&failure), event);
            if fatal {
                self.count_failure(alias, &failure);
            }
        }
    }

    /// Counts a failure of one surface, which says nothing of the others: the third within ten minutes is shown as
    /// such, and the surface stays closed until the user opens it again. Returns what there is to say.
    fn count_of_surface(
        &mut self,
        alias: &str,
        expose: &str,
        failure: SharedFailure,
        mailbox: &Mailbox,
    ) -> SharedFailure {
        let Some(entry) = self.entries.get_mut(alias) else { return failure };
        let failures = entry.surface_failures.entry(expose.to_owned()).or_default();
        failures.retain(|(_, at)| at.elapsed() <= WINDOW);
        failures.push((failure.code.clone(), Instant::now()));
        if failures.len() < FAILURES {
            return failure;
        }
        let codes: Vec<String> = failures.drain(..).map(|(code, _)| code).collect();
        let text = format!(
            "`{expose}` of `{alias}` failed three times within ten minutes ({}) and was closed; the last time: {}",
            codes.join(", "),
            failure.message
        );
        let failing =
            Failure::new(failure.stage, "surface-failing", text).with_details(failure.details.clone());
        tracing::error!(remote = alias, expose, code = failing.code, "{}", failing.message);
        let failing = Arc::new(failing);
        mailbox.put(Err(Arc::clone(&failing)));
        failing
    }

    /// Finds out who does not come back from a call.
    pub(super) fn look_for_hangs(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias) else { return };
        let Some(running) = &entry.running else { return };
        let active = matches!(running.state(), State::Active);
        let limit = if active { CALL_LIMIT } else { START_LIMIT };
        let busy = running.busy();
        if let Some((_, waited)) = busy
            && (LATE..limit).contains(&waited)
        {
            // The window need not be drawn again for anything else.
            (self.wake)(limit.saturating_sub(waited));
        }
        let long = busy.filter(|(_, waited)| *waited >= limit);
        let hung = std::mem::replace(&mut entry.hung, long.is_some());
        let Some((stage, waited)) = long.filter(|_| !hung) else { return };
        let failure = if active {
            let text = format!(
                "the remote has not answered for {} s; the last picture stays; wait, or restart it, which abandons what \
                 it is at; tell its author",
                waited.as_secs()
            );
            Failure::new(stage, "not-responding", text)
        } else {
            replacement::hung(stage, waited)
        };
        tracing::error!(remote = alias, stage = %failure.stage, code = failure.code, "{}", failure.message);
        let failure = Arc::new(failure);
        if !active {
            // It will not start; another try is another thread.
            entry.unbound = Some(Arc::clone(&failure));
            // Dropped, it ends.
            entry.running = None;
            self.replan();
        }
        self.note_failure(alias, Arc::clone(&failure), Event::Failed);
        self.count_failure(alias, &failure);
    }

    /// Keeps a generation that runs well, to go back to it; once for each, on a thread of its own.
    pub(super) fn archive(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias) else { return };
        let drawn = |remote: &Remote| remote.times().iter().any(|(stage, _)| *stage == "first frame");
        if entry.archived || !self.config.watch || !entry.running.as_ref().is_some_and(drawn) {
            return;
        }
        entry.archived = true;
        let (Ok(found), Some((copy, Some(digest)))) = (&entry.found, entry.copy.clone()) else { return };
        let Some(origin) = &found.origin else { return };
        let (archive, name, text) =
            (self.sources.archive.clone(), found.manifest.name.clone(), origin.text().to_owned());
        let keep = move || {
            if let Err(error) = archive.keep(&name, &copy, &digest, &text) {
                tracing::warn!(remote = name, code = error.code(), "{error}");
            }
        };
        if let Err(error) = thread::Builder::new().name(format!("keep:{alias}")).spawn(keep) {
            tracing::warn!(
                remote = alias,
                code = "no-thread",
                "the system gives no thread to keep this generation of `{alias}` with ({error}); it cannot be rolled \
                 back to; close something or raise the limit"
            );
        }
    }

    /// Gives the surfaces of a generation that was let go to the one that runs now, from nothing.
    pub(super) fn reopen(&mut self, alias: &str) {
        let Some(entry) = self.entries.get_mut(alias) else { return };
        let Some(running) = &entry.running else { return };
        if entry.served == entry.generation || !matches!(running.state(), State::Active) {
            return;
        }
        entry.served = entry.generation;
        for (expose, port) in &entry.ports {
            if let Some(port) = port.upgrade() {
                self.next += 1;
                port.take_over(Arc::new(running.open(self.next, expose)), Vec::new());
            }
        }
        self.withdraw(alias, Topic::Running);
    }
}
