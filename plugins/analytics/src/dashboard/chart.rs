//! The chart of the chosen measure, day by day, over a ghost of the period before.

use egui_plot::{FilledArea, Line, LineStyle, PlotPoints, PlotUi, Points, VLine};
use plugin_api::{
    egui::{self, Align2, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, pos2, vec2},
    theme::{describe, line, paint_card, put},
};

use self::axis::{Scale, date_marks};
use super::{faded, format, palette::Palette};
use crate::report::{Measure, Period, RangeReport, Totals};

mod axis;
mod hover;

/// Height of the card without the plot, if the legend does not wrap, in points.
pub(super) const FRAME_HEIGHT: f32 = 32.0 + TITLE_HEIGHT + 16.0;

const TITLE_HEIGHT: f32 = 44.0;
const LEGEND_HEIGHT: f32 = 24.0;
/// Length of a line in the legend.
const SWATCH: f32 = 18.0;
/// Largest number of days with a dot for each. With more days the weekly pattern would hide the course, so a mean
/// over seven days is drawn over the daily line.
const DOTS: usize = 31;
/// Opacity of the daily line below the mean.
const DAILY: f32 = 0.4;
/// Smallest width of a day, in points, at which a daily line is readable; below it, the range of a week is filled.
const PER_DAY: f32 = 2.0;
/// Opacity of that range, and its height in the legend in points.
const BAND: f32 = 0.25;
const SWATCH_BAND: f32 = 8.0;

fn smooth(report: &RangeReport) -> bool {
    report.current.days.len() > DOTS
}

/// Draws the card; its plot is `height` points high.
pub(super) fn chart_ui(ui: &mut Ui, palette: &Palette, report: &RangeReport, measure: Measure, height: f32) {
    let padding = palette.t.space[3];
    let inner_width = ui.available_width() - 2.0 * padding;
    let days = report.current.days.len().max(1) as f32;
    let dense = smooth(report) && inner_width / days < PER_DAY;
    let entries = legend(palette, report, dense);
    let legend_width = legend_width(ui, palette, &entries);
    // Uses the longest explanation, so that nothing moves when another measure is chosen.
    let explanation =
        |measure| line(ui, format::explanation(measure), palette.body.clone(), palette.weak, f32::INFINITY);
    let title_width = Measure::ALL.map(|measure| explanation(measure).size().x).into_iter().fold(0.0, f32::max);
    // The legend moves below the title if both do not fit in a row.
    let fits_in_row = title_width + padding + legend_width <= inner_width;
    let head = if fits_in_row { TITLE_HEIGHT } else { TITLE_HEIGHT + LEGEND_HEIGHT };
    let size = vec2(ui.available_width(), 2.0 * padding + head + padding + height);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    paint_card(ui, rect);

    let inner = rect.shrink(padding);
    let title = format::per_day(measure);
    let heading = line(ui, &*title, palette.strong(2), palette.text, inner.width());
    let heading = put(ui, heading, Align2::LEFT_TOP, inner.min, palette.text);
    palette.describe(ui, heading, "chart-title", Role::Heading, &title);
    let below = line(ui, format::explanation(measure), palette.body.clone(), palette.weak, inner.width());
    put(ui, below, Align2::LEFT_TOP, pos2(inner.left(), heading.bottom() + 2.0), palette.weak);
    let at = if fits_in_row {
        pos2(inner.right() - legend_width, heading.center().y)
    } else {
        pos2(inner.left(), inner.top() + head - palette.t.space[0])
    };
    legend_ui(ui, palette, &entries, at);

    let plot = Rect::from_min_max(pos2(inner.left(), inner.top() + head + padding), inner.max);
    let mut child = ui.new_child(egui::UiBuilder::new().max_rect(plot).id_salt("chart"));
    plot_ui(&mut child, palette, report, measure, dense);
}

/// An entry of the legend: a line of the chart and its name.
struct LegendEntry {
    name: String,
    stroke: Stroke,
    dashed: bool,
}

fn legend(palette: &Palette, report: &RangeReport, dense: bool) -> Vec<LegendEntry> {
    let entry = |name: &str, width, color| LegendEntry {
        name: name.to_owned(),
        stroke: Stroke::new(width, color),
        dashed: false,
    };
    let mut entries = if smooth(report) {
        let daily = if dense {
            entry("Daily range", SWATCH_BAND, faded(palette.accent, BAND))
        } else {
            entry("Daily", 1.0, faded(palette.accent, DAILY))
        };
        vec![daily, entry("7-day mean", 2.0, palette.accent)]
    } else {
        vec![entry("This period", 2.0, palette.accent)]
    };
    if report.previous.is_some() {
        let name = format!("Previous {} days", report.range.days());
        entries.push(LegendEntry { dashed: true, ..entry(&name, 1.5, palette.ghost) });
    }
    entries
}

fn legend_width(ui: &Ui, palette: &Palette, entries: &[LegendEntry]) -> f32 {
    let text = |entry: &LegendEntry| {
        line(ui, &*entry.name, palette.caption.clone(), palette.weak, f32::INFINITY).size().x
    };
    let widths: f32 = entries.iter().map(|entry| text(entry) + SWATCH + palette.t.space[1]).sum();
    widths + palette.t.space[3] * entries.len().saturating_sub(1) as f32
}

/// Draws the legend with its left middle at `at`.
fn legend_ui(ui: &mut Ui, palette: &Palette, entries: &[LegendEntry], at: Pos2) {
    let mut left = at;
    for (index, entry) in entries.iter().enumerate() {
        let ends = [left, left + vec2(SWATCH, 0.0)];
        if entry.dashed {
            ui.painter().extend(Shape::dashed_line(&ends, entry.stroke, 5.0, 3.0));
        } else {
            ui.painter().line_segment(ends, entry.stroke);
        }
        let galley = line(ui, &*entry.name, palette.caption.clone(), palette.weak, f32::INFINITY);
        let rect = put(ui, galley, Align2::LEFT_CENTER, ends[1] + vec2(palette.t.space[1], 0.0), palette.weak);
        palette.describe(ui, rect, ("legend", index), Role::Label, &entry.name);
        left = pos2(rect.right() + palette.t.space[3], at.y);
    }
}

fn plot_ui(ui: &mut Ui, palette: &Palette, report: &RangeReport, measure: Measure, dense: bool) {
    let days = report.current.days.len();
    let scale = Scale::of(report, measure);
    let widest = Measure::ALL
        .into_iter()
        .flat_map(|measure| {
            Scale::of(report, measure).marks().map(|value| axis::label(value, measure)).collect::<Vec<_>>()
        })
        .map(|label| line(ui, label, palette.caption.clone(), palette.weak, f32::INFINITY).size().x)
        .fold(0.0, f32::max);
    // Set explicitly, so that the first picture is already the final one.
    let axis_width = (widest + 2.0 * palette.t.space[0] + 2.0).ceil();
    let dates = date_marks(report.current.first, days, ui.available_width() - axis_width);

    let shown = axis::plot(palette, scale, measure, dates, axis_width).show(ui, |plot| {
        plot.set_plot_bounds_x(-0.5..=days as f64 - 0.5);
        plot.set_plot_bounds_y(scale.bounds());
        let hovered = plot.pointer_coordinate().filter(|_| plot.response().contains_pointer());
        let hovered = hovered.map(|at| (at.x.round().max(0.0) as usize).min(days.saturating_sub(1)));
        if let Some(day) = hovered {
            let cursor = VLine::new("", day as f64).stroke(Stroke::new(1.0, palette.border_strong));
            plot.vline(cursor.allow_hover(false));
        }
        lines(plot, palette, report, measure, dense);
        hovered
    });
    let summary = format!(
        "{}, {}: {}",
        format::per_day(measure),
        format::dates(report.current.first, days),
        format::value(&report.current.totals, measure),
    );
    describe(&shown.response, Role::Image, &summary, None);
    if let Some(day) = shown.inner {
        hover::day_ui(ui, palette, report, measure, day, &shown.transform);
    }
}

/// Draws the lines without the hover of `egui_plot`, which marks the nearest point in the plane instead of the day's.
fn lines(plot: &mut PlotUi<'_>, palette: &Palette, report: &RangeReport, measure: Measure, dense: bool) {
    let smooth = smooth(report);
    if let Some(before) = &report.previous {
        let course = if smooth { means(before, measure) } else { points(before, measure) };
        let ghost = Line::new("Previous period", course).stroke(Stroke::new(1.5, palette.ghost));
        plot.line(ghost.style(LineStyle::Dashed { length: 6.0 }).allow_hover(false));
    }
    let current = || points(&report.current, measure);
    let stroke =
        if smooth { Stroke::new(1.0, faded(palette.accent, DAILY)) } else { Stroke::new(2.0, palette.accent) };
    if dense {
        let [days, low, high] = range(&report.current, measure);
        let band = FilledArea::new("Daily range", &days, &low, &high).fill_color(faded(palette.accent, BAND));
        plot.add(band.allow_hover(false));
    } else {
        let daily = Line::new("This period", current()).stroke(stroke).fill(0.0).fill_alpha(0.12);
        plot.line(daily.allow_hover(false));
    }
    if smooth {
        let mean = Line::new("7-day mean", means(&report.current, measure));
        plot.line(mean.stroke(Stroke::new(2.0, palette.accent)).allow_hover(false));
    } else {
        plot.points(Points::new("", current()).radius(2.5).color(palette.accent).allow_hover(false));
    }
}

/// Returns the days, and for each the lowest and highest value from three days before to three days after.
fn range(period: &Period, measure: Measure) -> [Vec<f64>; 3] {
    let [mut days, mut lows, mut highs] = [Vec::new(), Vec::new(), Vec::new()];
    for day in 0..period.days.len() {
        let week = day.saturating_sub(3)..(day + 4).min(period.days.len());
        let values = period.days.get(week).unwrap_or_default().iter().filter_map(|day| day.value(measure));
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low <= high {
            days.push(day as f64);
            lows.push(low);
            highs.push(high);
        }
    }
    [days, lows, highs]
}

fn points(period: &Period, measure: Measure) -> PlotPoints<'static> {
    let value = |(day, totals): (usize, &Totals)| Some([day as f64, totals.value(measure)?]);
    period.days.iter().enumerate().filter_map(value).collect()
}

/// Returns for each day the mean over three days before to three days after. Shares and means count all flights of
/// these days, so a day with few flights has little weight.
fn means(period: &Period, measure: Measure) -> PlotPoints<'static> {
    let value = |day: usize| {
        let window = day.saturating_sub(3)..(day + 4).min(period.days.len());
        let days = period.days.get(window)?;
        let sum = days.iter().fold(Totals::default(), Totals::and);
        let value = sum.value(measure)?;
        let each = matches!(measure, Measure::Flights | Measure::Cancelled);
        Some([day as f64, if each { value / days.len() as f64 } else { value }])
    };
    (0..period.days.len()).filter_map(value).collect()
}
