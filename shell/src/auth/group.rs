//! Sign-in of all running shells of a user: a decision in one of them counts in the others.
//!
//! Shells with the same settings and profile form a group. The last decision of the user is a value that they mirror, so
//! that a shell that starts later follows it too; it is forgotten when the last of them ends.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, Weak},
};

use delivery::Digest;
use etcetera::{BaseStrategy, choose_base_strategy};
use negotiation::manifest::AuthConfig;
use peers::{PeerEvent, Peers};
use serde_json::{Value, json};
use shared_store::Store;

use super::{AuthService, AuthStatus, OnChange, Timing, publish::into_store};

/// The name of the mirrored decision.
const DECISION: &str = "auth.session";
const SIGNED_IN: &str = "signed-in";
const SIGNED_OUT: &str = "signed-out";

/// The sign-in of this shell, which follows those of the user's other shells.
///
/// All methods may be called from any thread, and none waits for the provider or for another shell.
pub struct GroupSignIn {
    /// Dropped first, so that no other shell's decision arrives afterwards.
    peers: Option<Peers>,
    service: Arc<AuthService>,
}

impl GroupSignIn {
    /// Joins the user's other shells, and signs in unless the user has signed out in them.
    ///
    /// See [`AuthService::publish_to`] for the parameters. Without other shells, or if they cannot be joined, it is
    /// this shell's own sign-in.
    pub fn start(store: Store, config: &AuthConfig, config_dir: &Path, wake: OnChange) -> Self {
        let service: Arc<OnceLock<Weak<AuthService>>> = Arc::default();
        let follower = Arc::clone(&service);
        let peers = folder(config, config_dir).and_then(|folder| {
            let joined = Peers::join(&folder, move |event| {
                if let PeerEvent::Mirrored { peer, name, value } = event
                    && name == DECISION
                    && let Some(service) = follower.get().and_then(Weak::upgrade)
                {
                    tracing::info!(%peer, decision = %value, "follows the sign-in of another shell");
                    follow(&service, &value);
                }
            });
            joined.inspect_err(|error| tracing::warn!(code = error.code(), "{error}; {}", error.advice())).ok()
        });
        let sink = into_store(store);
        let started = Arc::new(AuthService::idle(config, config_dir, Timing::default(), sink, wake));
        let _ = service.set(Arc::downgrade(&started));
        match peers.as_ref().and_then(|peers| peers.read(DECISION)) {
            Some(decision) => follow(&started, &decision),
            None => started.sign_in(),
        }
        Self { peers, service: started }
    }

    /// Returns the status of this shell.
    pub fn status(&self) -> AuthStatus {
        self.service.status()
    }

    /// Signs in here and in the other shells.
    pub fn sign_in(&self) {
        self.decide(SIGNED_IN);
        self.service.sign_in();
    }

    /// Signs in again after a failure.
    pub fn retry(&self) {
        self.service.retry();
    }

    /// Signs out here and in the other shells, and cancels a sign-in that is under way.
    pub fn sign_out(&self) {
        self.decide(SIGNED_OUT);
        self.service.sign_out();
    }

    fn decide(&self, decision: &str) {
        if let Some(peers) = &self.peers {
            peers.write(DECISION, json!(decision));
        }
    }
}

/// Follows the user's decision in another shell; does nothing if it is in force here.
fn follow(service: &AuthService, decision: &Value) {
    let is_out = matches!(service.status(), AuthStatus::SignedOut);
    match decision.as_str() {
        Some(SIGNED_OUT) if !is_out => service.sign_out(),
        Some(SIGNED_IN) if is_out => service.sign_in(),
        // A later version may know other decisions.
        _ => {}
    }
}

/// Returns the folder of the group; `None` on a system without folders for a user's files.
fn folder(config: &AuthConfig, config_dir: &Path) -> Option<PathBuf> {
    let base = choose_base_strategy().ok()?;
    // Only Linux has a folder for runtime files, and may lack it outside of a session.
    let folder = base.runtime_dir().or_else(|| (!cfg!(target_os = "linux")).then(|| base.cache_dir()))?;
    let group = format!("{}\n{config:?}", config_dir.display());
    Some(folder.join("pulse-shell").join("peers").join(Digest::of_bytes(group).short()))
}
