//! The events of a development server.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::timeout,
};

use super::{DevCatalogue, answer::json};
use crate::{
    Digest,
    dev::{DevGone, HEARTBEAT},
};

/// The events for one client.
pub(super) struct EventStream {
    pieces: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

/// The builds that a client knows.
type Known = BTreeMap<String, (Digest, Digest)>;

impl EventStream {
    /// Starts a task that produces the events; it ends after the stream.
    pub(super) fn start(
        mut catalogue: watch::Receiver<Arc<DevCatalogue>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        // A client that is not ready delays the next event, which then has the newest state.
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let current = Arc::clone(&catalogue.borrow_and_update());
            let mut known = known(&current);
            let mut piece = event("snapshot", &current.list());
            while sender.send(piece.into()).await.is_ok() {
                piece = match timeout(HEARTBEAT, catalogue.changed()).await {
                    Ok(Ok(())) => {
                        let current = Arc::clone(&catalogue.borrow_and_update());
                        changes(&mut known, &current)
                    }
                    // The server ends.
                    Ok(Err(_)) => return,
                    // A client that has gone is only noticed by writing to it.
                    Err(_) => ":\n\n".to_owned(),
                };
            }
        });
        Self { pieces, _place: place }
    }

    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.pieces.poll_recv(cx)
    }
}

fn known(catalogue: &DevCatalogue) -> Known {
    let about = catalogue.remotes.values().map(|offer| &offer.newest.about);
    about.map(|about| (about.name.clone(), about.identity())).collect()
}

/// Returns the events between what a client knows and now; a build that was replaced meanwhile has none.
fn changes(known: &mut Known, catalogue: &DevCatalogue) -> String {
    let now = self::known(catalogue);
    let mut text = String::new();
    for name in known.keys().filter(|name| !now.contains_key(*name)) {
        let reason = catalogue.gone.get(name).cloned().unwrap_or_default();
        text.push_str(&event("gone", &DevGone { name: name.clone(), reason }));
    }
    for (name, offer) in &catalogue.remotes {
        if known.get(name) != now.get(name) {
            text.push_str(&event("build", &offer.newest.about));
        }
    }
    *known = now;
    text
}

fn event(name: &str, data: &impl Serialize) -> String {
    // JSON without indentation has no line feeds.
    format!("event: {name}\ndata: {}\n\n", String::from_utf8_lossy(&json(data)))
}
