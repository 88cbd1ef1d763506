//! The report of a range of days: sums by day and by carrier, and the period before.
//!
//! Ranges end with the last day of the data, not today.
//! A report holds every measure, so the choice of another one needs no query.

use std::sync::LazyLock;

use jiff::{Span, civil::Date};
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError, EPOCH};

/// A quick range, ending with the last day of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuickRange {
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
    /// Ninety days.
    Quarter,
    /// 365 days: all of the data.
    #[default]
    Year,
}

impl QuickRange {
    /// All ranges, in the order of the selector.
    pub const ALL: [Self; 4] = [Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// Returns the number of days.
    pub fn days(self) -> u16 {
        match self {
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        }
    }
}

/// A measure: one of the four figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Scheduled flights.
    #[default]
    Flights,
    /// Share of scheduled flights that arrived less than 15 minutes late.
    OnTime,
    /// Mean departure delay of the flights that left, in minutes.
    Delay,
    /// Flights without a departure.
    Cancelled,
}

impl Measure {
    /// All measures, in the order of the cards.
    pub const ALL: [Self; 4] = [Self::Flights, Self::OnTime, Self::Delay, Self::Cancelled];
}

/// Sums over a set of flights, from which every measure is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Scheduled flights.
    pub flights: i64,
    /// Flights that left.
    pub departed: i64,
    /// Flights that arrived less than 15 minutes late.
    pub on_time: i64,
    /// Sum of the departure delays of the flights that left, in minutes.
    pub departure_delay: i64,
}

impl Totals {
    /// Returns the number of flights that never left.
    pub fn cancelled(&self) -> i64 {
        self.flights - self.departed
    }

    /// Returns the share of flights on time, 0 to 1; `None` without flights. Cancelled and diverted flights count
    /// against it.
    pub fn on_time_share(&self) -> Option<f64> {
        ratio(self.on_time, self.flights)
    }

    /// Returns the share of cancelled flights, 0 to 1; `None` without flights.
    pub fn cancelled_share(&self) -> Option<f64> {
        ratio(self.cancelled(), self.flights)
    }

    /// Returns the mean departure delay in minutes; `None` without departures.
    pub fn average_delay(&self) -> Option<f64> {
        ratio(self.departure_delay, self.departed)
    }

    /// Returns the plotted number of `measure`, in its unit: flights, per cent, minutes, flights.
    pub fn value(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Flights => Some(self.flights as f64),
            Measure::OnTime => self.on_time_share().map(|share| share * 100.0),
            Measure::Delay => self.average_delay(),
            Measure::Cancelled => Some(self.cancelled() as f64),
        }
    }

    /// Returns the sums of these flights and `other` together.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            flights: self.flights + other.flights,
            departed: self.departed + other.departed,
            on_time: self.on_time + other.on_time,
            departure_delay: self.departure_delay + other.departure_delay,
        }
    }
}

fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

/// A run of days with their sums, including days without flights.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// The first day.
    pub first: Date,
    /// The sums of each day.
    pub days: Vec<Totals>,
    /// The sums of all days.
    pub totals: Totals,
}

/// A carrier's sums over the range.
#[derive(Clone, Debug, PartialEq)]
pub struct Carrier {
    /// The name, such as `JetBlue Airways`.
    pub name: String,
    /// The sums of its flights.
    pub totals: Totals,
}

/// The content of the dashboard for a range.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeReport {
    /// The requested range.
    pub range: QuickRange,
    /// The days of the range.
    pub current: Period,
    /// The same number of days before it, if the data covers all of them.
    pub previous: Option<Period>,
    /// Carriers with flights in the range, by name.
    pub carriers: Vec<Carrier>,
}

impl RangeReport {
    /// Returns the last day of the data.
    pub fn as_of(&self) -> Date {
        day_after(self.current.first, self.current.days.len().saturating_sub(1))
    }
}

/// Returns the date `days` after `first`, at most the end of the calendar.
pub fn day_after(first: Date, days: usize) -> Date {
    shifted(first, i64::try_from(days).unwrap_or(i64::MAX))
}

/// Returns the date `days` after `first` for any number, such as one from a file that another program has changed.
fn shifted(first: Date, days: i64) -> Date {
    Span::new().try_days(days).map_or(first, |span| first.saturating_add(span))
}

impl Database {
    /// Reads the report of a range, in a few milliseconds. `[the database's thread]`
    pub fn report(&self, range: QuickRange) -> Result<RangeReport, DatabaseError> {
        let (_, path) = self.parts();
        self.read_report(range).map_err(|error| DatabaseError::sqlite(error, path))
    }

    fn read_report(&self, range: QuickRange) -> rusqlite::Result<RangeReport> {
        let (connection, _) = self.parts();
        let (oldest, last): (Option<i64>, Option<i64>) =
            connection
                .query_row("SELECT min(day), max(day) FROM daily", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (oldest, last) = (oldest.unwrap_or(0), last.unwrap_or(0));
        let days = i64::from(range.days());
        let first = last.saturating_sub(days - 1);
        let previous = first.saturating_sub(days);
        Ok(RangeReport {
            range,
            current: self.read_period(first, days)?,
            previous: (previous >= oldest).then(|| self.read_period(previous, days)).transpose()?,
            carriers: self.read_carriers(first, last)?,
        })
    }

    fn read_period(&self, first: i64, count: i64) -> rusqlite::Result<Period> {
        let (connection, _) = self.parts();
        let mut period = Period {
            first: shifted(EPOCH, first),
            days: vec![Totals::default(); count as usize],
            totals: Totals::default(),
        };
        let mut query = connection.prepare_cached(&BY_DAY)?;
        let mut rows = query.query([first, first + count - 1])?;
        while let Some(row) = rows.next()? {
            let day: i64 = row.get(0)?;
            let totals = read_totals(row)?;
            period.totals = period.totals.and(&totals);
            if let Some(slot) = usize::try_from(day - first).ok().and_then(|at| period.days.get_mut(at)) {
                *slot = totals;
            }
        }
        Ok(period)
    }

    fn read_carriers(&self, first: i64, last: i64) -> rusqlite::Result<Vec<Carrier>> {
        let (connection, _) = self.parts();
        let mut query = connection.prepare_cached(&BY_CARRIER)?;
        let rows = query
            .query_map([first, last], |row| Ok(Carrier { name: row.get(0)?, totals: read_totals(row)? }))?;
        rows.collect()
    }
}

const SUMS: &str = "sum(flights), sum(departed), sum(on_time), sum(departure_delay) FROM daily";

static BY_DAY: LazyLock<String> =
    LazyLock::new(|| format!("SELECT day, {SUMS} WHERE day BETWEEN ?1 AND ?2 GROUP BY day ORDER BY day"));

static BY_CARRIER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT name, {SUMS} JOIN airline ON airline.id = daily.airline \
         WHERE day BETWEEN ?1 AND ?2 GROUP BY airline.id ORDER BY name"
    )
});

/// Reads the four sums, from columns 1 to 4.
fn read_totals(row: &rusqlite::Row<'_>) -> rusqlite::Result<Totals> {
    Ok(Totals {
        flights: row.get(1)?,
        departed: row.get(2)?,
        on_time: row.get(3)?,
        departure_delay: row.get(4)?,
    })
}

#[cfg(test)]
mod tests;
