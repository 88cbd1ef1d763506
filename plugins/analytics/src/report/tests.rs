#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
//! Compares reports with figures that `data/build_dataset.py --figures` has computed from the source.

use std::sync::Arc;

use super::*;
use crate::{
    database::{CheckDepth, Control},
    dataset::BUNDLED,
};

fn database(folder: &tempfile::TempDir) -> Database {
    let control = Control { stop: Arc::default(), progress: &|_| {} };
    Database::open(folder.path(), BUNDLED, CheckDepth::Quick, &control).unwrap()
}

fn totals([flights, on_time, departed, departure_delay, cancelled]: [i64; 5]) -> Totals {
    let totals = Totals { flights, departed, on_time, departure_delay };
    assert_eq!(totals.cancelled(), cancelled);
    totals
}

#[test]
fn figures_of_every_range() {
    struct Expect {
        range: QuickRange,
        first: &'static str,
        now: [i64; 5],
        previous: Option<[i64; 5]>,
        first_day: [i64; 5],
        jetblue: [i64; 5],
        carriers: usize,
    }
    let folder = tempfile::tempdir().unwrap();
    let database = database(&folder);
    for expect in [
        Expect {
            range: QuickRange::Week,
            first: "2013-12-25",
            now: [6_064, 4_534, 6_003, 70_729, 61],
            previous: Some([6_362, 4_132, 6_299, 124_445, 63]),
            first_day: [719, 618, 715, 5_400, 4],
            jetblue: [1_147, 703, 1_139, 17_537, 8],
            carriers: 15,
        },
        Expect {
            range: QuickRange::Month,
            first: "2013-12-02",
            now: [27_148, 17_149, 26_129, 440_561, 1_019],
            previous: Some([27_269, 22_248, 27_067, 143_182, 202]),
            first_day: [1_004, 821, 1_001, 9_031, 3],
            jetblue: [4_581, 2_653, 4_511, 78_473, 70],
            carriers: 15,
        },
        Expect {
            range: QuickRange::Quarter,
            first: "2013-10-03",
            now: [82_352, 61_787, 80_864, 776_239, 1_488],
            previous: Some([84_635, 63_836, 82_868, 1_069_741, 1_767]),
            first_day: [995, 786, 992, 9_961, 3],
            jetblue: [13_117, 9_858, 13_041, 108_519, 76],
            carriers: 16,
        },
        Expect {
            range: QuickRange::Year,
            first: "2013-01-01",
            now: [336_776, 247_246, 328_521, 4_152_200, 8_255],
            previous: None,
            first_day: [842, 577, 838, 9_678, 4],
            jetblue: [54_635, 39_482, 54_169, 705_417, 466],
            carriers: 16,
        },
    ] {
        let report = database.report(expect.range).unwrap();
        let range = expect.range;
        assert_eq!(report.range, range);
        assert_eq!(report.current.first.to_string(), expect.first);
        assert_eq!(report.as_of().to_string(), "2013-12-31");
        assert_eq!(report.current.totals, totals(expect.now), "{range:?}");
        let previous = report.previous.as_ref().map(|period| period.totals);
        assert_eq!(previous, expect.previous.map(totals), "{range:?}");
        assert_eq!(report.current.days.len(), usize::from(range.days()));
        assert_eq!(report.current.days[0], totals(expect.first_day), "{range:?}");
        assert_eq!(*report.current.days.last().unwrap(), totals([776, 573, 760, 5_317, 16]));
        assert_eq!(report.carriers.len(), expect.carriers, "{range:?}");
        let jetblue = report.carriers.iter().find(|carrier| carrier.name == "JetBlue Airways");
        assert_eq!(jetblue.unwrap().totals, totals(expect.jetblue), "{range:?}");
        let all = report.carriers.iter().fold(Totals::default(), |all, carrier| all.and(&carrier.totals));
        assert_eq!(all, report.current.totals, "{range:?}: the carriers do not add up to the totals");
    }
}

#[test]
fn measures_of_the_year() {
    let folder = tempfile::tempdir().unwrap();
    let year = database(&folder).report(QuickRange::Year).unwrap().current.totals;
    let close =
        |value: Option<f64>, expected: f64| assert!((value.unwrap() - expected).abs() < 5e-5, "{value:?}");
    close(year.on_time_share(), 0.734_16);
    close(year.average_delay(), 12.639_07);
    close(year.cancelled_share(), 0.024_51);
}

#[test]
fn nothing_divides_by_zero() {
    let none = Totals::default();
    assert_eq!(none.value(Measure::Flights), Some(0.0));
    assert_eq!(none.value(Measure::OnTime), None);
    assert_eq!(none.value(Measure::Delay), None);
    assert_eq!(none.cancelled_share(), None);
    let grounded = Totals { flights: 3, ..none };
    assert_eq!(grounded.average_delay(), None);
    assert_eq!(grounded.cancelled(), 3);
}
