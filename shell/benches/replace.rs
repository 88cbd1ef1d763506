//! Replacing the analytics remote while it is shown: from the rebuilt file to the new generation's first frame, stage
//! by stage; what the window's own frames take meanwhile; and the same dashboard under hot-lib-reloader.
//!
//! `cargo xtask bench`, or `cargo bench --workspace --bench replace`, which leaves hot-lib-reloader out.
//! Every library is one that has never run, so each is tried in a process of its own first. Without a screen: a frame
//! is `Federation::poll` and the egui pass.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

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

const ANALYTICS: &str = "remoteAnalytics";
const DASHBOARD: &str = "./analytics-dashboard";
const SCRIPTED: &str = "remoteScripted";
const FIGURES: &str = "Flights 336,776";

/// Before anything is measured.
const WARM_UP: usize = 5;
const REPLACEMENTS: usize = 60;
const FRAMES: usize = 600;
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);

fn main() {
    // `cargo test --benches` only asks whether this starts.
    if env::args().any(|a| a == "--test") {
        return;
    }
    replacements();
    println!();
    frames_beside_one_that_hangs();
}

fn replacements() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().analytics);
    installation.edit_host(|host| host["preflight"] = true.into());
    let mut config = installation.config();
    config.preflight = Some(Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), ..Preflight::default() });
    let mut shell = installation.start_with(config);
    shell.show(ANALYTICS, DASHBOARD);
    shell.drive("the dashboard has its figures", |shell| shell.screen().says(FIGURES));
    // Their own default, and the time for which the shell waits too.
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
        shell.told.clear();
        shell.take_longest();
        let generation = shell.entry(ANALYTICS).generation();
        let began = Instant::now();
        fs::rename(new, installation.path(&file)).expect("files can be renamed");
        shell.drive("another generation takes over", |shell| shell.entry(ANALYTICS).generation() > generation);
        let whole = began.elapsed();
        longest.add("longest frame of the window while it is replaced", shell.take_longest());
        assert!(shell.screen().says(FIGURES) && shell.has_picture(ANALYTICS, DASHBOARD));
        for (stage, took) in shell.entry(ANALYTICS).times() {
            samples.add(stage, took);
        }
        let took = shell.told.iter().find_map(|told| match told.event {
            federation::Event::Replaced { took, .. } => Some(took),
            _ => None,
        });
        samples.add("from the complete file seen to the first frame", took.expect("it is told"));
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
        shell.drive("the old one has gone", |shell| shell.federation.retiring().count() == 0);
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

/// What the window's frames take while another remote never returns from one.
fn frames_beside_one_that_hangs() {
    let mut installation = Installation::new();
    installation.add_library(&libraries().analytics);
    installation.add_library(&libraries().scripted);
    let mut shell = installation.start();
    shell.show(ANALYTICS, DASHBOARD);
    shell.show(SCRIPTED, "./calm");
    shell.drive("both are there", |shell| shell.screen().says(FIGURES) && shell.screen().says("Counted 0"));
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

/// A program that replaces the same dashboard with hot-lib-reloader whenever it is told to.
struct HotReload {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl HotReload {
    /// None where `PULSE_HOT_RELOAD`, which `cargo xtask bench` sets, does not name the folder that it was built in.
    fn start(debounce: &str) -> Option<Self> {
        let folder = std::path::PathBuf::from(env::var_os("PULSE_HOT_RELOAD")?);
        let mut command = Command::new(folder.join(format!("hot-reload{}", env::consts::EXE_SUFFIX)));
        command.arg(debounce).arg(folder.join(it::support::library_file("hot_dashboard")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        Some(Self { input: child.stdin.take(), output, child })
    }

    /// How long it took from the file's being there to the first frame, and how long that frame took.
    fn replace(&mut self) -> (Duration, Duration) {
        writeln!(self.input.as_mut().expect("it is open")).expect("it listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        let mut figures = line.split_whitespace().map(|text| text.parse().map(Duration::from_micros));
        match (figures.next(), figures.next()) {
            (Some(Ok(whole)), Some(Ok(frame))) => (whole, frame),
            _ => panic!("hot-lib-reloader's program has ended: {:?}", self.child.wait()),
        }
    }
}

impl Drop for HotReload {
    fn drop(&mut self) {
        // It ends with its input.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Times by name, in the order in which the names came first.
#[derive(Default)]
struct Samples(Vec<(String, Vec<Duration>)>);

impl Samples {
    fn add(&mut self, name: &str, took: Duration) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(took),
            None => self.0.push((name.to_owned(), vec![took])),
        }
    }

    fn report(mut self) {
        for (name, samples) in &mut self.0 {
            samples.sort();
            let at =
                |part: usize| samples[(samples.len() * part / 100).min(samples.len() - 1)].as_secs_f64() * 1e3;
            let (median, late, last) = (at(50), at(99), at(100));
            println!("{name:76} median {median:8.3} ms   p99 {late:8.3} ms   longest {last:8.3} ms");
        }
    }
}
