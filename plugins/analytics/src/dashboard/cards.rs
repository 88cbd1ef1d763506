//! The four figures; each is a button that puts its measure on the chart.

use plugin_api::{
    egui::{self, Align2, Rect, Sense, Shape, Stroke, Ui, Vec2, pos2, remap, vec2},
    theme::{choice_card, line, put, triangle},
};

use super::{
    faded, format,
    palette::{Palette, baseline},
};
use crate::report::{Measure, Period, RangeReport};

/// Width inside a card from which a sparkline fits next to every figure, in points.
const SPARKLINE_FROM: f32 = 225.0;

/// Returns the number of columns for a width: one, two or four.
fn columns(width: f32) -> usize {
    match width {
        ..400.0 => 1,
        ..820.0 => 2,
        _ => 4,
    }
}

/// Returns the height of a card with the fonts of `palette`.
pub(super) fn height(palette: &Palette) -> f32 {
    let [caption, body, _, _, figure] = palette.t.font_size;
    let [tight, gap, ..] = palette.t.space;
    2.0 * palette.t.space[3] + 1.3 * (caption + body + figure) + tight + gap
}

/// Allocates the rectangles of the cards in the width of `ui`.
pub(super) fn grid(ui: &mut Ui, palette: &Palette) -> [Rect; 4] {
    let gap = ui.spacing().item_spacing;
    let columns = columns(ui.available_width());
    let rows = 4 / columns;
    let cell = height(palette);
    let whole = vec2(ui.available_width(), rows as f32 * (cell + gap.y) - gap.y);
    let (rect, _) = ui.allocate_exact_size(whole, Sense::hover());
    let width = (rect.width() - gap.x * (columns - 1) as f32) / columns as f32;
    std::array::from_fn(|index| {
        let (row, column) = ((index / columns) as f32, (index % columns) as f32);
        let min = rect.min + vec2(column * (width + gap.x), row * (cell + gap.y));
        Rect::from_min_size(min, vec2(width, cell))
    })
}

/// Draws the cards, and returns the measure of a clicked card.
pub(super) fn cards_ui(
    ui: &mut Ui,
    palette: &Palette,
    report: &RangeReport,
    chosen: Measure,
) -> Option<Measure> {
    let mut clicked = None;
    for (rect, measure) in grid(ui, palette).into_iter().zip(Measure::ALL) {
        if card_ui(ui, palette, rect, report, measure, measure == chosen) {
            clicked = Some(measure);
        }
    }
    clicked
}

fn card_ui(
    ui: &mut Ui,
    palette: &Palette,
    rect: Rect,
    report: &RangeReport,
    measure: Measure,
    selected: bool,
) -> bool {
    let totals = &report.current.totals;
    let change = report.previous.as_ref().and_then(|before| format::change(totals, &before.totals, measure));
    // Scripts find a card by this name, which keeps a space before the per cent sign.
    let name = format!("{} {}", format::title(measure), format::value(totals, measure)).replace('%', " %");
    let response = choice_card(ui, rect, palette.id(("card", format::title(measure))), &name, selected);
    let versus = format::previous(report.range);
    let spoken = match &change {
        Some(format::Delta { up: Some(true), text, .. }) => format!("▲ {text} vs {versus}"),
        Some(format::Delta { up: Some(false), text, .. }) => format!("▼ {text} vs {versus}"),
        Some(_) => format!("no change vs {versus}"),
        None => "no earlier period to compare with".to_owned(),
    };
    ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(spoken));

    let inner = rect.shrink(palette.t.space[3]);
    let title_color = if selected { palette.accent } else { palette.weak };
    let title = line(ui, format::title(measure), palette.body.clone(), title_color, inner.width());
    let title = put(ui, title, Align2::LEFT_TOP, inner.min, title_color);

    let (figure, unit) = format::figure(totals, measure);
    let top = title.bottom() + palette.t.space[0];
    let value = line(ui, figure, palette.strong(4), palette.text, inner.width());
    let unit = line(ui, unit, palette.body.clone(), palette.weak, inner.width() - value.size().x);
    let unit_top = top + baseline(&value) - baseline(&unit);
    let value = put(ui, value, Align2::LEFT_TOP, pos2(inner.left(), top), palette.text);
    let unit = put(ui, unit, Align2::LEFT_TOP, pos2(value.right(), unit_top), palette.weak);

    // Depends on the width of the card, not on its text: either all four cards have a sparkline or none.
    if inner.width() >= SPARKLINE_FROM {
        let left = (unit.right() + palette.t.space[2]).max(inner.right() - 110.0);
        let y = value.shrink2(vec2(0.0, palette.t.space[0])).y_range();
        let spark = Rect::from_x_y_ranges(left..=inner.right(), y);
        let color = if selected { palette.accent } else { palette.ghost };
        ui.painter().extend(sparkline(&report.current, measure, spark, color));
    }
    change_ui(ui, palette, inner, change.as_ref(), &versus);
    response.clicked()
}

/// Draws the line at the bottom: the direction and size of the change, and the base of the comparison.
fn change_ui(ui: &Ui, palette: &Palette, inner: Rect, change: Option<&format::Delta>, versus: &str) {
    let base = inner.left_bottom();
    let Some(change) = change else {
        let text =
            line(ui, "No earlier period to compare", palette.caption.clone(), palette.weak, inner.width());
        put(ui, text, Align2::LEFT_BOTTOM, base, palette.weak);
        return;
    };
    let color = match change.good {
        Some(true) => palette.success,
        Some(false) => palette.danger,
        None => palette.weak,
    };
    let size = palette.t.font_size[0] * 0.75;
    let indent = if change.up.is_some() { size + palette.t.space[0] } else { 0.0 };
    let figure = if change.up.is_some() { &*change.text } else { "No change" };
    let figure = line(ui, figure, palette.strong(0), color, inner.width() - indent);
    let room = inner.width() - indent - figure.size().x;
    let fitting = [format!(" vs {versus}"), format!(" vs {}", versus.replace("previous", "prev."))]
        .map(|text| line(ui, text, palette.caption.clone(), palette.weak, f32::INFINITY))
        .into_iter()
        .find(|text| text.size().x <= room);
    let painted = put(ui, figure, Align2::LEFT_BOTTOM, base + vec2(indent, 0.0), color);
    if let Some(text) = fitting {
        put(ui, text, Align2::LEFT_BOTTOM, painted.right_bottom(), palette.weak);
    }
    if let Some(up) = change.up {
        let center = pos2(base.x + size / 2.0, painted.center().y);
        ui.painter().add(triangle(center, size, up, color));
    }
}

/// Returns the course of a measure as a short line: means over equal runs of days.
fn sparkline(period: &Period, measure: Measure, rect: Rect, color: egui::Color32) -> Vec<Shape> {
    let points = period.days.len().min(30);
    if points < 2 {
        return Vec::new();
    }
    let run = period.days.len() as f32 / points as f32;
    let values: Vec<f64> = (0..points)
        .map(|index| {
            let days = (index as f32 * run) as usize..((index + 1) as f32 * run).ceil() as usize;
            let days = period.days.get(days).unwrap_or_default();
            let values = days.iter().filter_map(|day| day.value(measure));
            values.sum::<f64>() / days.len().max(1) as f64
        })
        .collect();
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    // A small change must not fill the whole height.
    let middle = f64::midpoint(low, high);
    let half = ((high - low) / 2.0).max(middle.abs() * 0.1).max(f64::EPSILON);
    let point = |(index, value): (usize, &f64)| {
        let x = remap(index as f32, 0.0..=(points - 1) as f32, rect.x_range());
        let y = remap((value - middle) as f32, -half as f32..=half as f32, rect.bottom()..=rect.top());
        pos2(x, y)
    };
    let line: Vec<_> = values.iter().enumerate().map(point).collect();
    let end = line.last().copied().unwrap_or(rect.center());
    vec![Shape::line(line, Stroke::new(1.5, faded(color, 0.9))), Shape::circle_filled(end, 2.5, color)]
}

/// Returns the places of a card's text, for the loading state.
pub(super) fn placeholders(palette: &Palette, card: Rect) -> [Rect; 3] {
    let inner = card.shrink(palette.t.space[3]);
    let [caption, body, _, _, figure] = palette.t.font_size;
    let bar = |top: f32, height: f32, share: f32| {
        Rect::from_min_size(pos2(inner.left(), top), Vec2::new(inner.width() * share, height))
    };
    [
        bar(inner.top() + 2.0, body - 2.0, 0.45),
        bar(inner.top() + 1.3 * body + palette.t.space[1], figure - 4.0, 0.6),
        bar(inner.bottom() - caption, caption - 2.0, 0.8),
    ]
}
