//! Numbers, dates and changes as people read them.

use jiff::civil::Date;

use crate::report::{Measure, Range, Totals, day_after};

/// Stands for a value that does not exist.
pub(super) const NONE: &str = "–";

/// `336,776`.
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

/// A share of 0 to 1 as `73.4 %`.
pub(super) fn percent(share: Option<f64>, decimals: usize) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{} %", fixed(share * 100.0, decimals)))
}

/// `12.6 min`.
pub(super) fn minutes(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{} min", fixed(value, 1)))
}

/// Never `-0.0`.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        _ => text,
    }
}

/// `8,255 (2.45 %)`.
pub(super) fn cancelled(totals: &Totals) -> String {
    match totals.cancelled_share() {
        Some(share) => format!("{} ({})", count(totals.cancelled()), percent(Some(share), 2)),
        None => count(totals.cancelled()),
    }
}

/// A measure with its unit, in two parts: the figure, and what stands smaller beside it.
pub(super) fn figure(totals: &Totals, measure: Measure) -> (String, String) {
    let whole = value(totals, measure);
    match (measure, whole.split_once(' ')) {
        (Measure::Delay | Measure::Cancelled, Some((figure, rest))) => (figure.to_owned(), format!(" {rest}")),
        _ => (whole, String::new()),
    }
}

/// A measure with its unit.
pub(super) fn value(totals: &Totals, measure: Measure) -> String {
    match measure {
        Measure::Flights => count(totals.flights),
        Measure::OnTime => percent(totals.on_time_share(), 1),
        Measure::Delay => minutes(totals.average_delay()),
        Measure::Cancelled => cancelled(totals),
    }
}

/// The name of a measure.
pub(super) fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::Flights => "Flights",
        Measure::OnTime => "On-time arrivals",
        Measure::Delay => "Average departure delay",
        Measure::Cancelled => "Cancelled",
    }
}

/// What a measure counts, in a sentence.
pub(super) fn explanation(measure: Measure) -> &'static str {
    match measure {
        Measure::Flights => "Scheduled departures from EWR, JFK and LGA",
        Measure::OnTime => "Share of scheduled flights that arrived less than 15 minutes late",
        Measure::Delay => "Minutes, mean of the flights that left",
        Measure::Cancelled => "Scheduled flights that never left",
    }
}

/// `Last 30 days`.
pub(super) fn range(range: Range) -> &'static str {
    match range {
        Range::Week => "Last 7 days",
        Range::Month => "Last 30 days",
        Range::Quarter => "Last 90 days",
        Range::Year => "Year",
    }
}

/// The same for where there is little room.
pub(super) fn short_range(range: Range) -> &'static str {
    match range {
        Range::Week => "7 d",
        Range::Month => "30 d",
        Range::Quarter => "90 d",
        Range::Year => "Year",
    }
}

/// `previous 30 days`.
pub(super) fn previous(range: Range) -> String {
    format!("previous {} days", range.days())
}

/// `31 Dec 2013`.
pub(super) fn date(day: Date) -> String {
    day.strftime("%-d %b %Y").to_string()
}

/// `2 – 31 Dec 2013`, `3 Oct – 31 Dec 2013`.
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

/// A difference to the period before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// Up, down, or too small to show.
    pub(super) up: Option<bool>,
    /// Without its sign: `3.2 %`.
    pub(super) text: String,
    /// Whether it is for the better; `None` when it is neither.
    pub(super) good: Option<bool>,
}

/// How `now` differs from `before`.
///
/// In per cent of what was before; shares differ in percentage points, because a per cent of a
/// per cent misleads.
/// Where there was nothing to take a per cent of, the difference itself.
pub(super) fn change(now: &Totals, before: &Totals, measure: Measure) -> Option<Change> {
    let (new, old) = (now.value(measure)?, before.value(measure)?);
    let difference = new - old;
    let text = match measure {
        Measure::OnTime => format!("{} % pts", fixed(difference.abs(), 1)),
        _ if old > 0.0 => percent(Some((difference / old).abs()), 1),
        Measure::Delay => minutes(Some(difference.abs())),
        _ => count(difference.abs() as i64),
    };
    let shown = text.chars().any(|c| matches!(c, '1'..='9'));
    let up = shown.then_some(difference > 0.0);
    let good = up.map(|up| up == matches!(measure, Measure::Flights | Measure::OnTime));
    Some(Change { up, text, good })
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
        assert_eq!(percent(Some(0.734_16), 1), "73.4 %");
        assert_eq!(percent(None, 1), NONE);
        assert_eq!(minutes(Some(-0.04)), "0.0 min");
        assert_eq!(minutes(Some(-4.15)), "-4.2 min");
    }

    #[test]
    fn dates_say_no_more_than_needed() {
        assert_eq!(dates(day(2013, 12, 2), 30), "2 – 31 Dec 2013");
        assert_eq!(dates(day(2013, 10, 3), 90), "3 Oct – 31 Dec 2013");
        assert_eq!(dates(day(2012, 12, 31), 2), "31 Dec 2012 – 1 Jan 2013");
    }

    #[test]
    fn changes_say_their_direction_and_whether_it_is_good() {
        let before = Totals { flights: 200, departed: 190, on_time: 150, departure_delay: 1_900 };
        let now = Totals { flights: 210, departed: 190, on_time: 150, departure_delay: 1_710 };
        let check = |measure, up, text: &str, good| {
            let expected = Change { up: Some(up), text: text.to_owned(), good: Some(good) };
            assert_eq!(change(&now, &before, measure), Some(expected));
        };
        check(Measure::Flights, true, "5.0 %", true);
        check(Measure::OnTime, false, "3.6 % pts", false);
        check(Measure::Delay, false, "10.0 %", true);
        check(Measure::Cancelled, true, "100.0 %", false);
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
