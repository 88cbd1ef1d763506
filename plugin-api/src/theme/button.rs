//! Buttons.

use egui::{CornerRadius, Response, RichText, Stroke, StrokeKind, TextStyle, Ui, Widget};

use super::{Tone, color, focus_ring, line, node::rename, tokens};

/// A button of the kit, to be shown with [`Ui::add`] or [`Ui::add_enabled`].
///
/// Role `Button`, named by its text; Space and Enter press it, and it shows the keyboard focus.
#[must_use = "a button is shown by `ui.add`"]
pub struct Button {
    text: RichText,
    shape: Shape,
    name: Option<String>,
}

#[derive(Clone, Copy)]
enum Shape {
    Primary,
    Secondary,
    Small,
    Quiet,
    Pill(Tone),
}

/// Returns the main button of a card, filled with the accent; a card has at most one.
pub fn primary(text: impl Into<RichText>) -> Button {
    Button { text: text.into(), shape: Shape::Primary, name: None }
}

/// Returns a button for an action that is less frequent than the [`primary`] one.
pub fn secondary(text: impl Into<RichText>) -> Button {
    Button { text: text.into(), shape: Shape::Secondary, name: None }
}

/// Returns a button in caption size, for rows of them.
pub fn small(text: impl Into<RichText>) -> Button {
    Button { text: text.into(), shape: Shape::Small, name: None }
}

/// Returns a button that looks like plain text until the pointer or the keyboard focus is on it.
pub fn quiet(text: impl Into<RichText>) -> Button {
    Button { text: text.into(), shape: Shape::Quiet, name: None }
}

/// Returns a [pill](super::pill_ui) that can be pressed.
pub fn pill_button(text: impl Into<RichText>, tone: Tone) -> Button {
    Button { text: text.into(), shape: Shape::Pill(tone), name: None }
}

impl Button {
    /// Sets an accessible name that distinguishes the button from others with the same text: "Enable Analytics".
    ///
    /// It should begin with the visible text, which a user of speech input speaks.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Returns the button's width, in points.
    pub(super) fn width(&self, ui: &Ui) -> f32 {
        let mut font = TextStyle::Button.resolve(ui.style());
        if matches!(self.shape, Shape::Small | Shape::Pill(_)) {
            font.size = tokens(ui.ctx()).font_size[0];
        }
        let text = line(ui, self.text.text(), font, ui.visuals().text_color(), f32::INFINITY);
        text.size().x + 2.0 * ui.spacing().button_padding.x
    }
}

impl Widget for Button {
    fn ui(self, ui: &mut Ui) -> Response {
        let t = tokens(ui.ctx());
        let caption = t.font_size[0];
        let of = egui::Button::new;
        let button = match self.shape {
            Shape::Primary => {
                // The width of egui's edge in this state; with another one the button would change its size.
                let known = ui.ctx().read_response(ui.next_auto_id());
                let state = known.map_or(ui.visuals().widgets.inactive, |known| *ui.style().interact(&known));
                let edge = Stroke::new(state.bg_stroke.width, color(t.accent));
                of(self.text.color(color(t.on_accent))).fill(color(t.accent)).stroke(edge)
            }
            Shape::Secondary => of(self.text),
            Shape::Small => of(self.text.size(caption)),
            Shape::Quiet => of(self.text).frame_when_inactive(false),
            Shape::Pill(tone) => of(self.text.size(caption).color(tone.ink(&t)))
                .fill(tone.ground(&t))
                .corner_radius(CornerRadius::same(u8::MAX)),
        };
        let response = ui.add(button);
        if let Some(name) = &self.name {
            rename(&response, name);
        }
        if matches!(self.shape, Shape::Primary) {
            // egui marks the focus by an edge in the accent, which is invisible around the accent.
            focus_ring(ui, &response, t.radius[0], StrokeKind::Outside);
        }
        response
    }
}

/// Shows a button that copies the result of `text`, and reads "Copied" for the next two seconds.
pub fn copy_ui(ui: &mut Ui, button: Button, text: impl FnOnce() -> String) -> Response {
    const CONFIRMED: f64 = 2.0;
    let name = button.name.as_deref().unwrap_or_else(|| button.text.text());
    let id = ui.make_persistent_id(("copied", name));
    let now = ui.input(|input| input.time);
    let copied: Option<f64> = ui.data(|data| data.get_temp(id));
    let left = copied.map(|at| CONFIRMED - (now - at)).filter(|left| *left > 0.0);
    let button = match left {
        Some(left) => {
            ui.ctx().request_repaint_after_secs(left as f32);
            Button { text: "Copied".into(), name: None, ..button }
        }
        None => button,
    };
    let response = ui.add(button);
    if response.clicked() {
        ui.ctx().copy_text(text());
        ui.data_mut(|data| data.insert_temp(id, now));
        ui.ctx().request_repaint();
    }
    response
}
