//! Publishes the session in the store, for the shell and remotes.

use std::path::Path;

use negotiation::manifest::AuthConfig;
use shared_store::{AUTH, AUTH_TOKEN, Auth, Store, Token};

use super::{AuthService, OnChange, Session, SessionSink};

impl AuthService {
    /// Starts a service that publishes the session in [`AUTH`] and [`AUTH_TOKEN`] of `store`.
    ///
    /// See [`start`](Self::start) for the other parameters.
    pub fn publish_to(store: Store, config: &AuthConfig, config_dir: &Path, wake: OnChange) -> Self {
        Self::start(config, config_dir, into_store(store), wake)
    }
}

/// Returns a sink that publishes the session in `store`.
pub(super) fn into_store(store: Store) -> impl SessionSink {
    move |session: Option<&Session>| publish(&store, session)
}

fn publish(store: &Store, session: Option<&Session>) {
    let token = session.and_then(|session| session.token.as_ref()).map(|token| Token::new(token.expose()));
    let auth = Auth { user: session.map(|session| session.user.clone()), is_authenticated: session.is_some() };
    let written = store.set(&AUTH_TOKEN, &token).and_then(|()| store.set(&AUTH, &auth));
    if let Err(error) = written {
        tracing::error!(code = error.code(), "the session cannot be published: {error}");
    }
}
