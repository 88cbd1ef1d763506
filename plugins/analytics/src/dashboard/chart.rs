//! The chosen measure, day by day, over a ghost of the period before.

use egui_plot::{AxisHints, GridMark, HPlacement, Line, LineStyle, Plot, PlotPoint, PlotPoints, Points, VLine};
use jiff::civil::{Date, Weekday};
use plugin_api::egui::{
    self, Align2, CornerRadius, Pos2, Rangef, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo,
    pos2, vec2,
};

use super::{
    faded, format,
    look::{Look, line, put},
};
use crate::report::{Measure, Period, Report, Totals, day_after};

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
    let title_width = line(ui, format::explanation(measure), look.body.clone(), look.weak, f32::INFINITY).size().x;
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
    let labels: Vec<String> = scale.marks().map(|value| scale.label(value, measure)).collect();
    let widest = labels
        .iter()
        .map(|label| line(ui, &**label, look.caption.clone(), look.weak, f32::INFINITY).size().x)
        .fold(0.0, f32::max);
    // Stated rather than found out, so that the first picture is already the final one.
    let axis_width = (widest + 2.0 * look.t.space[0] + 2.0).ceil();
    let dates = date_marks(report.current.first, days, ui.available_width() - axis_width);
    let date_steps = dates.iter().map(|mark| mark.grid).collect::<Vec<_>>();

    let axis = |hints: AxisHints<'static>| {
        hints.tick_label_font(look.caption.clone()).tick_label_color(look.weak).label_spacing(Rangef::new(0.5, 1.0))
    };
    let x_axis = axis(AxisHints::new_x()).min_thickness(look.t.font_size[0] + look.t.space[1]).formatter(
        move |mark, _| {
            let at = |date: &&DateMark| (date.grid.value - mark.value).abs() < 0.01;
            dates.iter().find(at).map(|date| date.label.clone()).unwrap_or_default()
        },
    );
    let y_axis = axis(AxisHints::new_y())
        .placement(HPlacement::Left)
        .min_thickness(axis_width)
        .formatter(move |mark, _| scale.label(mark.value, measure));

    let shown = Plot::new("days")
        .sense(Sense::hover())
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .show_crosshair(false)
        .label_formatter(|_| None)
        .show_grid([false, true])
        .grid_color(look.border)
        .grid_fade(1.0)
        .grid_spacing(Rangef::new(0.5, 1.0))
        .custom_x_axes(vec![x_axis])
        .custom_y_axes(vec![y_axis])
        .x_grid_spacer(move |_| date_steps.clone())
        .y_grid_spacer(move |_| {
            scale.marks().map(|value| GridMark { value, step_size: scale.step }).collect()
        })
        .show(ui, |plot| {
            plot.set_plot_bounds_x(-0.5..=days as f64 - 0.5);
            plot.set_plot_bounds_y(scale.bounds());
            let hovered = plot.pointer_coordinate().filter(|_| plot.response().contains_pointer());
            let hovered = hovered.map(|at| (at.x.round().max(0.0) as usize).min(days.saturating_sub(1)));
            if let Some(day) = hovered {
                plot.vline(VLine::new("", day as f64).stroke(Stroke::new(1.0, look.border_strong)));
            }
            let smooth = smooth(report);
            if let Some(before) = &report.previous {
                let course = if smooth { means(before, measure) } else { points(before, measure) };
                let ghost = Line::new("Previous period", course)
                    .stroke(Stroke::new(1.5, look.ghost))
                    .style(LineStyle::Dashed { length: 6.0 });
                plot.line(ghost);
            }
            let stroke = if smooth {
                Stroke::new(1.0, faded(look.accent, DAILY))
            } else {
                Stroke::new(2.0, look.accent)
            };
            let course = Line::new("This period", points(&report.current, measure)).stroke(stroke);
            plot.line(course.fill(0.0).fill_alpha(if smooth { 0.2 } else { 0.12 }));
            if smooth {
                let mean = Line::new("7-day mean", means(&report.current, measure));
                plot.line(mean.stroke(Stroke::new(2.0, look.accent)));
            } else {
                let dots = Points::new("", points(&report.current, measure)).radius(2.5).color(look.accent);
                plot.points(dots);
            }
            hovered
        });

    let summary = format!(
        "{} per day, {}: {}",
        format::title(measure),
        format::dates(report.current.first, days),
        format::value(&report.current.totals, measure),
    );
    shown.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &summary));
    let Some(day) = shown.inner else { return };
    let Some(totals) = report.current.days.get(day) else { return };
    let before = report.previous.as_ref().and_then(|period| Some((period, period.days.get(day)?)));
    let position = |value: f64| shown.transform.position_from_point(&PlotPoint::new(day as f64, value));
    // The dashed line is a mean where there are many days: the day itself is not on it.
    let ghost = before.filter(|_| !smooth(report)).and_then(|(_, totals)| totals.value(measure));
    for (value, color) in [
        (ghost, look.ghost),
        (totals.value(measure), look.accent),
    ] {
        if let Some(value) = value {
            ui.painter().circle(position(value), 4.0, color, Stroke::new(1.5, look.card));
        }
    }
    let anchor = position(totals.value(measure).unwrap_or(scale.low));
    let now = tooltip_row(report.current.first, day, totals, measure);
    let rows = match before {
        Some((period, totals)) => vec![now, tooltip_row(period.first, day, totals, measure)],
        None => vec![now],
    };
    tooltip_ui(ui, look, *shown.transform.frame(), anchor, &rows);
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
        let sum = days.iter().fold(Totals::default(), |sum, day| sum.and(day));
        let value = sum.value(measure)?;
        let each = matches!(measure, Measure::Flights | Measure::Cancelled);
        Some([day as f64, if each { value / days.len() as f64 } else { value }])
    };
    (0..period.days.len()).filter_map(value).collect()
}

fn tooltip_row(first: Date, day: usize, totals: &Totals, measure: Measure) -> [String; 2] {
    let date = day_after(first, day as i64);
    [date.strftime("%a %-d %b %Y").to_string(), format::value(totals, measure)]
}

/// A box beside `anchor` and inside `frame`: dates at the left, values at the right.
fn tooltip_ui(ui: &Ui, look: &Look, frame: Rect, anchor: Pos2, rows: &[[String; 2]]) {
    let padding = Vec2::new(look.t.space[2], look.t.space[1]);
    let gap = look.t.space[3];
    let colors = [look.accent, look.ghost];
    let cells: Vec<_> = rows
        .iter()
        .map(|[date, value]| {
            let date = line(ui, &**date, look.caption.clone(), look.weak, f32::INFINITY);
            let value = line(ui, &**value, look.strong(0), look.text, f32::INFINITY);
            (date, value)
        })
        .collect();
    let dot = look.t.space[2];
    let height = cells.iter().map(|(date, value)| date.size().y.max(value.size().y)).fold(0.0, f32::max) + 4.0;
    let widest = |pick: fn(&(_, _)) -> &std::sync::Arc<egui::Galley>| {
        cells.iter().map(|cell| pick(cell).size().x).fold(0.0, f32::max)
    };
    let width = dot + widest(|cell| &cell.0) + gap + widest(|cell| &cell.1);
    let size = vec2(width, height * rows.len() as f32) + 2.0 * padding;
    let right = anchor.x + gap + size.x <= frame.right();
    let left = if right { anchor.x + gap } else { (anchor.x - gap - size.x).max(frame.left()) };
    let top = (anchor.y - size.y / 2.0).clamp(frame.top(), (frame.bottom() - size.y).max(frame.top()));
    let rect = Rect::from_min_size(pos2(left, top), size);
    let radius = CornerRadius::same(look.t.radius[0] as u8);
    ui.painter().rect(rect, radius, look.card, Stroke::new(1.0, look.border_strong), StrokeKind::Inside);
    for (index, (date, value)) in cells.into_iter().enumerate() {
        let middle = rect.top() + padding.y + height * (index as f32 + 0.5);
        let left = rect.left() + padding.x;
        ui.painter().circle_filled(pos2(left + 3.0, middle), 3.0, colors[index.min(1)]);
        put(ui, date, Align2::LEFT_CENTER, pos2(left + dot, middle), look.weak);
        put(ui, value, Align2::RIGHT_CENTER, pos2(rect.right() - padding.x, middle), look.text);
    }
}

/// The vertical axis: round marks, and room for both periods from zero on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn of(report: &Report, measure: Measure) -> Self {
        if measure == Measure::OnTime {
            return Self { low: 0.0, high: 100.0, step: 25.0 };
        }
        let periods = std::iter::once(&report.current).chain(&report.previous);
        let values = periods.flat_map(|period| period.days.iter().filter_map(|day| day.value(measure)));
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Self::around(low, high)
    }

    /// Four to seven steps of 1, 2, 2.5 or 5 times a power of ten, whole for small counts.
    fn around(low: f64, high: f64) -> Self {
        let rough = ((high - low) / 6.0).max(1.0);
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough);
        let step = (factor.unwrap_or(10.0) * power).round();
        // A little below zero needs no whole step of empty chart.
        Self { low, high: ((high / step).ceil() * step).max(step), step }
    }

    /// What the plot spans: a little more, so that the outermost lines are whole.
    fn bounds(self) -> std::ops::RangeInclusive<f64> {
        let slack = (self.high - self.low) * 0.02;
        self.low - slack..=self.high + slack
    }

    fn marks(self) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / self.step).ceil() as i32, (self.high / self.step).round() as i32);
        (first..=last).map(move |index| self.step * f64::from(index))
    }

    fn label(self, value: f64, measure: Measure) -> String {
        match measure {
            Measure::OnTime => format!("{value:.0} %"),
            _ => format::count(value.round() as i64),
        }
    }
}

/// A date below the chart.
#[derive(Clone, Debug, PartialEq)]
struct DateMark {
    grid: GridMark,
    label: String,
}

/// As many dates as fit into `width`: days, Mondays or first days of months.
fn date_marks(first: Date, days: usize, width: f32) -> Vec<DateMark> {
    /// Room for `30 Dec` and for `Dec` with space around.
    const DATE: f32 = 56.0;
    const MONTH: f32 = 38.0;
    let per_day = width / days.max(1) as f32;
    let date = |day: usize| day_after(first, day as i64);
    let mark = |day: usize, step: f64, label: &str| DateMark {
        grid: GridMark { value: day as f64, step_size: step },
        label: date(day).strftime(label).to_string(),
    };
    if days <= 14 {
        let label = if per_day >= DATE { "%a %-d" } else { "%-d" };
        return (0..days).map(|day| mark(day, 1.0, label)).collect();
    }
    if days <= 120 {
        // Mondays, counted back from the end: the newest dates matter most.
        let mondays: Vec<_> = (0..days).rev().filter(|&day| date(day).weekday() == Weekday::Monday).collect();
        let every = ((DATE / (per_day * 7.0)).ceil() as usize).max(1);
        let step = (7 * every) as f64;
        return mondays.into_iter().step_by(every).map(|day| mark(day, step, "%-d %b")).collect();
    }
    let every = ((MONTH / (per_day * 30.0)).ceil() as i8).max(1);
    let begins = (0..days).filter(|&day| date(day).day() == 1 && (date(day).month() - 1) % every == 0);
    begins.map(|day| mark(day, 30.0 * f64::from(every), "%b")).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn scales_are_round_and_hold_the_values() {
        for (low, high, expected) in [
            (0.0, 0.0, (0.0, 1.0, 1.0)),
            (0.0, 3.0, (0.0, 3.0, 1.0)),
            (0.0, 1_014.0, (0.0, 1_200.0, 200.0)),
            (0.0, 82.3, (0.0, 100.0, 20.0)),
            (-3.2, 40.0, (-3.2, 40.0, 10.0)),
            (-30.0, 8.0, (-30.0, 10.0, 10.0)),
        ] {
            let scale = Scale::around(low, high);
            assert_eq!((scale.low, scale.high, scale.step), expected, "{low} to {high}");
            assert_eq!(scale.marks().last(), Some(scale.high));
            assert!(scale.marks().any(|mark| mark == 0.0), "zero is marked");
            assert!((2..=8).contains(&scale.marks().count()), "{low} to {high}");
        }
    }

    #[test]
    fn dates_fit_the_width() {
        let labels = |first, days, width| -> Vec<String> {
            date_marks(first, days, width).into_iter().map(|mark| mark.label).collect()
        };
        let year = labels(date(2013, 1, 1), 365, 900.0);
        assert_eq!((year.len(), year[0].as_str(), year[11].as_str()), (12, "Jan", "Dec"));
        assert_eq!(labels(date(2013, 1, 1), 365, 300.0), ["Jan", "Mar", "May", "Jul", "Sep", "Nov"]);
        assert_eq!(labels(date(2013, 12, 2), 30, 600.0), ["30 Dec", "23 Dec", "16 Dec", "9 Dec", "2 Dec"]);
        assert_eq!(labels(date(2013, 12, 25), 7, 700.0)[0], "Wed 25");
        assert_eq!(labels(date(2013, 12, 25), 7, 300.0)[6], "31");
        for width in [0.0, 40.0, 200.0, 5_000.0] {
            for days in [1, 7, 30, 90, 365] {
                date_marks(date(2013, 12, 31), days, width);
            }
        }
    }
}
