//! The dashboard: four figures, a daily chart and a table of carriers over a range of days.
//!
//! Drawing reads a snapshot of the worker's state and never waits for the worker.
//! Nothing here requests repaints: a dashboard without input costs nothing.

use std::{path::PathBuf, sync::Arc};

use plugin_api::{
    egui::{self, Color32, ScrollArea, UiBuilder, Vec2},
    theme,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::{palette::Palette, table::Sort};
use crate::{
    report::{Measure, QuickRange, RangeReport},
    worker::{OnUpdate, Phase, QueryWorker, View, WorkerFailure},
};

mod cards;
mod chart;
mod format;
mod header;
mod palette;
mod states;
mod table;

/// Width from which the table is to the right of the chart, in points.
const SIDE_BY_SIDE: f32 = 1_080.0;
/// Largest width of the page, in points; longer lines are hard to follow.
const MAX_WIDTH: f32 = 1_640.0;

/// The reason why a saved state was not restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The state is not a JSON object.
    #[error("the saved state of the dashboard is not a JSON object ({0}); the default view is shown")]
    NotAnObject(#[from] serde_json::Error),
}

impl RestoreError {
    /// Returns a stable code for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject(_) => "state-not-an-object",
        }
    }
}

/// The user's choices; they survive a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Choice {
    range: QuickRange,
    measure: Measure,
    sort: Sort,
}

/// The dashboard of one surface, with the thread that reads its data. `[UI thread]`
pub struct Dashboard {
    choice: Choice,
    source: Source,
    /// `true` once the user has closed the notice about a damaged database.
    notice_closed: bool,
}

/// The source of the reports: a worker, or the failure to start it.
struct Source {
    folder: PathBuf,
    wake: OnUpdate,
    worker: Result<QueryWorker, WorkerFailure>,
}

impl Source {
    fn new(folder: PathBuf, wake: OnUpdate, range: QuickRange) -> Self {
        let worker = start(&folder, &wake, range);
        Self { folder, wake, worker }
    }

    fn request(&mut self, range: QuickRange) {
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

fn start(folder: &std::path::Path, wake: &OnUpdate, range: QuickRange) -> Result<QueryWorker, WorkerFailure> {
    QueryWorker::spawn(folder.to_owned(), range, Arc::clone(wake)).map_err(|error| WorkerFailure {
        code: "worker-not-started",
        message: format!(
            "cannot spawn the thread that reads the flights ({error}); close another program, then retry"
        ),
    })
}

impl Dashboard {
    /// Creates a dashboard, which opens or imports the data in `data_dir` on its own thread.
    ///
    /// Never fails: the dashboard shows a failure, with a button to retry.
    /// Its thread calls `wake` on every change of the picture.
    pub fn new(data_dir: PathBuf, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let choice = Choice::default();
        Self { source: Source::new(data_dir, wake, choice.range), choice, notice_closed: false }
    }

    /// Returns `true` until there are figures or a failure.
    pub fn is_loading(&self) -> bool {
        let view = self.source.view();
        view.report.is_none() && !matches!(view.phase, Phase::Failed(_))
    }

    /// Draws the dashboard into all of `ui`; `viewer` is the name of the signed-in user.
    pub fn ui(&mut self, ui: &mut egui::Ui, viewer: Option<&str>) {
        let view = self.source.view();
        let palette = Palette::of(ui);
        let slot = ui.max_rect();
        ui.painter().rect_filled(slot, 0.0, palette.background);
        let margin = match slot.width() {
            ..560.0 => palette.t.space[3],
            ..960.0 => palette.t.space[4],
            _ => palette.t.space[5],
        };
        ScrollArea::vertical().id_salt("dashboard").auto_shrink(false).show(ui, |ui| {
            let width = (ui.available_width() - 2.0 * margin).clamp(1.0, MAX_WIDTH);
            let side = (ui.available_width() - width) / 2.0;
            let min = ui.cursor().min + Vec2::new(side.max(0.0), margin);
            let page = egui::Rect::from_min_size(min, Vec2::new(width, slot.height()));
            ui.scope_builder(UiBuilder::new().max_rect(page), |ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(palette.t.space[3]);
                self.content_ui(ui, &palette, &view, viewer, slot.height());
            });
            ui.add_space(margin);
        });
    }

    fn content_ui(
        &mut self,
        ui: &mut egui::Ui,
        palette: &Palette,
        view: &View,
        viewer: Option<&str>,
        height: f32,
    ) {
        let report = view.report.as_deref();
        header::title_ui(ui, palette, report.map(RangeReport::as_of), viewer);
        let dates = match report {
            Some(report) if report.range == self.choice.range => {
                format::dates(report.current.first, report.current.days.len())
            }
            Some(_) if view.phase == Phase::Ready => "Updating…".to_owned(),
            _ => String::new(),
        };
        if let Some(range) = header::range_ui(ui, palette, self.choice.range, &dates) {
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
            (Some(report), _) => self.report_ui(ui, palette, report, height),
            (None, Phase::Failed(_)) => {}
            (None, phase) => states::loading_ui(ui, palette, phase),
        }
        states::source_ui(ui, palette);
    }

    fn report_ui(&mut self, ui: &mut egui::Ui, palette: &Palette, report: &RangeReport, height: f32) {
        if let Some(measure) = cards::cards_ui(ui, palette, report, self.choice.measure) {
            self.choice.measure = measure;
        }
        if report.current.totals.flights == 0 {
            theme::empty_ui(ui, "No flights in these days", "Choose a longer range above.");
            return;
        }
        let Choice { measure, sort, .. } = &mut self.choice;
        if ui.available_width() < SIDE_BY_SIDE {
            let chart = (height * 0.36).min(ui.available_width() * 0.55).clamp(200.0, 360.0);
            chart::chart_ui(ui, palette, report, *measure, chart);
            table::table_ui(ui, palette, &report.carriers, sort);
            return;
        }
        let gap = ui.spacing().item_spacing.x;
        let whole = ui.available_rect_before_wrap();
        let table_height = table::height(palette, report.carriers.len());
        // The chart is as high as the table, unless this would push its dates below the fold.
        let above = whole.top() - ui.min_rect().top();
        let fold = height - above - 2.0 * palette.t.space[5];
        let chart_height = table_height.min(fold.max(360.0));
        let left = (whole.width() - gap) * 0.57;
        let chart = egui::Rect::from_min_size(whole.min, Vec2::new(left, chart_height));
        let table = egui::Rect::from_min_max(
            egui::pos2(chart.right() + gap, whole.top()),
            egui::pos2(whole.right(), whole.top() + table_height),
        );
        ui.scope_builder(UiBuilder::new().max_rect(chart), |ui| {
            chart::chart_ui(ui, palette, report, *measure, chart_height - chart::FRAME_HEIGHT);
        });
        ui.scope_builder(UiBuilder::new().max_rect(table), |ui| {
            table::table_ui(ui, palette, &report.carriers, sort);
        });
    }

    fn choose_range(&mut self, range: QuickRange) {
        if range != self.choice.range {
            self.choice.range = range;
            self.source.request(range);
        }
    }

    /// Returns the user's choices as JSON.
    pub fn save(&self) -> Vec<u8> {
        // Cannot fail: JSON holds three plain enums.
        serde_json::to_vec(&self.choice).unwrap_or_default()
    }

    /// Restores the result of [`Self::save`], of this or of another version.
    ///
    /// The current choice stays for fields that are missing or not understood.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(saved)?;
        let mut range = self.choice.range;
        restore_field(fields.get("range"), &mut range);
        restore_field(fields.get("measure"), &mut self.choice.measure);
        restore_field(fields.get("sort"), &mut self.choice.sort);
        self.choose_range(range);
        Ok(())
    }
}

/// Overwrites `into` with `value`, if it is present and understood.
fn restore_field<T: for<'a> Deserialize<'a>>(value: Option<&serde_json::Value>, into: &mut T) {
    if let Some(known) = value.and_then(|value| T::deserialize(value).ok()) {
        *into = known;
    }
}

/// Returns `color` with `share` of its opacity.
fn faded(color: Color32, share: f32) -> Color32 {
    color.gamma_multiply(share)
}

#[cfg(test)]
mod tests;
