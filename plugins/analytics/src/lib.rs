//! The analytics remote: a dashboard of every flight that left New York City in 2013.
//!
//! [`Dashboard`] is plain egui; this file makes it an expose of a remote.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may fail where the shell may not"))]

pub mod dashboard;
pub mod database;
pub mod dataset;
pub mod report;
pub mod worker;

use std::sync::Arc;

use plugin_api::{Cx, Expose, PluginError, egui, export};
use shared_store::AUTH;

pub use dashboard::Dashboard;

/// The expose `./analytics-dashboard`.
pub struct Panel(Dashboard);

impl Expose for Panel {
    fn new(cx: &Cx) -> Result<Self, PluginError> {
        let waker = cx.waker();
        Ok(Self(Dashboard::new(cx.data_dir().to_owned(), Arc::new(move || waker.wake()))))
    }

    fn ui(&mut self, ui: &mut egui::Ui, cx: &Cx) {
        let auth = cx.read(&AUTH);
        if self.0.is_loading() {
            cx.loading();
        }
        let viewer = auth.user.as_ref().filter(|_| auth.is_authenticated);
        self.0.ui(ui, viewer.map(|user| user.name.as_str()));
    }

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
        Ok(self.0.restore(state)?)
    }
}

export! {
    manifest: "../../../manifests/analytics.json",
    shared: [shared_store, telemetry],
    exposes: { "./analytics-dashboard" => Panel },
}
