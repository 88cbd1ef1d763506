//! Sign-in: asks a provider who the user is, off the UI thread.
//!
//! [`AuthService`] owns one worker thread.
//! The UI thread asks it to sign in or out and reads its [`AuthStatus`] each frame; the worker
//! asks the provider that the settings choose and reports to a [`SessionSink`], through which
//! the shell publishes the session to remotes.
//!
//! Invariants:
//! - Once [`AuthService::sign_out`] has returned, no answer to an earlier sign-in reaches the sink.
//! - Once the service has been dropped, the sink is not called again.
//! - A failed sign-in leaves no user signed in, also if one was signed in before.

mod error;
mod group;
mod http;
mod identity;
mod local;
mod publish;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use negotiation::manifest::AuthConfig;
use parking_lot::{Condvar, Mutex, ReentrantMutex};
use shared_store::User;
use ureq::Agent;

pub use error::AuthError;
pub use group::GroupSignIn;
pub use identity::Secret;
pub use local::PROFILE_FILE;

use crate::{failure::Advise, spawn::spawn};

/// The signed-in user and the session's token.
#[derive(Clone, Debug)]
pub struct Session {
    /// The user as the provider describes it, fit for display.
    pub user: User,
    /// Fresh for each sign-in with the local provider; with HTTP the bearer token, if there is one.
    pub token: Option<Secret>,
}

/// A receiver of sign-ins and sign-outs.
///
/// Called on the worker thread, or on the thread that calls [`AuthService::sign_out`]; never from
/// two threads at once, and in the order of the events.
/// It may call the service, but must not wait for another thread that does.
pub trait SessionSink: Send + Sync {
    /// Reports a new session, which is valid from now on.
    fn signed_in(&self, session: &Session);
    /// Reports that no user is signed in; may be called when none was.
    fn signed_out(&self);
}

/// A closure is a sink; it gets `None` when no user is signed in.
impl<F: Fn(Option<&Session>) + Send + Sync> SessionSink for F {
    fn signed_in(&self, session: &Session) {
        self(Some(session));
    }

    fn signed_out(&self) {
        self(None);
    }
}

/// A function that is called after each change of the status, on the thread that made it.
///
/// It must return immediately and must not wait for a thread that is dropping the service.
pub type OnChange = Arc<dyn Fn() + Send + Sync>;

/// The state of the service.
#[derive(Clone, Debug, Default)]
pub enum AuthStatus {
    /// No user is signed in, and no sign-in was requested.
    #[default]
    SignedOut,
    /// The provider is being asked.
    SigningIn {
        /// The number of this try, from 1.
        attempt: u32,
    },
    /// The sink has the session.
    SignedIn,
    /// The last sign-in failed; no user is signed in.
    Failed(Arc<AuthError>),
}

/// The time limit of a provider, and the pauses between two tries.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The limit for each try, from the request to the last byte of its answer.
    pub limit: Duration,
    /// The pause after each failed try but the last: there is one try more than pauses.
    pub back_off: Vec<Duration>,
}

impl Timing {
    /// Returns the number of requests to a provider before a sign-in fails.
    pub fn tries(&self) -> usize {
        self.back_off.len() + 1
    }
}

impl Default for Timing {
    /// Returns the times of three tries of 5 s.
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(5),
            back_off: vec![Duration::from_millis(250), Duration::from_secs(1)],
        }
    }
}

/// Signs in and out; dropping it stops its worker.
///
/// All methods may be called from any thread, and none waits for the provider; signing out and
/// dropping wait for a call of the sink that has begun.
/// A drop waits for the worker unless that is busy with the provider; then the request is cut
/// off and the worker ends by itself, after [`Timing::limit`] at the latest.
/// In both cases the sink has been dropped.
pub struct AuthService {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while the sink is called, so that its calls are in the order of the decisions.
    /// Reentrant, because publishing runs listeners and a listener may sign out.
    delivery: ReentrantMutex<()>,
    /// `None` once the service is dropped, though the worker may still wait for a provider: the sink may hold values
    /// of a library that is about to be unloaded.
    sink: Mutex<Option<Arc<dyn SessionSink>>>,
    wake: OnChange,
}

#[derive(Default)]
struct State {
    /// The number of sign-ins and sign-outs; work for an earlier number is void.
    generation: u64,
    /// The sign-in that the worker begins next. Only the last request matters, so this is no queue.
    requested: Option<u64>,
    status: AuthStatus,
    stopping: bool,
    /// The worker is asking the provider.
    busy: bool,
    /// Cuts off the request that the worker is waiting for.
    in_flight: Option<Agent>,
}

impl AuthService {
    /// Starts the worker and signs in with the provider that `config` chooses.
    ///
    /// `config_dir` holds the local profile.
    /// A relative token file is looked for there too, so settings for another folder are
    /// made absolute first.
    /// Every failure, here or later, is in [`status`](Self::status).
    pub fn start(
        config: &AuthConfig,
        config_dir: &Path,
        sink: impl SessionSink + 'static,
        wake: OnChange,
    ) -> Self {
        Self::start_with(config, config_dir, Timing::default(), sink, wake)
    }

    /// Starts as [`start`](Self::start) does, with other times.
    pub fn start_with(
        config: &AuthConfig,
        config_dir: &Path,
        timing: Timing,
        sink: impl SessionSink + 'static,
        wake: OnChange,
    ) -> Self {
        let service = Self::idle(config, config_dir, timing, sink, wake);
        service.sign_in();
        service
    }

    /// Starts the worker, and does not sign in yet.
    fn idle(
        config: &AuthConfig,
        config_dir: &Path,
        timing: Timing,
        sink: impl SessionSink + 'static,
        wake: OnChange,
    ) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            delivery: ReentrantMutex::new(()),
            sink: Mutex::new(Some(Arc::new(sink))),
            wake,
        });
        let worker = AuthWorker {
            shared: Arc::clone(&shared),
            config: config.clone(),
            config_dir: config_dir.to_owned(),
            timing,
        };
        let spawned = spawn("auth", "sign in", move || worker.run());
        match spawned {
            Ok(worker) => Self { shared, worker: Some(worker) },
            Err(error) => {
                let error = AuthError::Worker {
                    reason: format!("the system refused its thread ({})", io::Error::from(error)),
                };
                tracing::error!(code = error.code().as_str(), "{}", error.line());
                Self { shared, worker: None }
            }
        }
    }

    /// Returns the present status; cheap enough for each frame.
    pub fn status(&self) -> AuthStatus {
        self.shared.state.lock().status.clone()
    }

    /// Asks the provider who the user is, unless it is being asked already.
    ///
    /// A signed-in user stays signed in until the answer arrives.
    pub fn sign_in(&self) {
        {
            let mut state = self.shared.state.lock();
            if matches!(state.status, AuthStatus::SigningIn { .. }) {
                return;
            }
            state.generation += 1;
            if self.worker.is_some() {
                state.requested = Some(state.generation);
                state.status = AuthStatus::SigningIn { attempt: 1 };
            } else {
                state.status = AuthStatus::Failed(Arc::new(AuthError::Worker {
                    reason: "the system could not start its thread".to_owned(),
                }));
            }
        }
        self.shared.changed.notify_all();
        (self.shared.wake)();
    }

    /// Signs in again after a failure; does nothing in any other state.
    pub fn retry(&self) {
        if matches!(self.status(), AuthStatus::Failed(_)) {
            self.sign_in();
        }
    }

    /// Signs out, and cancels a sign-in that is under way.
    ///
    /// The sink has been called when this returns.
    pub fn sign_out(&self) {
        {
            let _delivery = self.shared.delivery.lock();
            self.shared.void_work(|state| {
                state.status = AuthStatus::SignedOut;
            });
            self.shared.publish(None);
        }
        (self.shared.wake)();
    }
}

impl Drop for AuthService {
    fn drop(&mut self) {
        let mut busy = false;
        {
            // A call of the sink that has begun ends first, and none follows.
            let _delivery = self.shared.delivery.lock();
            self.shared.void_work(|state| {
                state.stopping = true;
                busy = state.busy;
            });
            drop(self.shared.sink.lock().take());
        }
        if let Some(worker) = self.worker.take()
            && !busy
            // The sink may own the service, and the worker calls the sink.
            && worker.thread().id() != thread::current().id()
        {
            // The panic hook has reported a panic.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Passes a session, or its absence, to the sink.
    fn publish(&self, session: Option<&Session>) {
        // Outside of the lock: the sink may drop the service.
        let sink = self.sink.lock().clone();
        match (sink, session) {
            (Some(sink), Some(session)) => sink.signed_in(session),
            (Some(sink), None) => sink.signed_out(),
            (None, _) => {}
        }
    }

    /// Voids the worker's present work and interrupts it; `then` runs under the same lock.
    fn void_work(&self, then: impl FnOnce(&mut State)) {
        let in_flight = {
            let mut state = self.state.lock();
            state.generation += 1;
            state.requested = None;
            then(&mut state);
            state.in_flight.take()
        };
        self.changed.notify_all();
        if let Some(agent) = in_flight {
            agent.shutdown();
        }
    }

    /// Waits for the next requested sign-in; `None` when the service is dropped.
    fn next_request(&self) -> Option<u64> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(generation) = state.requested.take() {
                return Some(generation);
            }
            self.changed.wait(&mut state);
        }
    }

    /// Announces a try; returns `false` when `generation` is void.
    fn begin_try(&self, generation: u64, attempt: u32, agent: &Agent) -> bool {
        {
            let mut state = self.state.lock();
            if state.generation != generation {
                return false;
            }
            state.busy = true;
            state.in_flight = Some(agent.clone());
            state.status = AuthStatus::SigningIn { attempt };
        }
        if attempt > 1 {
            (self.wake)();
        }
        true
    }

    fn end_try(&self) {
        let mut state = self.state.lock();
        state.busy = false;
        state.in_flight = None;
    }

    /// Waits between two tries; returns `false` as soon as `generation` is void.
    fn pause(&self, generation: u64, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.state.lock();
        while state.generation == generation {
            if self.changed.wait_until(&mut state, end).timed_out() {
                return state.generation == generation;
            }
        }
        false
    }

    /// Publishes the outcome of a sign-in, unless `generation` is void.
    fn finish(&self, generation: u64, outcome: Result<Session, AuthError>) {
        {
            let _delivery = self.delivery.lock();
            if self.state.lock().generation != generation {
                return;
            }
            let status = match outcome {
                Ok(session) => {
                    tracing::info!(user = %session.user.id, "signed in");
                    self.publish(Some(&session));
                    AuthStatus::SignedIn
                }
                Err(error) => {
                    tracing::warn!(code = error.code().as_str(), "sign-in failed: {}", error.line());
                    self.publish(None);
                    AuthStatus::Failed(Arc::new(error))
                }
            };
            // A listener may have signed out meanwhile, on this thread.
            let mut state = self.state.lock();
            if state.generation != generation {
                return;
            }
            state.status = status;
        }
        (self.wake)();
    }
}

/// The data of the worker thread.
struct AuthWorker {
    shared: Arc<Shared>,
    config: AuthConfig,
    config_dir: PathBuf,
    timing: Timing,
}

impl AuthWorker {
    fn run(&self) {
        while let Some(generation) = self.shared.next_request() {
            if let Some(outcome) = self.sign_in(generation) {
                self.shared.finish(generation, outcome);
            }
        }
    }

    /// Tries until the outcome is final; `None` when `generation` is void.
    fn sign_in(&self, generation: u64) -> Option<Result<Session, AuthError>> {
        // A new client for each sign-in: an interrupted one cannot be used again.
        let agent = http::agent();
        let mut pauses = self.timing.back_off.iter();
        let mut attempt = 1;
        loop {
            if !self.shared.begin_try(generation, attempt, &agent) {
                return None;
            }
            let outcome = self.ask(&agent, attempt);
            self.shared.end_try();
            let pause = match &outcome {
                Err(error) if error.is_transient() => pauses.next(),
                _ => None,
            };
            let Some(pause) = pause else {
                return Some(outcome);
            };
            if !self.shared.pause(generation, *pause) {
                return None;
            }
            attempt += 1;
        }
    }

    fn ask(&self, agent: &Agent, attempt: u32) -> Result<Session, AuthError> {
        let (dir, limit) = (&self.config_dir, self.timing.limit);
        // A panic must not leave the status at "signing in" permanently.
        let guarded = catch_unwind(AssertUnwindSafe(|| match &self.config {
            AuthConfig::Local => local::sign_in(dir),
            AuthConfig::Http(config) => http::sign_in(config, dir, agent, limit, attempt),
        }));
        guarded.unwrap_or_else(|_| {
            Err(AuthError::Worker { reason: "it panicked while asking the provider".to_owned() })
        })
    }
}

#[cfg(test)]
mod tests;
