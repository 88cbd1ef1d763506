//! The day under the pointer: its points, its date and its values.

use std::sync::Arc;

use egui_plot::{PlotPoint, PlotTransform};
use jiff::civil::Date;
use plugin_api::{
    egui::{Align2, Galley, Pos2, Rect, Stroke, StrokeKind, Ui, Vec2, pos2, vec2},
    theme::{line, put},
};

use super::{
    super::{format, palette::Palette},
    smooth,
};
use crate::report::{Measure, RangeReport, Totals, day_after};

/// Marks `day`, an index into the report's days, and shows its values in a tooltip.
pub(super) fn day_ui(
    ui: &Ui,
    palette: &Palette,
    report: &RangeReport,
    measure: Measure,
    day: usize,
    transform: &PlotTransform,
) {
    let Some(totals) = report.current.days.get(day) else { return };
    let before = report.previous.as_ref().and_then(|period| Some((period, period.days.get(day)?)));
    let position = |value: f64| transform.position_from_point(&PlotPoint::new(day as f64, value));
    // With many days the dashed line is a mean, so the day itself is not on it.
    let ghost = before.filter(|_| !smooth(report)).and_then(|(_, totals)| totals.value(measure));
    for (value, color) in [(ghost, palette.ghost), (totals.value(measure), palette.accent)] {
        if let Some(value) = value {
            ui.painter().circle(position(value), 4.0, color, Stroke::new(1.5, palette.card));
        }
    }
    let anchor = position(totals.value(measure).unwrap_or(0.0));
    let now = tooltip_row(report.current.first, day, totals, measure);
    let rows = match before {
        Some((period, totals)) => vec![now, tooltip_row(period.first, day, totals, measure)],
        None => vec![now],
    };
    tooltip_ui(ui, palette, *transform.frame(), anchor, &rows);
}

fn tooltip_row(first: Date, day: usize, totals: &Totals, measure: Measure) -> [String; 2] {
    let date = day_after(first, day);
    [date.strftime("%a %-d %b %Y").to_string(), format::value(totals, measure)]
}

/// Draws a box next to `anchor` and inside `frame`: dates at the left, values at the right.
fn tooltip_ui(ui: &Ui, palette: &Palette, frame: Rect, anchor: Pos2, rows: &[[String; 2]]) {
    let padding = Vec2::new(palette.t.space[2], palette.t.space[1]);
    let gap = palette.t.space[3];
    let colors = [palette.accent, palette.ghost];
    let cells: Vec<_> = rows
        .iter()
        .map(|[date, value]| {
            let date = line(ui, &**date, palette.caption.clone(), palette.weak, f32::INFINITY);
            let value = line(ui, &**value, palette.strong(0), palette.text, f32::INFINITY);
            (date, value)
        })
        .collect();
    let dot = palette.t.space[2];
    let height = cells.iter().map(|(date, value)| date.size().y.max(value.size().y)).fold(0.0, f32::max) + 4.0;
    let widest =
        |pick: fn(&(_, _)) -> &Arc<Galley>| cells.iter().map(|cell| pick(cell).size().x).fold(0.0, f32::max);
    let width = dot + widest(|cell| &cell.0) + gap + widest(|cell| &cell.1);
    let size = vec2(width, height * rows.len() as f32) + 2.0 * padding;
    let right = anchor.x + gap + size.x <= frame.right();
    let left = if right { anchor.x + gap } else { (anchor.x - gap - size.x).max(frame.left()) };
    let top = (anchor.y - size.y / 2.0).clamp(frame.top(), (frame.bottom() - size.y).max(frame.top()));
    let rect = Rect::from_min_size(pos2(left, top), size);
    let radius = palette.control_radius();
    ui.painter().rect(rect, radius, palette.card, Stroke::new(1.0, palette.border_strong), StrokeKind::Inside);
    for (index, (date, value)) in cells.into_iter().enumerate() {
        let middle = rect.top() + padding.y + height * (index as f32 + 0.5);
        let left = rect.left() + padding.x;
        ui.painter().circle_filled(pos2(left + 3.0, middle), 3.0, colors[index.min(1)]);
        put(ui, date, Align2::LEFT_CENTER, pos2(left + dot, middle), palette.weak);
        put(ui, value, Align2::RIGHT_CENTER, pos2(rect.right() - padding.x, middle), palette.text);
    }
}
