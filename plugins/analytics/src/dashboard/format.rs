//! Numbers, dates and changes as text.

use jiff::civil::Date;

use crate::report::{Measure, QuickRange, Totals, day_after};

/// The text for a missing value.
pub(super) const NONE: &str = "–";

/// Formats a number as `336,776`.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a share of 0 to 1 as `73.4%`.
pub(super) fn percent(share: Option<f64>, decimals: usize) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{}%", fixed(share * 100.0, decimals)))
}

/// Formats minutes as `12.6 min`.
pub(super) fn minutes(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{} min", fixed(value, 1)))
}

/// Formats a number with `decimals` digits, and never as `-0.0`.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        _ => text,
    }
}

/// Formats the cancelled flights as `8,255 (2.45%)`.
pub(super) fn cancelled(totals: &Totals) -> String {
    match totals.cancelled_share() {
        Some(share) => format!("{} ({})", count(totals.cancelled()), percent(Some(share), 2)),
        None => count(totals.cancelled()),
    }
}

/// Formats a measure in two parts: the figure, and the unit or share in smaller type after it.
pub(super) fn figure(totals: &Totals, measure: Measure) -> (String, String) {
    let whole = value(totals, measure);
    match (measure, whole.split_once(' ')) {
        (Measure::Delay | Measure::Cancelled, Some((figure, rest))) => (figure.to_owned(), format!(" {rest}")),
        _ => (whole, String::new()),
    }
}

/// Formats a measure with its unit.
pub(super) fn value(totals: &Totals, measure: Measure) -> String {
    match measure {
        Measure::Flights => count(totals.flights),
        Measure::OnTime => percent(totals.on_time_share(), 1),
        Measure::Delay => minutes(totals.average_delay()),
        Measure::Cancelled => cancelled(totals),
    }
}

/// Returns the name of a measure.
pub(super) fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::Flights => "Flights",
        Measure::OnTime => "On-time arrivals",
        Measure::Delay => "Average departure delay",
        Measure::Cancelled => "Cancelled",
    }
}

/// Returns the heading of a measure's chart.
pub(super) fn per_day(measure: Measure) -> String {
    let title = if measure == Measure::Cancelled { "Cancellations" } else { title(measure) };
    format!("{title} per day")
}

/// Returns the explanation of a measure, in a sentence.
pub(super) fn explanation(measure: Measure) -> &'static str {
    match measure {
        Measure::Flights => "Scheduled departures from EWR, JFK and LGA",
        Measure::OnTime => "Share of scheduled flights that arrived less than 15 minutes late",
        Measure::Delay => "Minutes, mean of the flights that left",
        Measure::Cancelled => "Scheduled flights that never left",
    }
}

/// Returns the name of a range, such as `Last 30 days`.
pub(super) fn range(range: QuickRange) -> &'static str {
    match range {
        QuickRange::Week => "Last 7 days",
        QuickRange::Month => "Last 30 days",
        QuickRange::Quarter => "Last 90 days",
        QuickRange::Year => "Year",
    }
}

/// Returns the short name of a range, for narrow windows.
pub(super) fn short_range(range: QuickRange) -> &'static str {
    match range {
        QuickRange::Week => "7 d",
        QuickRange::Month => "30 d",
        QuickRange::Quarter => "90 d",
        QuickRange::Year => "Year",
    }
}

/// Returns the name of the period before a range, such as `previous 30 days`.
pub(super) fn previous(range: QuickRange) -> String {
    format!("previous {} days", range.days())
}

/// Formats a date as `31 Dec 2013`.
pub(super) fn date(day: Date) -> String {
    day.strftime("%-d %b %Y").to_string()
}

/// Formats a run of days as `2 – 31 Dec 2013` or `3 Oct – 31 Dec 2013`.
pub(super) fn dates(first: Date, days: usize) -> String {
    let last = day_after(first, days.saturating_sub(1));
    let start = if first.year() != last.year() {
        "%-d %b %Y"
    } else if first.month() != last.month() {
        "%-d %b"
    } else {
        "%-d"
    };
    format!("{} – {}", first.strftime(start), date(last))
}

/// The change since the period before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delta {
    /// `true` for up, `false` for down; `None` if the change is too small to show.
    pub(super) up: Option<bool>,
    /// The change without its sign: `3.2%`.
    pub(super) text: String,
    /// `true` for an improvement; `None` without a change.
    pub(super) good: Option<bool>,
}

/// Returns the change from `before` to `now`.
///
/// The change is in per cent of the earlier value; for shares it is in percentage points (pp), because a per cent of
/// a per cent misleads. Without a positive earlier value it is the difference itself.
pub(super) fn change(now: &Totals, before: &Totals, measure: Measure) -> Option<Delta> {
    let (new, old) = (now.value(measure)?, before.value(measure)?);
    let difference = new - old;
    let text = match measure {
        Measure::OnTime => format!("{} pp", fixed(difference.abs(), 1)),
        _ if old > 0.0 => percent(Some((difference / old).abs()), 1),
        Measure::Delay => minutes(Some(difference.abs())),
        _ => count(difference.abs() as i64),
    };
    let shown = text.chars().any(|c| matches!(c, '1'..='9'));
    let up = shown.then_some(difference > 0.0);
    let good = up.map(|up| up == matches!(measure, Measure::Flights | Measure::OnTime));
    Some(Delta { up, text, good })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as day;

    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (336_776, "336,776"), (-1_234_567, "-1,234,567")]
        {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn values_have_units_and_no_negative_zero() {
        assert_eq!(percent(Some(0.734_16), 1), "73.4%");
        assert_eq!(percent(None, 1), NONE);
        assert_eq!(minutes(Some(-0.04)), "0.0 min");
        assert_eq!(minutes(Some(-4.15)), "-4.2 min");
    }

    #[test]
    fn dates_omit_repeated_parts() {
        assert_eq!(dates(day(2013, 12, 2), 30), "2 – 31 Dec 2013");
        assert_eq!(dates(day(2013, 10, 3), 90), "3 Oct – 31 Dec 2013");
        assert_eq!(dates(day(2012, 12, 31), 2), "31 Dec 2012 – 1 Jan 2013");
    }

    #[test]
    fn changes_have_direction_and_judgement() {
        let before = Totals { flights: 200, departed: 190, on_time: 150, departure_delay: 1_900 };
        let now = Totals { flights: 210, departed: 190, on_time: 150, departure_delay: 1_710 };
        let check = |measure, up, text: &str, good| {
            let expected = Delta { up: Some(up), text: text.to_owned(), good: Some(good) };
            assert_eq!(change(&now, &before, measure), Some(expected));
        };
        check(Measure::Flights, true, "5.0%", true);
        check(Measure::OnTime, false, "3.6 pp", false);
        check(Measure::Delay, false, "10.0%", true);
        check(Measure::Cancelled, true, "100.0%", false);
    }

    #[test]
    fn changes_without_a_base_are_differences() {
        let none = Totals { flights: 10, departed: 10, on_time: 10, departure_delay: -20 };
        let some = Totals { flights: 10, departed: 8, on_time: 8, departure_delay: 8 };
        assert_eq!(change(&some, &none, Measure::Cancelled).map(|c| c.text), Some("2".to_owned()));
        assert_eq!(change(&some, &none, Measure::Delay).map(|c| c.text), Some("3.0 min".to_owned()));
        assert_eq!(change(&some, &some, Measure::Flights).and_then(|c| c.up), None);
        assert_eq!(change(&some, &Totals::default(), Measure::Delay), None);
    }
}
