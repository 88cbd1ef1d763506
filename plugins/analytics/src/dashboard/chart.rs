//! The chosen measure, day by day, over a ghost of the period before.

use egui_plot::{Line, LineStyle, PlotPoints, PlotUi, Points, VLine};
use plugin_api::egui::{self, Align2, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

use self::axis::{Scale, date_marks};
use super::{
    faded, format,
    look::{Look, line, put},
};
use crate::report::{Measure, Period, Report, Totals};

mod axis;
mod hover;

/// What the card needs besides the plot, where nothing has to wrap.
pub(super) const FRAME_HEIGHT: f32 = 32.0 + TITLE_HEIGHT + 16.0;

const TITLE_HEIGHT: f32 = 44.0;
const LEGEND_HEIGHT: f32 = 24.0;
/// Length of a line in the legend.
const SWATCH: f32 = 18.0;
/// Up to this many days each one is marked with a dot; beyond, the week's rhythm would hide the
/// course, so a mean over seven days is drawn over the daily line.
const DOTS: usize = 31;
/// Opacity of the daily line below the mean.
const DAILY: f32 = 0.4;

fn smooth(report: &Report) -> bool {
    report.current.days.len() > DOTS
}

/// Draws the card; its plot is `height` points high.
pub(super) fn chart_ui(ui: &mut Ui, look: &Look, report: &Report, measure: Measure, height: f32) {
    let padding = look.t.space[3];
    let inner_width = ui.available_width() - 2.0 * padding;
    let entries = legend(look, report);
    let legend_width = legend_width(ui, look, &entries);
    let title_width =
        line(ui, format::explanation(measure), look.body.clone(), look.weak, f32::INFINITY).size().x;
    // The legend moves below the title where both do not fit beside each other.
    let beside = title_width + padding + legend_width <= inner_width;
    let head = if beside { TITLE_HEIGHT } else { TITLE_HEIGHT + LEGEND_HEIGHT };
    let size = vec2(ui.available_width(), 2.0 * padding + head + padding + height);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    look.paint_card(ui.painter(), rect, look.card, Stroke::new(1.0, look.border));

    let inner = rect.shrink(padding);
    let title = format!("{} per day", format::title(measure));
    let heading = line(ui, &*title, look.strong(2), look.text, inner.width());
    let heading = put(ui, heading, Align2::LEFT_TOP, inner.min, look.text);
    let response = ui.interact(heading, look.id("chart-title"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Heading, true, &title));
    let below = line(ui, format::explanation(measure), look.body.clone(), look.weak, inner.width());
    put(ui, below, Align2::LEFT_TOP, pos2(inner.left(), heading.bottom() + 2.0), look.weak);
    let at = if beside {
        pos2(inner.right() - legend_width, heading.center().y)
    } else {
        pos2(inner.left(), inner.top() + head - look.t.space[0])
    };
    legend_ui(ui, look, &entries, at);

    let plot = Rect::from_min_max(pos2(inner.left(), inner.top() + head + padding), inner.max);
    let mut child = ui.new_child(egui::UiBuilder::new().max_rect(plot).id_salt("chart"));
    plot_ui(&mut child, look, report, measure);
}

/// A line of the chart and its name.
struct Entry {
    name: String,
    stroke: Stroke,
    dashed: bool,
}

fn legend(look: &Look, report: &Report) -> Vec<Entry> {
    let entry = |name: &str, width, color| Entry {
        name: name.to_owned(),
        stroke: Stroke::new(width, color),
        dashed: false,
    };
    let mut entries = if smooth(report) {
        vec![entry("Daily", 1.0, faded(look.accent, DAILY)), entry("7-day mean", 2.0, look.accent)]
    } else {
        vec![entry("This period", 2.0, look.accent)]
    };
    if report.previous.is_some() {
        let name = format!("Previous {} days", report.range.days());
        entries.push(Entry { dashed: true, ..entry(&name, 1.5, look.ghost) });
    }
    entries
}

fn legend_width(ui: &Ui, look: &Look, entries: &[Entry]) -> f32 {
    let text = |entry: &Entry| line(ui, &*entry.name, look.caption.clone(), look.weak, f32::INFINITY).size().x;
    let widths: f32 = entries.iter().map(|entry| text(entry) + SWATCH + look.t.space[1]).sum();
    widths + look.t.space[3] * entries.len().saturating_sub(1) as f32
}

/// Draws the legend with its left middle at `at`.
fn legend_ui(ui: &mut Ui, look: &Look, entries: &[Entry], at: Pos2) {
    let mut left = at;
    for (index, entry) in entries.iter().enumerate() {
        let ends = [left, left + vec2(SWATCH, 0.0)];
        if entry.dashed {
            ui.painter().extend(Shape::dashed_line(&ends, entry.stroke, 5.0, 3.0));
        } else {
            ui.painter().line_segment(ends, entry.stroke);
        }
        let galley = line(ui, &*entry.name, look.caption.clone(), look.weak, f32::INFINITY);
        let rect = put(ui, galley, Align2::LEFT_CENTER, ends[1] + vec2(look.t.space[1], 0.0), look.weak);
        let response = ui.interact(rect, look.id(("legend", index)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &entry.name));
        left = pos2(rect.right() + look.t.space[3], at.y);
    }
}

fn plot_ui(ui: &mut Ui, look: &Look, report: &Report, measure: Measure) {
    let days = report.current.days.len();
    let scale = Scale::of(report, measure);
    let widest = scale
        .marks()
        .map(|value| axis::label(value, measure))
        .map(|label| line(ui, label, look.caption.clone(), look.weak, f32::INFINITY).size().x)
        .fold(0.0, f32::max);
    // Stated rather than found out, so that the first picture is already the final one.
    let axis_width = (widest + 2.0 * look.t.space[0] + 2.0).ceil();
    let dates = date_marks(report.current.first, days, ui.available_width() - axis_width);

    let shown = axis::plot(look, scale, measure, dates, axis_width).show(ui, |plot| {
        plot.set_plot_bounds_x(-0.5..=days as f64 - 0.5);
        plot.set_plot_bounds_y(scale.bounds());
        let hovered = plot.pointer_coordinate().filter(|_| plot.response().contains_pointer());
        let hovered = hovered.map(|at| (at.x.round().max(0.0) as usize).min(days.saturating_sub(1)));
        if let Some(day) = hovered {
            plot.vline(VLine::new("", day as f64).stroke(Stroke::new(1.0, look.border_strong)));
        }
        lines(plot, look, report, measure);
        hovered
    });
    let summary = format!(
        "{} per day, {}: {}",
        format::title(measure),
        format::dates(report.current.first, days),
        format::value(&report.current.totals, measure),
    );
    shown.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &summary));
    if let Some(day) = shown.inner {
        hover::day_ui(ui, look, report, measure, day, &shown.transform);
    }
}

fn lines(plot: &mut PlotUi<'_>, look: &Look, report: &Report, measure: Measure) {
    let smooth = smooth(report);
    if let Some(before) = &report.previous {
        let course = if smooth { means(before, measure) } else { points(before, measure) };
        let ghost = Line::new("Previous period", course).stroke(Stroke::new(1.5, look.ghost));
        plot.line(ghost.style(LineStyle::Dashed { length: 6.0 }));
    }
    let current = || points(&report.current, measure);
    let stroke =
        if smooth { Stroke::new(1.0, faded(look.accent, DAILY)) } else { Stroke::new(2.0, look.accent) };
    plot.line(Line::new("This period", current()).stroke(stroke).fill(0.0).fill_alpha(0.12));
    if smooth {
        let mean = Line::new("7-day mean", means(&report.current, measure));
        plot.line(mean.stroke(Stroke::new(2.0, look.accent)));
    } else {
        plot.points(Points::new("", current()).radius(2.5).color(look.accent));
    }
}

fn points(period: &Period, measure: Measure) -> PlotPoints<'static> {
    let value = |(day, totals): (usize, &Totals)| Some([day as f64, totals.value(measure)?]);
    period.days.iter().enumerate().filter_map(value).collect()
}

/// Each day's value with three days before and after it; shares and means are taken over all of
/// their flights, so a day with few of them weighs little.
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
