//! Spawns threads and reports the failure if the system refuses one.

use std::{
    io,
    thread::{Builder, JoinHandle},
};

use crate::{
    catalogue::Code,
    failure::{Advise, Failure, Stage},
};

/// The system's refusal to spawn a thread.
#[derive(Debug, thiserror::Error)]
#[error("cannot spawn a thread to {what} ({error})")]
pub(crate) struct SpawnError {
    what: String,
    error: io::Error,
}

crate::failure::advise!(SpawnError);

impl SpawnError {
    #[expect(clippy::unused_self, reason = "as for other errors")]
    pub(crate) fn code(&self) -> Code {
        Code::NoThread
    }

    #[expect(clippy::unused_self, reason = "as for other errors")]
    pub(crate) fn advice(&self) -> &'static str {
        "end other programs or raise the limit, then try again"
    }

    /// Returns the failure of a remote that lacks the thread.
    pub(crate) fn failure(&self, stage: Stage) -> Failure {
        Failure::from_error(stage, self)
    }

    /// Logs that the shell lacks the thread.
    pub(crate) fn log(&self) {
        tracing::error!(code = self.code().as_str(), "{}", self.line());
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        error.error
    }
}

/// Spawns a thread called `name` for the task `what`.
///
/// # Errors
/// Fails if the system refuses; `run` is then dropped.
pub(crate) fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    what: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SpawnError> {
    spawn_with(Builder::new(), name, what, run)
}

/// Spawns a thread as [`spawn`] does, with the stack size of `builder`.
pub(crate) fn spawn_with<T: Send + 'static>(
    builder: Builder,
    name: impl Into<String>,
    what: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SpawnError> {
    builder.name(name.into()).spawn(run).map_err(|error| SpawnError { what: what.into(), error })
}
