//! Actions of the user on a remote, from its slot, the inspector or a message.

use std::time::{Duration, Instant};

use egui::{TextEdit, Ui};
use negotiation::manifest::UpdatePolicy;
use plugin_api::{
    theme::{Button, caption, primary, secondary},
    tokens::Tokens,
};

use crate::{
    data::archive::ArchivedGeneration,
    failure::SharedFailure,
    federation::{Federation, ManagedRemote},
};

/// An action on one remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Replace it from disk and keep its state; the old generation keeps running until then.
    Reload,
    /// Start it again from disk, without state.
    Restart,
    /// Load it now, not when it is first shown.
    Load,
    /// Allow it to run.
    Enable,
    /// End it, and keep it from starting.
    Disable,
    /// Pin the generation before; the text is the reason.
    RollBack(String),
    /// Unpin it, so that updates resume.
    Unpin,
    /// Use the offered release; its library is fetched first.
    Update,
    /// Cancel its download.
    CancelFetch,
    /// Remove a remote that the user added.
    Remove,
    /// Change its policy for updates.
    SetPolicy(UpdatePolicy),
}

impl Action {
    /// Performs the action.
    ///
    /// # Errors
    /// Returns the federation's error; a decision that cannot be saved arrives as an event.
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
            Self::Update => federation.update(alias),
            Self::Remove => federation.remove(alias),
            Self::CancelFetch => federation.cancel_fetch(alias),
            Self::SetPolicy(policy) => {
                let policy = *policy;
                federation.change_subscription(alias, move |own| own.policy = Some(policy));
            }
            Self::Unpin => remote.into_iter().for_each(|remote| federation.inventory().unpin(remote)),
        }
        Ok(())
    }
}

/// The age below which earlier generations are looked for often: a new generation is archived a moment later.
const NEW: Duration = Duration::from_secs(4);

/// The controls to roll back: a button and, once pressed, a field for the reason.
#[derive(Default)]
pub(super) struct RollBack {
    note: Option<String>,
    /// The field has requested the keyboard.
    focused: bool,
    earlier: Option<ArchivedGeneration>,
    /// Time of the last look for earlier generations, the running generation, and the time since which it runs.
    looked: Option<(Instant, u64, Instant)>,
}

impl RollBack {
    /// Shows the button if there is an earlier generation; `of` is part of its accessible name.
    pub(super) fn button_ui(
        &mut self,
        ui: &mut Ui,
        federation: &Federation,
        alias: &str,
        of: &str,
        button: impl FnOnce(&'static str) -> Button,
    ) {
        let remote = federation.remotes().get(alias);
        let generation = remote.map_or(0, ManagedRemote::generation);
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
            "Return to {} ({}); updates stop until you resume them",
            earlier.version,
            earlier.digest.short()
        );
        let button = button("Roll back…").named(format!("Roll back{of}…"));
        if ui.add(button).on_hover_text(about).clicked() {
            self.note = if self.note.is_some() { None } else { Some(String::new()) };
            self.focused = false;
        }
    }

    /// Shows the field, once the button was pressed, and returns the action.
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
