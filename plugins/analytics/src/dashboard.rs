//! The dashboard: four figures, a daily chart and a table of carriers over a range of days.
//!
//! Drawing reads a snapshot of what the worker has and never waits for it.
//! Nothing here asks for repaints: a dashboard that nobody touches costs nothing.

use std::{path::PathBuf, sync::Arc};

use plugin_api::{
    egui::{self, Color32, ScrollArea, UiBuilder, Vec2},
    theme,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{look::Look, table::Sort};
use crate::{
    report::{Measure, Range, Report},
    worker::{Failure, Phase, View, Wake, Worker},
};

mod cards;
mod chart;
mod format;
mod header;
mod look;
mod states;
mod table;

/// From this width on the table stands beside the chart.
const SIDE_BY_SIDE: f32 = 1_080.0;
/// Wider than this, lines are too long to follow.
const MAX_WIDTH: f32 = 1_640.0;

/// Why a saved state was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It is not a JSON object.
    #[error("the saved state of the dashboard is not a JSON object ({0}); the default view is shown")]
    NotAnObject(#[from] serde_json::Error),
}

impl RestoreError {
    /// A stable code for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject(_) => "state-not-an-object",
        }
    }
}

/// What a person has chosen; survives a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Choice {
    range: Range,
    measure: Measure,
    sort: Sort,
}

/// The dashboard of one surface, with the thread that reads its data. `[UI thread]`
pub struct Dashboard {
    choice: Choice,
    source: Source,
    /// The notice about a damaged database was read and closed.
    notice_closed: bool,
}

/// Where the reports come from.
struct Source {
    folder: PathBuf,
    wake: Wake,
    worker: Result<Worker, Failure>,
}

impl Source {
    fn new(folder: PathBuf, wake: Wake, range: Range) -> Self {
        let worker = start(&folder, &wake, range);
        Self { folder, wake, worker }
    }

    fn request(&mut self, range: Range) {
        match &self.worker {
            Ok(worker) => worker.request(range),
            Err(_) => self.worker = start(&self.folder, &self.wake, range),
        }
    }

    fn view(&self) -> View {
        match &self.worker {
            Ok(worker) => worker.view(),
            Err(failure) => View { phase: Phase::Failed(failure.clone()), report: None, set_aside: None },
        }
    }
}

fn start(folder: &std::path::Path, wake: &Wake, range: Range) -> Result<Worker, Failure> {
    Worker::spawn(folder.to_owned(), range, Arc::clone(wake)).map_err(|error| Failure {
        code: "worker-not-started",
        message: format!(
            "the system gave no thread to read the flights with ({error}); close something, then retry"
        ),
    })
}

impl Dashboard {
    /// Starts to open, or to import, the data in `data_dir` on a thread of its own.
    ///
    /// Never fails: what goes wrong is shown with a button to retry.
    /// `wake` is called on that thread whenever there is something new to paint.
    pub fn new(data_dir: PathBuf, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let choice = Choice::default();
        Self { source: Source::new(data_dir, wake, choice.range), choice, notice_closed: false }
    }

    /// Whether there are no figures yet, and none are known to be out of reach.
    pub fn is_loading(&self) -> bool {
        let view = self.source.view();
        view.report.is_none() && !matches!(view.phase, Phase::Failed(_))
    }

    /// Draws the dashboard into the whole of `ui`; `viewer` is the name of who is signed in.
    pub fn ui(&mut self, ui: &mut egui::Ui, viewer: Option<&str>) {
        let view = self.source.view();
        let look = Look::of(ui);
        let slot = ui.max_rect();
        ui.painter().rect_filled(slot, 0.0, look.background);
        let margin = match slot.width() {
            ..560.0 => look.t.space[3],
            ..960.0 => look.t.space[4],
            _ => look.t.space[5],
        };
        ScrollArea::vertical().id_salt("dashboard").auto_shrink(false).show(ui, |ui| {
            let width = (ui.available_width() - 2.0 * margin).clamp(1.0, MAX_WIDTH);
            let side = (ui.available_width() - width) / 2.0;
            let min = ui.cursor().min + Vec2::new(side.max(0.0), margin);
            let page = egui::Rect::from_min_size(min, Vec2::new(width, slot.height()));
            ui.scope_builder(UiBuilder::new().max_rect(page), |ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(look.t.space[3]);
                self.content_ui(ui, &look, &view, viewer, slot.height());
            });
            ui.add_space(margin);
        });
    }

    fn content_ui(&mut self, ui: &mut egui::Ui, look: &Look, view: &View, viewer: Option<&str>, height: f32) {
        let report = view.report.as_deref();
        header::title_ui(ui, look, report.map(Report::as_of), viewer);
        let dates = match report {
            Some(report) if report.range == self.choice.range => {
                format::dates(report.current.first, report.current.days.len())
            }
            Some(_) if view.phase == Phase::Ready => "Updating…".to_owned(),
            _ => String::new(),
        };
        if let Some(range) = header::range_ui(ui, look, self.choice.range, &dates) {
            self.choose_range(range);
        }
        if let Some(path) = view.set_aside.as_deref().filter(|_| !self.notice_closed) {
            self.notice_closed = states::notice_ui(ui, path);
        }
        if let Phase::Failed(failure) = &view.phase
            && states::failure_ui(ui, failure)
        {
            self.source.request(self.choice.range);
        }
        match (report, &view.phase) {
            (Some(report), _) => self.report_ui(ui, look, report, height),
            (None, Phase::Failed(_)) => {}
            (None, phase) => states::loading_ui(ui, look, phase),
        }
        states::source_ui(ui, look);
    }

    fn report_ui(&mut self, ui: &mut egui::Ui, look: &Look, report: &Report, height: f32) {
        if let Some(measure) = cards::cards_ui(ui, look, report, self.choice.measure) {
            self.choice.measure = measure;
        }
        if report.current.totals.flights == 0 {
            theme::empty_ui(ui, "No flights in these days", "Choose a longer range above.");
            return;
        }
        let Choice { measure, sort, .. } = &mut self.choice;
        if ui.available_width() < SIDE_BY_SIDE {
            let chart = (height * 0.36).min(ui.available_width() * 0.55).clamp(200.0, 360.0);
            chart::chart_ui(ui, look, report, *measure, chart);
            table::table_ui(ui, look, &report.carriers, sort);
            return;
        }
        let gap = ui.spacing().item_spacing.x;
        let whole = ui.available_rect_before_wrap();
        let table_height = table::height(look, report.carriers.len());
        // As high as the table, unless its dates would then be below the fold.
        let above = whole.top() - ui.min_rect().top();
        let fold = height - above - 2.0 * look.t.space[5];
        let chart_height = table_height.min(fold.max(360.0));
        let left = (whole.width() - gap) * 0.57;
        let chart = egui::Rect::from_min_size(whole.min, Vec2::new(left, chart_height));
        let table = egui::Rect::from_min_max(
            egui::pos2(chart.right() + gap, whole.top()),
            egui::pos2(whole.right(), whole.top() + table_height),
        );
        ui.scope_builder(UiBuilder::new().max_rect(chart), |ui| {
            chart::chart_ui(ui, look, report, *measure, chart_height - chart::FRAME_HEIGHT);
        });
        ui.scope_builder(UiBuilder::new().max_rect(table), |ui| {
            table::table_ui(ui, look, &report.carriers, sort);
        });
    }

    fn choose_range(&mut self, range: Range) {
        if range != self.choice.range {
            self.choice.range = range;
            self.source.request(range);
        }
    }

    /// What a person has chosen, as JSON.
    pub fn save(&self) -> Vec<u8> {
        // Three plain enums: there is nothing in them that JSON cannot hold.
        serde_json::to_vec(&self.choice).unwrap_or_default()
    }

    /// Takes what [`Self::save`] gave, of this or of another version.
    ///
    /// Fields that are missing or not understood keep what is chosen now.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(saved)?;
        let mut range = self.choice.range;
        take(fields.get("range"), &mut range);
        take(fields.get("measure"), &mut self.choice.measure);
        take(fields.get("sort"), &mut self.choice.sort);
        self.choose_range(range);
        Ok(())
    }
}

/// Overwrites `into` with `value`, if that is there and is understood.
fn take<T: for<'a> Deserialize<'a>>(value: Option<&serde_json::Value>, into: &mut T) {
    if let Some(known) = value.and_then(|value| T::deserialize(value).ok()) {
        *into = known;
    }
}

/// `color` with `share` of its opacity.
fn faded(color: Color32, share: f32) -> Color32 {
    color.gamma_multiply(share)
}

#[cfg(test)]
mod tests;
