//! The axes of the chart: round marks at the left, dates below, and a plot without panning and zooming.

use egui_plot::{AxisHints, GridMark, HPlacement, Plot};
use jiff::civil::{Date, Weekday};
use plugin_api::egui::{Rangef, Sense};

use super::super::{format, palette::Palette};
use crate::report::{Measure, RangeReport, day_after};

/// Creates a plot with these axes; it leaves wheel and drag to the page.
pub(super) fn plot(
    palette: &Palette,
    scale: Scale,
    measure: Measure,
    dates: Vec<DateMark>,
    axis_width: f32,
) -> Plot<'static> {
    let steps: Vec<_> = dates.iter().map(|mark| mark.grid).collect();
    // egui_plot fades close marks; the marks here are already chosen by their distance.
    let always = Rangef::new(0.5, 1.0);
    let axis = |hints: AxisHints<'static>| {
        hints.tick_label_font(palette.caption.clone()).tick_label_color(palette.weak).label_spacing(always)
    };
    let x_axis = axis(AxisHints::new_x()).min_thickness(palette.t.font_size[0] + palette.t.space[1]).formatter(
        move |mark, _| {
            let at = |date: &&DateMark| (date.grid.value - mark.value).abs() < 0.01;
            dates.iter().find(at).map(|date| date.label.clone()).unwrap_or_default()
        },
    );
    let y_axis = axis(AxisHints::new_y())
        .placement(HPlacement::Left)
        .min_thickness(axis_width)
        .formatter(move |mark, _| label(mark.value, measure));
    Plot::new("days")
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
        .grid_color(palette.border)
        .grid_fade(1.0)
        .grid_spacing(always)
        .custom_x_axes(vec![x_axis])
        .custom_y_axes(vec![y_axis])
        .x_grid_spacer(move |_| steps.clone())
        .y_grid_spacer(move |_| scale.marks().map(|value| GridMark { value, step_size: scale.step }).collect())
}

/// The vertical axis: round marks, and room for both periods from zero on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    pub(super) fn of(report: &RangeReport, measure: Measure) -> Self {
        if measure == Measure::OnTime {
            return Self { low: 0.0, high: 100.0, step: 25.0 };
        }
        let periods = std::iter::once(&report.current).chain(&report.previous);
        let values = periods.flat_map(|period| period.days.iter().filter_map(|day| day.value(measure)));
        let (low, high) =
            values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Self::around(low, high)
    }

    /// Creates a scale with four to seven steps of 1, 2, 2.5 or 5 times a power of ten, integers for small counts.
    fn around(low: f64, high: f64) -> Self {
        let rough = ((high - low) / 6.0).max(1.0);
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough);
        let step = (factor.unwrap_or(10.0) * power).round();
        // A small negative value does not justify a full step of empty chart.
        Self { low, high: ((high / step).ceil() * step).max(step), step }
    }

    /// Returns the bounds of the plot: a little more than the scale, so that the outermost lines are not clipped.
    pub(super) fn bounds(self) -> std::ops::RangeInclusive<f64> {
        let slack = (self.high - self.low) * 0.02;
        self.low - slack..=self.high + slack
    }

    pub(super) fn marks(self) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / self.step).ceil() as i32, (self.high / self.step).round() as i32);
        (first..=last).map(move |index| self.step * f64::from(index))
    }
}

/// Formats the label of a mark on the vertical axis.
pub(super) fn label(value: f64, measure: Measure) -> String {
    match measure {
        Measure::OnTime => format!("{value:.0}%"),
        _ => format::count(value.round() as i64),
    }
}

/// A date below the chart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DateMark {
    grid: GridMark,
    label: String,
}

/// Returns as many dates as fit into `width`: days, Mondays or first days of months.
pub(super) fn date_marks(first: Date, days: usize, width: f32) -> Vec<DateMark> {
    /// Width of `30 Dec`, and below of `Dec`, with space around, in points.
    const DATE: f32 = 56.0;
    const MONTH: f32 = 38.0;
    let per_day = width / days.max(1) as f32;
    let date = |day: usize| day_after(first, day);
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
        // A date at the very end would not fit into the card.
        let inside = |day: &usize| (days - day) as f32 * per_day >= DATE / 4.0;
        let mondays = (0..days).rev().filter(inside).filter(|&day| date(day).weekday() == Weekday::Monday);
        let every = ((DATE / (per_day * 7.0)).ceil() as usize).max(1);
        let step = (7 * every) as f64;
        return mondays.step_by(every).map(|day| mark(day, step, "%-d %b")).collect();
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
