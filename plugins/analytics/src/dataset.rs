//! The flights that ship inside the library, decoded from their compressed file.
//!
//! `data/README.md` describes the format and the source.
//! Decoding does not trust its input: a damaged file is a [`DatasetError`], and causes neither a panic nor more
//! memory than the file format allows.

use std::io::Read;

use flate2::read::GzDecoder;
use jiff::civil::Date;
use thiserror::Error;

use self::reader::ColumnReader;

mod reader;

/// The compressed file inside the library.
pub const BUNDLED: &[u8] = include_bytes!("../data/flights.bin.gz");

/// Number of flights in [`BUNDLED`], which the loading state shows before the file is decoded.
pub const BUNDLED_FLIGHTS: i64 = 336_776;

const MAGIC: &[u8; 8] = b"NYCFLT01";

/// Largest content in bytes: a well-formed file has a few megabytes; more is an attack or a mistake.
const MAX_CONTENT: u64 = 64 << 20;

/// The reason why a data set could not be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The gzip stream is damaged: cut off, or its checksum differs.
    #[error("the flights data in the plugin is damaged ({0}); install the plugin again")]
    Compression(#[source] std::io::Error),
    /// The content does not follow the format.
    #[error("the flights data in the plugin is not valid: {what} at byte {at}; install the plugin again")]
    Format {
        /// The violation that was found.
        what: &'static str,
        /// Offset in the decompressed content.
        at: usize,
    },
}

impl DatasetError {
    /// Returns a stable code for logs and for the screen.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Compression(_) => "dataset-compression",
            Self::Format { .. } => "dataset-format",
        }
    }
}

/// An airline or an airport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The IATA code, such as `B6` or `JFK`.
    pub code: String,
    /// The name, such as `JetBlue Airways`.
    pub name: String,
}

/// A pair of airports and the distance between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index into [`Dataset::airports`].
    pub origin: u8,
    /// Index into [`Dataset::airports`].
    pub destination: u8,
    /// Distance in miles.
    pub distance: u16,
}

/// A scheduled flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Scheduled day of departure, counted from [`Dataset::first_day`].
    pub day: u16,
    /// Scheduled departure, in minutes after midnight, local time.
    pub scheduled: u16,
    /// Delay of the departure in minutes, negative if early; `None` if the flight was cancelled.
    pub departure_delay: Option<i32>,
    /// Delay of the arrival in minutes, negative if early; `None` if cancelled or diverted.
    pub arrival_delay: Option<i32>,
    /// Time in the air in minutes; `None` if cancelled or diverted.
    pub air_time: Option<i32>,
    /// Index into [`Dataset::airlines`].
    pub airline: u8,
    /// Flight number.
    pub number: u16,
    /// Index into [`Dataset::routes`].
    pub route: u8,
    /// Index into [`Dataset::tails`].
    pub tail: u16,
}

/// Every flight with the tables that it refers to; all indices are in range.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Day 0 of [`Flight::day`].
    pub first_day: Date,
    /// Number of days covered, including [`Self::first_day`].
    pub days: u16,
    /// Airlines by code.
    pub airlines: Vec<Named>,
    /// Airports by code.
    pub airports: Vec<Named>,
    /// Routes flown.
    pub routes: Vec<Route>,
    /// Tail numbers; the first is empty and means unknown.
    pub tails: Vec<String>,
    /// Flights in the order of their scheduled departure.
    pub flights: Vec<Flight>,
}

/// Returns the identity of a compressed file's content without decoding it: checksum and length.
///
/// Returns `None` for a file too short to be gzip.
pub fn identity(file: &[u8]) -> Option<String> {
    // RFC 1952: a gzip member ends with the CRC-32 and the length of its content.
    let (_, trailer) = file.split_last_chunk::<8>()?;
    let (crc, length) = trailer.split_first_chunk::<4>()?;
    let length: [u8; 4] = length.try_into().ok()?;
    Some(format!("{:08x}-{}", u32::from_le_bytes(*crc), u32::from_le_bytes(length)))
}

/// Decodes a compressed file: some tens of milliseconds for [`BUNDLED`]. `[any thread]`
pub fn decode(file: &[u8]) -> Result<Dataset, DatasetError> {
    let mut content = Vec::new();
    GzDecoder::new(file).take(MAX_CONTENT).read_to_end(&mut content).map_err(DatasetError::Compression)?;
    parse(&content)
}

fn parse(content: &[u8]) -> Result<Dataset, DatasetError> {
    let mut reader = ColumnReader::new(content);
    if reader.bytes(MAGIC.len())? != MAGIC {
        return Err(reader.error("another kind of file or another version"));
    }
    let first_day = std::str::from_utf8(reader.bytes(10)?)
        .ok()
        .and_then(|text| text.parse::<Date>().ok())
        .ok_or_else(|| reader.error("a first day that is not a date"))?;
    let days = reader.u16()?;
    let count = reader.u32()? as usize;

    let airlines = (0..reader.u16()?).map(|_| named(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    let airports = (0..reader.u16()?).map(|_| named(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    let routes =
        (0..reader.u16()?).map(|_| route(&mut reader, airports.len())).collect::<Result<Vec<_>, _>>()?;
    let tails = (0..reader.u16()?).map(|_| reader.text()).collect::<Result<Vec<_>, _>>()?;
    let flights = flights(&mut reader, count, days, [airlines.len(), routes.len(), tails.len()])?;
    reader.end()?;
    Ok(Dataset { first_day, days, airlines, airports, routes, tails, flights })
}

fn named(reader: &mut ColumnReader<'_>) -> Result<Named, DatasetError> {
    Ok(Named { code: reader.text()?, name: reader.text()? })
}

fn route(reader: &mut ColumnReader<'_>, airports: usize) -> Result<Route, DatasetError> {
    let route = Route { origin: reader.u8()?, destination: reader.u8()?, distance: reader.u16()? };
    if usize::from(route.origin.max(route.destination)) >= airports {
        return Err(reader.error("a route to an unknown airport"));
    }
    Ok(route)
}

/// Reads the columns; `limits` are the lengths of the airlines, routes and tails.
fn flights(
    reader: &mut ColumnReader<'_>,
    count: usize,
    days: u16,
    limits: [usize; 3],
) -> Result<Vec<Flight>, DatasetError> {
    let mut per_day = reader.column()?;
    let mut scheduled = reader.column()?;
    let mut airline = reader.column()?;
    let mut number = reader.column()?.planes(count)?;
    let mut route = reader.column()?;
    let mut departure = reader.column()?;
    let mut arrival = reader.column()?;
    let mut air = reader.column()?;
    let mut tail = reader.column()?.planes(count)?;

    // A column has a byte for each flight, so the file's size bounds this allocation.
    let mut flights = Vec::with_capacity(count.min(airline.remaining()));
    let mut minute = 0_i32;
    let mut last_air_time = vec![0_i32; limits[1]];
    for day in 0..days {
        for _ in 0..per_day.varint()? {
            minute = minute
                .checked_add(scheduled.zigzag()?)
                .filter(|minute| (0..24 * 60).contains(minute))
                .ok_or_else(|| scheduled.error("a departure that is not within a day"))?;
            let departure_delay = departure.nullable()?;
            let lateness = arrival.nullable()?;
            let arrival_delay = match (departure_delay, lateness) {
                (Some(left), Some(more)) => Some(delay(&arrival, left.checked_add(more))?),
                (_, None) => None,
                (None, Some(_)) => return Err(arrival.error("an arrival without a departure")),
            };
            let flight = Flight {
                day,
                scheduled: minute as u16,
                departure_delay: departure_delay.map(|late| delay(&departure, Some(late))).transpose()?,
                arrival_delay,
                air_time: None,
                airline: airline.index(limits[0])?,
                number: number.next()?,
                route: route.index(limits[1])?,
                tail: tail.next()?,
            };
            if usize::from(flight.tail) >= limits[2] {
                return Err(airline.error("an unknown tail number"));
            }
            let air_time = match (air.nullable()?, last_air_time.get_mut(usize::from(flight.route))) {
                (Some(more), Some(last)) => {
                    *last = delay(&air, last.checked_add(more))?;
                    Some(*last)
                }
                _ => None,
            };
            flights.push(Flight { air_time, ..flight });
        }
    }
    for column in [&per_day, &scheduled, &airline, &route, &departure, &arrival, &air] {
        column.end()?;
    }
    if flights.len() != count {
        return Err(reader.error("another number of flights than was stated"));
    }
    Ok(flights)
}

/// Checks that a delay or duration, in minutes, is within a week.
fn delay(column: &ColumnReader<'_>, minutes: Option<i32>) -> Result<i32, DatasetError> {
    minutes
        .filter(|minutes| minutes.abs() <= 7 * 24 * 60)
        .ok_or_else(|| column.error("a duration that cannot be"))
}

#[cfg(test)]
mod tests;
