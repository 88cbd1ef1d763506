//! Greets the user.

use plugin_api::{Cx, Expose, PluginError, egui, export};
use shared_store::AUTH;

struct Hello;

impl Expose for Hello {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn ui(&mut self, ui: &mut egui::Ui, cx: &Cx) {
        let auth = cx.read(&AUTH);
        ui.label(auth.user.as_ref().map_or("Not signed in", |user| user.name.as_str()));
    }
}

export! { manifest: "../hello.json", shared: [shared_store], exposes: { "./hello" => Hello } }
