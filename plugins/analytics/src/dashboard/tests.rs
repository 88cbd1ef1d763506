#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, sync::mpsc, time::Duration};

use egui_kittest::{Harness, kittest::NodeT, kittest::Queryable};
use plugin_api::{
    egui::{MouseWheelUnit, Role, TouchPhase, Vec2, ViewportId},
    theme,
    tokens::{DARK, LIGHT},
};
use tempfile::TempDir;

use super::*;
use crate::report::{Period, Totals};

struct Surface {
    dashboard: Dashboard,
    viewer: Option<&'static str>,
    dark: bool,
}

/// A dashboard in a window of its own, driven through its accessibility tree.
struct Page {
    harness: Harness<'static, Surface>,
    woken: mpsc::Receiver<()>,
}

/// Returns `true` in the first pass, and installs the fonts for the next one.
fn lacks_fonts(ui: &egui::Ui) -> bool {
    let first = ui.ctx().cumulative_pass_nr() == 0;
    if first {
        pulse::fonts::install(ui.ctx());
        ui.ctx().request_repaint();
    }
    first
}

impl Page {
    fn open(folder: &Path, size: [f32; 2]) -> Self {
        let (wake, woken) = mpsc::channel();
        let wake = Arc::new(move || {
            let _ = wake.send(());
        });
        let dashboard = Dashboard::new(folder.to_owned(), wake);
        let surface = Surface { dashboard, viewer: None, dark: false };
        let harness = Harness::builder().with_size(size).with_max_steps(30).build_ui_state(
            |ui, surface: &mut Surface| {
                if lacks_fonts(ui) {
                    return;
                }
                theme::apply(ui.ctx(), if surface.dark { &DARK } else { &LIGHT });
                surface.dashboard.ui(ui, surface.viewer);
            },
            surface,
        );
        Self { harness, woken }
    }

    fn has(&self, label: &str) -> bool {
        self.harness.query_by_label(label).is_some()
    }

    /// Paints at each wake-up by the worker, until `label` appears.
    fn until(&mut self, label: &str) {
        loop {
            self.harness.run();
            if self.has(label) {
                return;
            }
            self.woken
                .recv_timeout(Duration::from_mins(1))
                .unwrap_or_else(|_| panic!("{label:?} did not appear"));
        }
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.run();
    }

    fn carriers(&self) -> Vec<String> {
        let rows = self.harness.query_all_by_role(Role::Row);
        let name = |label: String| label.split(':').next().unwrap().to_owned();
        let mut rows: Vec<_> =
            rows.map(|row| (row.rect().top(), name(row.accesskit_node().label().unwrap()))).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.into_iter().map(|(_, name)| name).collect()
    }
}

const YEAR: &str = "Flights 336,776";

fn year(size: [f32; 2]) -> (Page, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut page = Page::open(folder.path(), size);
    page.until(YEAR);
    (page, folder)
}

#[test]
fn year_shows_its_four_figures() {
    let (page, _folder) = year([1024.0, 800.0]);
    for label in [
        YEAR,
        "On-time arrivals 73.4 %",
        "Average departure delay 12.6 min",
        "Cancelled 8,255 (2.45 %)",
        "Flights from New York City, as of 31 Dec 2013",
        "1 Jan – 31 Dec 2013",
        "Flights per day",
    ] {
        page.harness.get_by_label(label);
    }
    let card = page.harness.get_by_label(YEAR);
    assert_eq!(card.accesskit_node().description().unwrap(), "no earlier period to compare with");
}

#[test]
fn badge_names_the_viewer() {
    let (mut page, _folder) = year([1024.0, 800.0]);
    assert!(page.has("Not authenticated"));
    page.harness.state_mut().viewer = Some("Grace Hopper");
    page.harness.run();
    assert!(page.has("Viewing as: Grace Hopper") && !page.has("Not authenticated"));
    page.harness.state_mut().viewer = None;
    page.harness.run();
    assert!(page.has("Not authenticated") && !page.has("Viewing as: Grace Hopper"));
}

#[test]
fn range_changes_figures_dates_and_comparison() {
    let (mut page, _folder) = year([1024.0, 800.0]);
    for (range, flights, dates, change) in [
        ("Last 30 days", "Flights 27,148", "2 – 31 Dec 2013", "▼ 0.4% vs previous 30 days"),
        ("Last 7 days", "Flights 6,064", "25 – 31 Dec 2013", "▼ 4.7% vs previous 7 days"),
        ("Last 90 days", "Flights 82,352", "3 Oct – 31 Dec 2013", "▼ 2.7% vs previous 90 days"),
    ] {
        page.click(range);
        page.until(flights);
        assert!(page.has(dates), "{range}");
        let card = page.harness.get_by_label(flights);
        assert_eq!(card.accesskit_node().description().unwrap(), change);
    }
    // The direction of a change does not imply its judgement: 18.4 points down and 404.5% up are both worse.
    page.click("Last 30 days");
    page.until("Cancelled 1,019 (3.75 %)");
    let spoken = |label| page.harness.get_by_label(label).accesskit_node().description().unwrap();
    assert_eq!(spoken("On-time arrivals 63.2 %"), "▼ 18.4 pp vs previous 30 days");
    assert_eq!(spoken("Cancelled 1,019 (3.75 %)"), "▲ 404.5% vs previous 30 days");
    assert!(page.has("Previous 30 days"), "the legend names the ghost line");
    page.click("Year");
    page.until(YEAR);
    assert!(!page.has("Previous 30 days"));
}

#[test]
fn card_puts_its_measure_on_the_chart() {
    let (mut page, _folder) = year([1024.0, 800.0]);
    page.click("Cancelled 8,255 (2.45 %)");
    assert!(page.has("Cancellations per day"));
    assert!(page.has("Cancellations per day, 1 Jan – 31 Dec 2013: 8,255 (2.45%)"), "the chart is described");
    page.click("Average departure delay 12.6 min");
    assert!(page.has("Average departure delay per day"));
}

#[test]
fn column_sorts_the_carriers() {
    let (mut page, _folder) = year([1024.0, 1_600.0]);
    let rows = page.carriers();
    assert_eq!((rows.len(), &*rows[0], &*rows[15]), (16, "United Air Lines Inc.", "SkyWest Airlines Inc."));
    page.click("Carrier");
    assert_eq!(page.carriers()[0], "AirTran Airways Corporation");
    page.click("Carrier");
    assert_eq!(page.carriers()[0], "Virgin America");
    page.click("On time");
    assert_eq!(page.carriers()[0], "Hawaiian Airlines Inc.");
    let row = "JetBlue Airways: 54,635 flights, 72.3% on time, 13.0 min average delay, 466 (0.85%) cancelled";
    assert!(page.has(row));
}

#[test]
fn failure_is_described_and_retry_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("data");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let mut page = Page::open(&blocked, [1024.0, 800.0]);
    page.until("Retry");
    assert!(page.has("The flights could not be loaded") && page.has("Code: data-folder"));
    fs::remove_file(&blocked).unwrap();
    page.click("Retry");
    page.until(YEAR);
    assert!(!page.has("Retry"));
}

#[test]
fn waiting_for_another_importer_is_shown() {
    let (page, folder) = year([1024.0, 800.0]);
    drop(page);
    let named = |end: &str| {
        let mut entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|extension| extension == end)).unwrap()
    };
    fs::remove_file(named("sqlite3")).unwrap();
    let lock = fs::File::open(named("lock")).unwrap();
    lock.lock().unwrap();
    let mut page = Page::open(folder.path(), [480.0, 400.0]);
    page.until("Another window is importing the flights…");
    page.harness.get_by_role(Role::ProgressIndicator);
    lock.unlock().unwrap();
    page.until(YEAR);
    assert!(page.harness.query_by_role(Role::ProgressIndicator).is_none());
}

#[test]
fn rebuilt_database_is_reported_once() {
    let (page, folder) = year([1024.0, 800.0]);
    drop(page);
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|end| end == "sqlite3")) {
        fs::write(file, "no database").unwrap();
    }
    let mut page = Page::open(folder.path(), [1024.0, 800.0]);
    page.until(YEAR);
    page.click("Dismiss");
    assert!(!page.has("Dismiss"));
}

#[test]
fn empty_range_is_reported() {
    let (mut page, _folder) = year([800.0, 600.0]);
    let days = vec![Totals::default(); 7];
    let first = jiff::civil::date(2013, 12, 25);
    let current = Period { first, days, totals: Totals::default() };
    let empty = RangeReport { range: QuickRange::Week, current, previous: None, carriers: Vec::new() };
    let mut harness = Harness::new_ui(move |ui| {
        if lacks_fonts(ui) {
            return;
        }
        theme::apply(ui.ctx(), &LIGHT);
        let palette = Palette::of(ui);
        page.harness.state_mut().dashboard.report_ui(ui, &palette, &empty, 600.0);
    });
    harness.run();
    harness.get_by_label("No flights in these days");
    harness.get_by_label("Flights 0");
    harness.get_by_label("Average departure delay –");
}

#[test]
fn untouched_dashboard_requests_no_repaint() {
    let (mut page, _folder) = year([1024.0, 800.0]);
    page.harness.run();
    let delay = page.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay;
    assert_eq!(delay, Duration::MAX);
    page.harness.hover_at(egui::pos2(500.0, 500.0));
    page.harness.run();
    let delay = page.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay;
    assert_eq!(delay, Duration::MAX, "over the chart");
}

#[test]
fn wheel_over_the_chart_scrolls_the_page() {
    let (mut page, _folder) = year([1024.0, 600.0]);
    let chart = "Flights per day, 1 Jan – 31 Dec 2013: 336,776";
    let before = page.harness.get_by_label(chart).rect();
    page.harness.hover_at(before.center().min(egui::pos2(500.0, 560.0)));
    page.harness.run();
    page.harness.event(egui::Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta: Vec2::new(0.0, -120.0),
        phase: TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
        modifiers: egui::Modifiers::NONE,
    });
    page.harness.run();
    let after = page.harness.get_by_label(chart).rect();
    assert!(after.top() < before.top() - 60.0, "{before:?} {after:?}");
}

#[test]
fn choice_of_measure_moves_no_widget() {
    for width in [480.0, 700.0, 820.0, 960.0, 1_160.0, 1_400.0] {
        let (mut page, _folder) = year([width, 1_600.0]);
        let rect = |page: &Page, label: &str| page.harness.get_by_label(label).rect();
        let chart = |page: &Page| {
            let chart = page.harness.query_all_by_role(Role::Image).next().unwrap();
            (chart.rect(), rect(page, "7-day mean"), rect(page, "Carrier"))
        };
        let before = chart(&page);
        for card in
            ["On-time arrivals 73.4 %", "Average departure delay 12.6 min", "Cancelled 8,255 (2.45 %)", YEAR]
        {
            page.click(card);
            assert_eq!(chart(&page), before, "{width}: {card}");
        }
    }
}

#[test]
fn narrow_page_shows_viewer_and_date_in_full() {
    let (mut page, _folder) = year([268.0, 700.0]);
    page.harness.state_mut().viewer = Some("Grace Hopper");
    page.harness.run();
    let badge = page.harness.get_by_label("Viewing as: Grace Hopper").rect();
    let title = page.harness.get_by_label("Analytics").rect();
    let date = page.harness.get_by_label("Flights from New York City, as of 31 Dec 2013").rect();
    assert!(badge.width() > 140.0, "the badge shows all of its text: {badge}");
    assert!(badge.top() >= date.bottom() && date.top() >= title.bottom(), "{title} {date} {badge}");
    assert!(
        date.height() > 1.5 * page.harness.get_by_label("Daily range").rect().height(),
        "the date has two lines: {date}"
    );
    let [first, last] = ["Last 7 days", "Year"].map(|range| page.harness.get_by_label(range).rect());
    assert!(
        (first.left() - (268.0 - last.right())).abs() < 0.5,
        "the padding is equal at both sides: {first} {last}"
    );
}

#[test]
fn pointer_marks_only_the_day() {
    let (mut page, _folder) = year([1_400.0, 900.0]);
    let chart = page.harness.query_all_by_role(Role::Image).next().unwrap().rect();
    let shapes = |page: &Page| page.harness.output().shapes.iter().filter(|shape| is_dot(&shape.shape)).count();
    let before = shapes(&page);
    // Between the lines the nearest point belongs to another day.
    for share in [0.2, 0.5, 0.75] {
        page.harness
            .hover_at(egui::pos2(chart.left() + chart.width() * 0.6, chart.top() + chart.height() * share));
        page.harness.run();
        // One dot for the day's point, and one in front of its row in the tooltip.
        assert_eq!(shapes(&page), before + 2, "{share}");
    }
}

fn is_dot(shape: &egui::Shape) -> bool {
    match shape {
        egui::Shape::Circle(_) => true,
        egui::Shape::Vec(shapes) => shapes.iter().any(is_dot),
        _ => false,
    }
}

#[test]
fn widgets_fit_without_overlap_at_every_size() {
    let folder = tempfile::tempdir().unwrap();
    Page::open(folder.path(), [480.0, 400.0]).until(YEAR);
    for (size, columns) in [
        ([360.0, 400.0], 1),
        ([480.0, 400.0], 2),
        ([700.0, 500.0], 2),
        ([1024.0, 768.0], 4),
        ([1280.0, 800.0], 4),
        ([1920.0, 1200.0], 4),
    ] {
        let mut page = Page::open(folder.path(), size);
        page.harness.state_mut().viewer = Some("Rear Admiral Grace Brewster Murray Hopper, USNR, retired");
        page.until(YEAR);
        page.click("Last 90 days");
        page.until("Flights 82,352");
        let names = [
            "Flights 82,352",
            "On-time arrivals 75.0 %",
            "Average departure delay 9.6 min",
            "Cancelled 1,488 (1.81 %)",
        ];
        let cards = names.map(|name| page.harness.get_by_label(name).rect());
        let first_row = cards.iter().filter(|card| (card.top() - cards[0].top()).abs() < 0.5).count();
        assert_eq!(first_row, columns, "{size:?}");
        let others = [
            "Analytics",
            "Viewing as: Rear Admiral Grace Brewster Murray Hopper, USNR, retired",
            "Year",
            "3 Oct – 31 Dec 2013",
            "Flights per day",
            "Previous 90 days",
            "Cancelled",
        ]
        .map(|name| page.harness.get_by_label(name).rect());
        let all: Vec<_> = cards.into_iter().chain(others).collect();
        for (index, rect) in all.iter().enumerate() {
            assert!(
                rect.left() >= 0.0 && rect.right() <= size[0] && rect.is_positive(),
                "{size:?}: {index} {rect:?}"
            );
            for other in &all[..index] {
                assert!(!rect.shrink(0.5).intersects(*other), "{size:?}: {index} {rect:?} {other:?}");
            }
        }
    }
}

#[test]
fn dashboard_loads_until_figures_or_failure() {
    let folder = tempfile::tempdir().unwrap();
    let loads = |folder: PathBuf| {
        let (wake, woken) = mpsc::channel();
        let wake = Arc::new(move || {
            let _ = wake.send(());
        });
        let dashboard = Dashboard::new(folder, wake);
        while dashboard.is_loading() {
            woken.recv_timeout(Duration::from_mins(1)).unwrap();
        }
        dashboard.source.view()
    };
    assert!(loads(folder.path().to_owned()).report.is_some());
    // This folder has no database yet, and an import takes longer than the next line.
    let fresh = tempfile::tempdir().unwrap();
    assert!(Dashboard::new(fresh.path().to_owned(), Arc::new(|| ())).is_loading());
    let blocked = folder.path().join("data");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    assert!(matches!(loads(blocked).phase, Phase::Failed(_)));
}

#[test]
fn choice_survives_and_unknown_fields_are_ignored() {
    let (mut page, folder) = year([1024.0, 800.0]);
    page.click("Last 7 days");
    page.until("Flights 6,064");
    page.click("Cancelled 61 (1.01 %)");
    page.click("Carrier");
    let saved = page.harness.state().dashboard.save();
    drop(page);

    let mut page = Page::open(folder.path(), [1024.0, 1_600.0]);
    page.harness.state_mut().dashboard.restore(&saved).unwrap();
    page.until("Cancelled 61 (1.01 %)");
    assert!(page.has("Cancellations per day"));
    assert_eq!(page.carriers()[0], "AirTran Airways Corporation");
    assert_eq!(page.harness.state().dashboard.save(), saved);

    let dashboard = &mut page.harness.state_mut().dashboard;
    let newer = br#"{"range":"decade","measure":"delay","zoom":{"from":3},"sort":7}"#;
    dashboard.restore(newer).unwrap();
    let expected = Choice { measure: Measure::Delay, ..dashboard.choice };
    assert_eq!((dashboard.choice, dashboard.choice.range), (expected, QuickRange::Week));
    assert_eq!(dashboard.restore(b"\xFF\x00").unwrap_err().code(), "state-not-an-object");
    assert_eq!(dashboard.restore(b"[1]").unwrap_err().code(), "state-not-an-object");
}
