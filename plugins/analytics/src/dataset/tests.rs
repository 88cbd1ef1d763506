#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use super::*;

fn content() -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(BUNDLED).read_to_end(&mut content).unwrap();
    content
}

fn find<'a>(data: &'a [Named], code: &str) -> &'a str {
    &data.iter().find(|entry| entry.code == code).unwrap().name
}

#[test]
fn holds_every_flight() {
    let data = decode(BUNDLED).unwrap();
    assert_eq!(i64::try_from(data.flights.len()).unwrap(), BUNDLED_FLIGHTS);
    assert_eq!((data.first_day.to_string().as_str(), data.days), ("2013-01-01", 365));
    assert_eq!((data.airlines.len(), data.airports.len()), (16, 107));
    assert_eq!(find(&data.airlines, "B6"), "JetBlue Airways");
    assert_eq!(find(&data.airports, "JFK"), "John F Kennedy Intl");
    let cancelled = data.flights.iter().filter(|flight| flight.departure_delay.is_none());
    assert_eq!(cancelled.count(), 8_255);
    let no_arrival = data.flights.iter().filter(|flight| flight.arrival_delay.is_none());
    assert_eq!(no_arrival.count(), 9_430);
    // Sums over all rows of the source, by column.
    let air: i64 = data.flights.iter().filter_map(|f| f.air_time).map(i64::from).sum();
    let miles: i64 = data.flights.iter().map(|f| i64::from(data.routes[usize::from(f.route)].distance)).sum();
    let numbers: i64 = data.flights.iter().map(|f| i64::from(f.number)).sum();
    let late: i64 = data.flights.iter().filter_map(|f| f.arrival_delay).map(i64::from).sum();
    assert_eq!((air, miles, numbers, late), (49_326_610, 350_217_607, 664_096_549, 2_257_174));
    assert_eq!(data.flights.iter().filter(|flight| flight.tail == 0).count(), 2_512);
}

#[test]
fn keeps_the_first_flight_of_the_year() {
    let data = decode(BUNDLED).unwrap();
    let flight = data.flights[0];
    let route = data.routes[usize::from(flight.route)];
    assert_eq!((flight.day, flight.scheduled), (0, 5 * 60 + 15));
    assert_eq!((flight.departure_delay, flight.arrival_delay, flight.air_time), (Some(2), Some(11), Some(227)));
    assert_eq!((data.airlines[usize::from(flight.airline)].code.as_str(), flight.number), ("UA", 1545));
    assert_eq!(data.tails[usize::from(flight.tail)], "N14228");
    assert_eq!(data.airports[usize::from(route.origin)].code, "EWR");
    assert_eq!(data.airports[usize::from(route.destination)].code, "IAH");
    assert_eq!(route.distance, 1400);
}

#[test]
fn cut_or_changed_file_is_an_error() {
    for length in [0, 1, 9, 10, 17, 18, 1_000, BUNDLED.len() / 2, BUNDLED.len() - 1] {
        let error = decode(&BUNDLED[..length]).unwrap_err();
        assert_eq!(error.code(), "dataset-compression", "{length} bytes");
    }
    let mut changed = BUNDLED.to_vec();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x40;
    assert!(decode(&changed).is_err());
}

#[test]
fn hostile_content_is_an_error_and_never_a_panic() {
    let content = content();
    // Cuts the decoded content anywhere, past the protection of the checksum.
    for length in (0..2_000).chain((2_000..content.len()).step_by(40_009)) {
        assert!(parse(&content[..length]).is_err(), "{length} bytes");
    }
    // Adds a byte at the end.
    let mut longer = content.clone();
    longer.push(0);
    assert!(parse(&longer).is_err());
    // Damages the head, where every byte is a length, an index or text.
    let mut damaged = content.clone();
    for at in 0..1_500 {
        for value in [0x00, 0x7F, 0x80, 0xFF] {
            let good = std::mem::replace(&mut damaged[at], value);
            if at < 24 && value != good {
                assert!(parse(&damaged).is_err(), "byte {at} = {value:#x}");
            } else if at % 97 == 0 {
                let _ = parse(&damaged);
            }
            damaged[at] = good;
        }
    }
    // Damages the columns.
    for at in (1_500..content.len()).step_by(80_021) {
        damaged[at] ^= 0xFF;
        let _ = parse(&damaged);
        damaged[at] = content[at];
    }
}

#[test]
fn count_without_content_allocates_no_memory() {
    let mut content = Vec::new();
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(b"2013-01-01");
    content.extend_from_slice(&u16::MAX.to_le_bytes());
    content.extend_from_slice(&u32::MAX.to_le_bytes());
    content.extend_from_slice(&[0; 8 + 9 * 4]);
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    file.write_all(&content).unwrap();
    let error = decode(&file.finish().unwrap()).unwrap_err();
    assert_eq!(error.code(), "dataset-format");
}

#[test]
fn identity_is_that_of_the_content() {
    let content = content();
    let mut crc = flate2::Crc::new();
    crc.update(&content);
    assert_eq!(identity(BUNDLED).unwrap(), format!("{:08x}-{}", crc.sum(), content.len()));
    assert_eq!(identity(b"short"), None);
}
