//! The thread of a remote, on which all of its code runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RStr},
};
use negotiation::manifest::RemoteManifest;
use plugin_api::abi::{
    FrameInput, HostServices_TO, InitContext, RemoteBox, RemoteError, Services, SurfaceBox, SurfaceContext,
};

use super::{
    Binary, Call, Ended, GenerationState, Note, SavedPanel, Shared, inbox::Inbox, services::ServicesOf,
};
use crate::{
    catalogue::Code,
    compositor::{
        self, Mailbox,
        frame::{Held, Quota, Validator},
    },
    failure::{Failure, SharedFailure, Stage},
    placement::{Bound, Module, Provider, loader::LoadedLibrary},
};

/// State of a remote's thread.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) inbox: Inbox,
    pub(super) surfaces: BTreeMap<u64, Open>,
    /// Memory that all of its surfaces use in the shell.
    pub(super) held: Held,
    /// Providers of the shared crates that the remote uses.
    pub(super) providers: Vec<Provider>,
}

pub(super) struct Open {
    remote: Arc<Shared>,
    expose: String,
    pub(super) surface: SurfaceBox,
    validator: Validator,
    mailbox: Arc<Mailbox>,
    drawn: bool,
    /// The saved state that it was opened from and has accepted.
    kept: Option<SavedPanel>,
}

impl Thread {
    /// Runs the remote from loading to shutdown; returns the library to unload once this thread has ended.
    pub(super) fn run(mut self, binary: &Binary, manifest: &RemoteManifest) -> Option<Ended> {
        let shared = Arc::clone(&self.shared);
        let library = match binary {
            Binary::Linked(entry) => LoadedLibrary::linked(*entry),
            // Only here is a remote trusted with this process: the host's manifest or the user has named its library,
            // and its manifest is part of the plan.
            Binary::Library { path, copy } => {
                match shared.timed(Stage::Load, "load", || LoadedLibrary::open(path, copy, manifest)) {
                    Ok(library) => library,
                    Err(error) => {
                        shared.fail(Failure::from_error(Stage::Load, &error));
                        return None;
                    }
                }
            }
        };
        let modules = library.entry().shared()();
        let modules: Vec<Module> =
            modules.iter().map(|module| Module::of_remote(module, library.image())).collect();
        let modules: Arc<[Module]> = modules.into();
        // Set once, because only this thread loads.
        let _ = shared.offers.set(modules);
        shared.set(GenerationState::Loaded);
        if let Some(mut remote) = self.init(&library) {
            let failure = self.serve(&mut remote);
            let ended = shared.during(Stage::Retire, || {
                self.surfaces.clear();
                let ended = remote.shutdown().into_result();
                drop(remote);
                ended
            });
            match ended {
                Err(error) => drop(shared.fail(copied(Stage::Retire, error))),
                Ok(()) if failure.is_none() => shared.set(GenerationState::Ended),
                Ok(()) => {}
            }
        }
        Some(Ended { library, providers: self.providers })
    }

    fn init(&mut self, library: &LoadedLibrary) -> Option<RemoteBox> {
        let (scope, data_dir, fonts) = loop {
            match self.inbox.next() {
                Some(Call::Init { scope, data_dir, fonts }) => break (scope, data_dir, fonts),
                Some(Call::Shutdown) | None => {
                    self.shared.set(GenerationState::Ended);
                    return None;
                }
                Some(_) => {}
            }
        };
        let shared = &self.shared;
        let scope: Vec<Bound> = match scope.into_iter().map(|bind| bind()).collect() {
            Ok(scope) => scope,
            Err(failure) => {
                shared.fail(failure);
                return None;
            }
        };
        let of = |bound: &Bound| {
            let image = Arc::clone(bound.image.as_ref()?);
            // The remote's own copy may keep anything of it.
            let other = !Arc::ptr_eq(&image, library.image());
            other.then(|| Provider::new(&bound.interface, image))
        };
        self.providers = scope.iter().filter_map(of).collect();
        let scope: Vec<_> = scope.into_iter().map(|bound| bound.interface).collect();
        if let Err(error) = std::fs::create_dir_all(&data_dir) {
            let text = format!(
                "the data folder of `{}` cannot be made ({error}): {}",
                shared.name,
                data_dir.display()
            );
            let advice = "remove what is in the way, let this user write there, or name another folder with \
                          --data-dir, then retry";
            shared.fail(Failure::new(Stage::Init, Code::DataDir, text, advice));
            return None;
        }
        let services: Services =
            HostServices_TO::from_ptr(RArc::new(ServicesOf(Arc::downgrade(shared))), TD_Opaque);
        let context = InitContext {
            services,
            scope: scope.into(),
            data_dir: data_dir.to_string_lossy().into_owned().into(),
            fonts: fonts.into(),
        };
        match shared.timed(Stage::Init, "init", || library.entry().init()(context)).into_result() {
            Ok(remote) => {
                shared.set(GenerationState::Active);
                Some(remote)
            }
            Err(error) => {
                shared.fail(copied(Stage::Init, error));
                None
            }
        }
    }

    /// Handles calls until the remote is asked to end, or fails as a whole.
    fn serve(&mut self, remote: &mut RemoteBox) -> Option<SharedFailure> {
        while let Some(call) = self.inbox.next() {
            match call {
                Call::Open { expose, surface, state, saved, mailbox } => {
                    let kept = saved.and_then(|saved| self.take_saved(saved));
                    let (kept, state) = kept.map_or((None, state), |(kept, state)| (Some(kept), Some(state)));
                    self.open(remote, &expose, (surface, state, kept), mailbox);
                }
                Call::Frame { surface, input } => self.frame(surface, input),
                Call::Save { surface, then } => self.save(surface, then),
                Call::Close { surface } => {
                    let closed = self.surfaces.remove(&surface);
                    self.shared.during(Stage::Retire, || drop(closed));
                }
                Call::Changed => {
                    self.shared.changed.store(false, Ordering::Release);
                    let changed = self.shared.during(Stage::Frame, || remote.changed().into_result());
                    if let Err(error) = changed {
                        return Some(self.shared.fail(copied(Stage::Frame, error)));
                    }
                }
                Call::Init { .. } | Call::Ready => {}
                Call::Shutdown => break,
            }
        }
        None
    }

    fn open(
        &mut self,
        remote: &mut RemoteBox,
        expose: &str,
        (surface, state, mut kept): (u64, Option<Vec<u8>>, Option<SavedPanel>),
        mailbox: Arc<Mailbox>,
    ) {
        self.shared.recovered.store(false, Ordering::Release);
        let context =
            SurfaceContext { id: surface, state: state.map_or(ROption::RNone, |s| ROption::RSome(s.into())) };
        let opened = self.shared.timed(Stage::Open, "open", || remote.get(RStr::from_str(expose), context));
        let opened = opened.into_result();
        if opened.is_err() || self.shared.recovered.load(Ordering::Acquire) {
            kept.take().iter().for_each(SavedPanel::forget);
        }
        match opened {
            Ok(opened) => {
                let validator =
                    Validator::new(Quota::default(), compositor::texture_side()).sharing(&self.held);
                let remote = Arc::clone(&self.shared);
                let expose = expose.to_owned();
                let open = Open { remote, expose, surface: opened, validator, mailbox, drawn: false, kept };
                self.surfaces.insert(surface, open);
            }
            Err(error) => self.report(expose, &mailbox, copied(Stage::Open, error)),
        }
    }

    fn frame(&mut self, id: u64, input: FrameInput) {
        let Some(open) = self.surfaces.get_mut(&id) else { return };
        let start = Instant::now();
        let result = self.shared.during(Stage::Frame, || open.surface.frame(input).into_result());
        let result = match result {
            Ok(frame) => {
                open.validator.accept(frame).map_err(|error| Failure::from_error(Stage::Frame, &error))
            }
            Err(error) => Err(copied(Stage::Frame, error)),
        };
        let took = start.elapsed();
        let first = !std::mem::replace(&mut open.drawn, true);
        if first {
            self.shared.times.lock().push(("first frame", took));
        }
        match (&result, &open.kept) {
            (Ok(_), Some(kept)) if first => kept.confirm(),
            (Err(_), Some(kept)) => kept.forget(),
            _ => {}
        }
        match result {
            Ok(mut frame) => {
                frame.took = took;
                open.mailbox.put(Ok(frame));
            }
            Err(failure) => {
                let (mailbox, expose) = (Arc::clone(&open.mailbox), open.expose.clone());
                self.surfaces.remove(&id);
                self.report(&expose, &mailbox, failure);
            }
        }
    }

    /// Logs a failure of one surface, shows it in its slot, and notes it.
    fn report(&self, expose: &str, mailbox: &Arc<Mailbox>, failure: Failure) {
        tracing::error!(
            remote = self.shared.name,
            stage = %failure.stage,
            code = failure.code.as_str(),
            "{}", failure.line()
        );
        let failure = Arc::new(failure);
        // Before the note: the window may show something else in its place when it takes the note.
        mailbox.put(Err(Arc::clone(&failure)));
        let surface = Some((expose.to_owned(), Arc::clone(mailbox)));
        self.shared.notes.lock().push(Note { failure, fatal: true, surface });
        (self.shared.wake)(Duration::ZERO);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The remote's side has caught a panic in the author's `Drop`; the surface is gone either way.
        if let Err(error) = self.surface.close().into_result() {
            let failure = copied(Stage::Retire, error);
            tracing::warn!(
                remote = self.remote.name,
                stage = %failure.stage,
                code = failure.code.as_str(),
                "a surface is gone, and was not closed properly: {}", failure.line()
            );
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "its strings are the remote's memory, which is freed here")]
pub(super) fn copied(stage: Stage, error: RemoteError) -> Failure {
    Failure::from_remote(stage, &error)
}
