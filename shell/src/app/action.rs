//! What people do with a remote, from its slot, the inspector or a message.

use std::time::{Duration, Instant};

use egui::{TextEdit, Ui};
use plugin_api::{
    theme::{Button, caption, primary, secondary},
    tokens::Tokens,
};

use crate::{
    data::archive::Kept,
    failure::SharedFailure,
    federation::{Federation, Remote},
};

/// Something to be done with one remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Let what is on the disk now take over; the old generation keeps running until then.
    Reload,
    /// Start anew from what is on the disk, without what the old generation knew.
    Restart,
    /// Load it, which otherwise happens when it is first shown.
    Load,
    /// Let it run.
    Enable,
    /// End it, and do not start it again.
    Disable,
    /// Go back to the generation before, with a note of why.
    RollBack(String),
    /// Take newer generations again.
    Unpin,
}

impl Action {
    /// Does it.
    ///
    /// # Errors
    /// Returns the federation's error; a decision that cannot be saved comes as an event.
    pub(crate) fn run(&self, federation: &mut Federation, alias: &str) -> Result<(), SharedFailure> {
        let remote = federation.remotes().get(alias);
        match self {
            Self::Load => federation.want(alias),
            Self::Reload => federation.reload(alias),
            Self::Restart => federation.restart(alias),
            Self::Enable => federation.enable(alias),
            Self::Disable => federation.disable(alias),
            Self::RollBack(note) => {
                return remote.map_or(Ok(()), |remote| federation.inventory().roll_back(remote, note));
            }
            Self::Unpin => remote.into_iter().for_each(|remote| federation.inventory().unpin(remote)),
        }
        Ok(())
    }
}

/// How long it is looked often for earlier generations: one that has just begun is stored a moment later.
const NEW: Duration = Duration::from_secs(4);

/// The way back to an earlier generation: a button and, once that was pressed, a field for why.
#[derive(Default)]
pub(super) struct RollBack {
    note: Option<String>,
    /// The field has been given the keyboard.
    focused: bool,
    earlier: Option<Kept>,
    /// When it was looked for earlier ones, for which generation, and since when that runs.
    looked: Option<(Instant, u64, Instant)>,
}

impl RollBack {
    /// The button, where there is an earlier generation. `of` tells it from the same button of others.
    pub(super) fn button_ui(
        &mut self,
        ui: &mut Ui,
        federation: &Federation,
        alias: &str,
        of: &str,
        button: impl FnOnce(&'static str) -> Button,
    ) {
        let remote = federation.remotes().get(alias);
        let generation = remote.map_or(0, Remote::generation);
        let now = Instant::now();
        let since = self.looked.filter(|(_, of, _)| *of == generation).map_or(now, |(.., since)| since);
        let is_new = now - since < NEW;
        let pause = if is_new { NEW / 8 } else { NEW };
        if is_new {
            ui.ctx().request_repaint_after(pause);
        }
        if self.looked.is_none_or(|(at, of, _)| of != generation || now - at >= pause) {
            self.earlier = remote.and_then(|remote| federation.inventory().earlier(remote));
            self.looked = Some((now, generation, since));
        }
        let Some(earlier) = &self.earlier else {
            self.note = None;
            return;
        };
        let about = format!(
            "Back to {} ({}), and stay there until updates are resumed",
            earlier.version,
            earlier.digest.short()
        );
        let button = button("Roll back…").named(format!("Roll back{of}…"));
        if ui.add(button).on_hover_text(about).clicked() {
            self.note = if self.note.is_some() { None } else { Some(String::new()) };
            self.focused = false;
        }
    }

    /// The field, once the button was pressed.
    pub(super) fn field_ui(&mut self, ui: &mut Ui, t: &Tokens) -> Option<Action> {
        let (Some(note), Some(earlier)) = (&mut self.note, &self.earlier) else { return None };
        let label = ui.label(caption(t, "Reason (optional)"));
        let field = TextEdit::singleline(note)
            .hint_text("Figures have been wrong since 1.0.1")
            .desired_width(f32::INFINITY);
        let field = ui.add(field).labelled_by(label.id);
        if !std::mem::replace(&mut self.focused, true) {
            field.request_focus();
        }
        let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let (mut go, mut close) = (entered, false);
        ui.horizontal(|ui| {
            let text = format!("Roll back to {} ({})", earlier.version, earlier.digest.short());
            go |= ui.add(primary(text)).clicked();
            close = ui.add(secondary("Cancel")).clicked();
        });
        if go || close {
            let note = self.note.take().unwrap_or_default();
            self.looked = None;
            return go.then_some(Action::RollBack(note));
        }
        None
    }
}
