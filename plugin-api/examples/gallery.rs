//! Shows every widget of the kit in each state; "Dark" at the top switches the palette.
//!
//! `cargo run -p plugin-api --features egui --example gallery`

use abi_stable::std_types::RSlice;
use egui::{
    Align, Frame, ScrollArea, Ui, Vec2,
    accesskit::{Role, SortDirection},
    vec2,
};
use plugin_api::{
    abi::{Font, families},
    theme::{self, ColumnHead, ErrorState, Tone},
    tokens::{DARK, LIGHT, Tokens},
};

fn main() -> eframe::Result {
    let mut gallery = Gallery::default();
    let window = egui::ViewportBuilder::default().with_inner_size(SIZE);
    let options = eframe::NativeOptions { viewport: window, ..eframe::NativeOptions::default() };
    eframe::run_ui_native("Gallery", options, move |ui, _| gallery.ui(ui))
}

/// Size at which everything is visible, in points.
pub const SIZE: Vec2 = vec2(960.0, 880.0);

/// The gallery, with the user's choices.
#[derive(Default)]
pub struct Gallery {
    dark: bool,
    /// Name of the control that was pressed last.
    pub pressed: String,
    chosen: usize,
    descending: bool,
    fonts: bool,
}

impl Gallery {
    /// Makes a gallery with the dark palette, or with the light one.
    pub fn new(dark: bool) -> Self {
        Self { dark, ..Self::default() }
    }

    /// Draws the gallery; the first pass only loads the fonts.
    pub fn ui(&mut self, ui: &mut Ui) {
        if !std::mem::replace(&mut self.fonts, true) {
            theme::set_fonts(ui.ctx(), &fonts());
            ui.ctx().request_repaint();
            return;
        }
        let t = if self.dark { DARK } else { LIGHT };
        theme::apply(ui.ctx(), &t);
        ui.reset_style();
        let page = Frame::new().fill(theme::color(t.background)).inner_margin(t.space[4]);
        page.show(ui, |ui| {
            ui.set_min_size(ui.available_size());
            ScrollArea::vertical().show(ui, |ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(t.space[3]);
                self.head_ui(ui, &t);
                ui.columns(2, |columns| {
                    self.buttons_ui(&mut columns[0], &t);
                    pills_ui(&mut columns[0], &t);
                    self.strips_ui(&mut columns[0], &t);
                    self.table_ui(&mut columns[0], &t);
                    self.choices_ui(&mut columns[1], &t);
                    self.states_ui(&mut columns[1], &t);
                });
            });
        });
    }

    fn head_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        ui.horizontal(|ui| {
            ui.label(theme::strong(t, "The kit", t.font_size[3]));
            ui.checkbox(&mut self.dark, "Dark");
            ui.label(theme::caption(t, &self.pressed));
        });
    }

    fn buttons_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        section(ui, t, "Buttons", |ui| {
            for (enabled, state) in [(true, ""), (false, ", disabled")] {
                ui.horizontal_wrapped(|ui| {
                    let caption = |text| theme::caption(t, text);
                    for (shape, button) in [
                        ("Primary", theme::primary("Primary")),
                        ("Secondary", theme::secondary("Secondary")),
                        ("Small", theme::small("Small")),
                        ("Quiet", theme::quiet(caption("Quiet"))),
                        ("Pill", theme::pill_button("Pill", Tone::Warning)),
                    ] {
                        let name = format!("{shape}{state}");
                        if ui.add_enabled(enabled, button.named(&*name)).clicked() {
                            self.pressed = name;
                        }
                    }
                });
            }
            ui.horizontal(|ui| {
                let copy = theme::small("Copy").named("Copy the line");
                if theme::copy_ui(ui, copy, || "copied".to_owned()).clicked() {
                    "A line".clone_into(&mut self.pressed);
                }
                theme::caption_ui(
                    ui,
                    "A line that is longer than the available width, so that its end is cut off",
                );
            });
        });
    }

    fn strips_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        let tone = Tone::Warning;
        let strip = |ui: &mut Ui| {
            ui.label(tone.caption(t, "The library was built for another version."));
            ui.label(tone.caption(t, "version-mismatch"));
        };
        let pressed = theme::strip_ui(ui, tone, strip, ["Update", "Later"].map(theme::secondary));
        let answered =
            theme::notice_ui(ui, Tone::Accent, "Version 1.1 is in the drop folder.", [theme::small("Use it")]);
        if pressed.or(answered).is_some() {
            "A strip".clone_into(&mut self.pressed);
        }
    }

    fn table_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        section(ui, t, "Table", |ui| {
            let width = ui.available_width() / 3.0;
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                let order = if self.descending { SortDirection::Descending } else { SortDirection::Ascending };
                for (name, text, align, sorted) in [
                    ("Carrier", "Carrier", Align::Min, Some(order)),
                    ("Average delay", "Delay", Align::Max, Some(order)),
                    ("Cancelled", "Cancelled", Align::Max, None),
                ] {
                    let (_, rect) = ui.allocate_space(vec2(width, 32.0));
                    let id = ui.make_persistent_id(name);
                    if theme::head_ui(ui, rect, id, ColumnHead { name, text, align, sorted }).clicked() {
                        self.descending = !self.descending;
                        name.clone_into(&mut self.pressed);
                    }
                }
            });
        });
    }

    fn choices_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        let size = vec2(ui.available_width(), 96.0);
        let (_, rect) = ui.allocate_space(size);
        let gap = t.space[3];
        for (at, name) in ["Flights", "Delay", "Cancelled"].into_iter().enumerate() {
            let width = (size.x - 2.0 * gap) / 3.0;
            let left = rect.min + vec2((width + gap) * at as f32, 0.0);
            let place = egui::Rect::from_min_size(left, vec2(width, size.y));
            let id = ui.make_persistent_id(name);
            if theme::choice_card(ui, place, id, name, self.chosen == at).clicked() {
                self.chosen = at;
                name.clone_into(&mut self.pressed);
            }
            let ink = theme::color(if self.chosen == at { t.accent } else { t.text_weak });
            let font = egui::FontId::proportional(t.font_size[1]);
            let text = theme::line(ui, name, font, ink, width);
            theme::put(ui, text, egui::Align2::LEFT_TOP, place.shrink(t.space[3]).min, ink);
        }
    }

    fn states_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        section(ui, t, "Loading", |ui| {
            for fraction in [0.0, 0.4, 1.0] {
                theme::progress_ui(ui, "Import progress", fraction);
            }
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 40.0));
            theme::placeholder(ui, rect);
        });
        theme::empty_ui(ui, "No flights in these days", "Choose a longer range above.");
        let error = ErrorState {
            title: "The flights could not be loaded",
            message: "the file is not a database; remove it, then retry",
            code: "database-damaged",
        };
        let retry = theme::error_ui(ui, error, |ui| {
            let retry = ui.add(theme::primary("Retry")).clicked();
            theme::copy_ui(ui, theme::secondary("Copy details"), || error.message.to_owned());
            retry
        });
        let (_, area) = ui.allocate_space(vec2(ui.available_width(), 220.0));
        let place = theme::middle(area, 320.0);
        let text = |ui: &mut Ui| {
            ui.label(theme::strong(t, "Not responding for 4 s", t.font_size[2]));
            ui.label("It is still busy. Restart starts a fresh copy; unsaved state is lost.");
        };
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(area));
        let restart = theme::middle_card_ui(&mut child, Tone::Warning, place, text, |ui| {
            ui.horizontal(|ui| {
                let restart = ui.add(theme::primary("Restart")).clicked();
                restart | ui.add(theme::secondary("Wait")).clicked()
            })
            .inner
        });
        if retry || restart {
            "A state".clone_into(&mut self.pressed);
        }
    }
}

fn pills_ui(ui: &mut Ui, t: &Tokens) {
    section(ui, t, "Pills", |ui| {
        ui.horizontal_wrapped(|ui| {
            for tone in Tone::ALL {
                theme::pill_ui(ui, &format!("{tone:?}"), tone);
            }
        });
        let long = "Viewing as: Rear Admiral Grace Brewster Murray Hopper, United States Navy, retired";
        theme::pill_ui(ui, long, Tone::Success);
    });
}

/// Shows a card with a heading, which has the role `Heading`.
fn section(ui: &mut Ui, t: &Tokens, title: &str, content: impl FnOnce(&mut Ui)) {
    theme::card_ui(ui, |ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(t.space[1]);
        let heading = ui.label(theme::strong(t, title, t.font_size[2]));
        theme::describe(&heading, Role::Heading, title, None);
        content(ui);
    });
}

/// Returns the fonts that the shell passes to its remotes.
fn fonts() -> [Font; 2] {
    const REGULAR: &[u8] = include_bytes!("../../shell/assets/fonts/Inter-Regular.ttf");
    const SEMI_BOLD: &[u8] = include_bytes!("../../shell/assets/fonts/Inter-SemiBold.ttf");
    let font = |name: &str, data, families| Font {
        name: name.into(),
        data: RSlice::from_slice(data),
        index: 0,
        families,
        scale: 1.0,
    };
    [
        font("Inter", REGULAR, families::PROPORTIONAL | families::MONOSPACE),
        font("Inter SemiBold", SEMI_BOLD, families::STRONG),
    ]
}
