//! What a remote may ask of the host.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use abi_stable::std_types::{ROption, RStr};
use plugin_api::abi::{Font, HostServices, RemoteError};

use super::{Note, Shared, copied};
use crate::{failure::Stage, theme::system};

/// What the remote may ask of the host. Holds nothing that keeps a surface or the remote alive.
#[derive(Clone)]
pub(super) struct ServicesOf(pub(super) Weak<Shared>);

impl HostServices for ServicesOf {
    fn log(&self, level: u32, target: RStr<'_>, message: RStr<'_>) {
        let Some(shared) = self.0.upgrade() else { return };
        let (remote, target) = (shared.name.as_str(), target.as_str());
        match level {
            1 => tracing::error!(remote, target, "{message}"),
            2 => tracing::warn!(remote, target, "{message}"),
            3 => tracing::info!(remote, target, "{message}"),
            4 => tracing::debug!(remote, target, "{message}"),
            _ => tracing::trace!(remote, target, "{message}"),
        }
    }

    fn request_repaint(&self, surface: u64, nanoseconds: u64) {
        let Some(shared) = self.0.upgrade() else { return };
        let mailbox = shared.mailboxes.lock().get(&surface).and_then(Weak::upgrade);
        if let Some(mailbox) = mailbox {
            // A day is as good as for ever, and no sum of times overflows.
            mailbox.request(Duration::from_nanos(nanoseconds).min(Duration::from_hours(24)));
        }
    }

    fn report(&self, _: u64, error: RemoteError) {
        let Some(shared) = self.0.upgrade() else { return };
        shared.coped.store(true, Ordering::Release);
        let failure = copied(Stage::Open, error);
        tracing::warn!(remote = shared.name, code = failure.code, "{}", failure.message);
        shared.notes.lock().push(Note { failure: Arc::new(failure), fatal: false });
        (shared.wake)(Duration::ZERO);
    }

    fn font(&self, cluster: RStr<'_>, families: u32) -> ROption<Font> {
        system::find(&cluster, families).into()
    }
}
