//! Measures the replacement of the visible analytics remote: from the rebuilt file to the new generation's first
//! frame, stage by stage; the window's own frames meanwhile; and the same dashboard under hot-lib-reloader.
//!
//! `cargo xtask bench`, or `cargo bench --workspace --bench replace`, which leaves hot-lib-reloader out.
//! Every library has never run before, so preflight tries each in its own process first. Without a screen: a frame is
//! `Federation::poll` and the egui pass.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod samples;
#[path = "../tests/it"]
mod it {
    #[expect(dead_code, unused_imports, reason = "the tests use more of it")]
    pub(crate) mod support;
}

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use egui::{Event, Pos2};
use it::support::{Headless, Installation, libraries};
use pulse::{federation, preflight::Preflight};
use samples::Samples;

const ANALYTICS: &str = "remoteAnalytics";
const DASHBOARD: &str = "./analytics-dashboard";
const SCRIPTED: &str = "remoteScripted";
const FIGURES: &str = "Flights 336,776";

/// Number of replacements before the measurement.
const WARM_UP: usize = 5;
const REPLACEMENTS: usize = 60;
const FRAMES: usize = 600;
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);

fn main() {
    // `cargo test --benches` only checks that this program starts.
    if env::args().any(|a| a == "--test") {
        return;
    }
    replacements();
    println!();
    frames_alongside_a_hang();
}

fn replacements() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().analytics);
    installation.edit_host(|host| host["preflight"] = true.into());
    let mut config = installation.config();
    config.preflight = Some(Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), ..Preflight::default() });
    let mut shell = installation.start_with(config);
    shell.show(ANALYTICS, DASHBOARD);
    shell.drive("the dashboard has its figures", |shell| shell.screen().shows(FIGURES));
    // The debounce time of hot-lib-reloader by default, and the time for which the shell waits.
    let mut others = ["500", "30"].map(|debounce| HotReload::start(debounce).map(|hot| (debounce, hot)));

    let mut samples = Samples::default();
    let mut longest = Samples::default();
    for number in 0..WARM_UP + REPLACEMENTS {
        if number == WARM_UP {
            (samples, longest) = Default::default();
        }
        let to = format!("\"title\": \"New {number:05}\",\n  \"remoteEntry\"");
        let from = "\"title\": \"Analytics\",\n  \"remoteEntry\"";
        let file = libraries().analytics.file_name().expect("a file").to_string_lossy().into_owned();
        let new = installation
            .write(&format!("building/{file}"), it::support::edited(&libraries().analytics, &[(from, &to)]));
        shell.notifications.clear();
        shell.take_longest();
        let generation = shell.entry(ANALYTICS).generation();
        let began = Instant::now();
        fs::rename(new, installation.path(&file)).expect("files can be renamed");
        shell.drive("the new generation is promoted", |shell| shell.entry(ANALYTICS).generation() > generation);
        let whole = began.elapsed();
        longest.add("longest frame of the window while it is replaced", shell.take_longest());
        assert!(shell.screen().shows(FIGURES) && shell.has_picture(ANALYTICS, DASHBOARD));
        for (stage, took) in shell.entry(ANALYTICS).times() {
            samples.add(stage, took);
        }
        let took = shell.notifications.iter().find_map(|notice| match notice.event {
            federation::RemoteEvent::Replaced { took, .. } => Some(took),
            _ => None,
        });
        samples.add("from the complete file seen to the first frame", took.expect("its notification"));
        samples.add("from the file renamed into place to the first frame", whole);
        shell.take_longest();
        for (name, other) in others.iter_mut().flatten().map(|(debounce, hot)| (*debounce, hot)) {
            let (whole, frame) = other.replace();
            longest.add(
                &format!("hot-lib-reloader, debounce {name} ms, from the file renamed to the first frame"),
                whole,
            );
            longest.add(&format!("hot-lib-reloader, debounce {name} ms, of that the first frame"), frame);
        }
        shell.drive("the old generation is retired", |shell| shell.federation.retiring().count() == 0);
        shell.take_longest();
        for _ in 0..10 {
            shell.frame(Vec::new());
            longest.add("frame of the window while nothing happens", shell.take_longest());
        }
    }
    println!(
        "Replacing the analytics remote while it is shown, {REPLACEMENTS} times, each with a library that has not run before"
    );
    samples.report();
    longest.report();
}

/// Measures the window's frames while another remote does not return from a frame.
fn frames_alongside_a_hang() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().analytics);
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(ANALYTICS, DASHBOARD);
    shell.show(SCRIPTED, "./calm");
    shell.drive("both remotes have pictures", |shell| {
        shell.screen().shows(FIGURES) && shell.screen().shows("Counted 0")
    });
    println!("Frames of the window, {FRAMES} at 60 a second, the pointer moving over the dashboard");
    let mut samples = Samples::default();
    let mut run = |name: &str, shell: &mut Headless| {
        let mut next = Instant::now();
        for at in 0..FRAMES {
            let x = 80.0 + (at % 150) as f32 * 3.0;
            shell.take_longest();
            shell.frame(vec![Event::PointerMoved(Pos2::new(x, 450.0))]);
            samples.add(name, shell.take_longest());
            next += FRAME;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    };
    run("both remotes answer", &mut shell);
    installation.write(&format!("data/remotes/{SCRIPTED}/fault"), "hang@frame");
    shell.press("Count");
    let drawn = shell.frames(ANALYTICS, DASHBOARD);
    run("the other one sleeps for ever in a frame", &mut shell);
    let drawn = shell.frames(ANALYTICS, DASHBOARD) - drawn;
    installation.write(&format!("data/remotes/{SCRIPTED}/go-on"), "");
    samples.report();
    println!("the dashboard gave {drawn} pictures to these {FRAMES} frames");
}

/// A program that replaces the same dashboard with hot-lib-reloader, on command.
struct HotReload {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl HotReload {
    /// Starts the program from the folder in `PULSE_HOT_RELOAD`, which `cargo xtask bench` sets; `None` if unset.
    fn start(debounce: &str) -> Option<Self> {
        let folder = std::path::PathBuf::from(env::var_os("PULSE_HOT_RELOAD")?);
        let mut command = Command::new(folder.join(format!("hot-reload{}", env::consts::EXE_SUFFIX)));
        command.arg(debounce).arg(folder.join(it::support::library_file("hot_dashboard")));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("hot-reload starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Some(Self { input: child.stdin.take(), output, child })
    }

    /// Replaces the dashboard; returns the time from the file's rename to the first frame, and that frame's time.
    fn replace(&mut self) -> (Duration, Duration) {
        writeln!(self.input.as_mut().expect("stdin is open")).expect("hot-reload reads its input");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("hot-reload answers");
        let mut figures = line.split_whitespace().map(|text| text.parse().map(Duration::from_micros));
        match (figures.next(), figures.next()) {
            (Some(Ok(whole)), Some(Ok(frame))) => (whole, frame),
            _ => panic!("hot-reload ended early: {:?}", self.child.wait()),
        }
    }
}

impl Drop for HotReload {
    fn drop(&mut self) {
        // The program ends with its input.
        self.input = None;
        let _ = self.child.wait();
    }
}
