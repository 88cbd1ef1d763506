//! Measures the time from the start of the program to the first complete dashboard, in a real window under Xvfb.
//!
//! `cargo xtask bench`, or `cargo bench --workspace --bench start` after
//! `cargo build --release --workspace --lib --examples`.
//! The benchmark polls the port of the window's inspection protocol every 10 ms, which is its resolution.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

#[path = "../tests/it"]
mod it {
    #[expect(dead_code, reason = "the tests use more of it")]
    pub(crate) mod driver;
}

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

const STARTS: usize = 20;

fn main() {
    // `cargo test --benches` only checks that this program starts.
    if env::args().any(|a| a == "--test") {
        return;
    }
    let desktop = it::driver::Desktop::new();
    let start = || {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/host.json");
        let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
        command.arg("--config").arg(manifest);
        let began = Instant::now();
        let mut window = desktop.open(command);
        let opened = began.elapsed();
        window.wait_for("Viewing as: Grace Hopper");
        window.wait_for("Flights 336,776");
        (opened, began.elapsed())
    };
    // The same dashboard, linked into a program.
    let programs = Path::new(env!("CARGO_BIN_EXE_pulse")).with_file_name("examples");
    let linked = programs.join(format!("linked{}", env::consts::EXE_SUFFIX));
    let data = tempfile::tempdir().expect("a folder");
    let start_linked = || {
        let mut command = desktop.command(&linked);
        command.arg(data.path());
        let began = Instant::now();
        let mut window = desktop.open(command);
        let opened = began.elapsed();
        window.wait_for("Flights 336,776");
        (opened, began.elapsed())
    };
    println!("From starting a program to the dashboard with its figures, software rendering");
    let (_, first) = start();
    println!("pulse, first start, with the import of the data {:8.1} ms", ms(first));
    start_linked();
    // In turns, so that other load on the machine affects both.
    let samples: Vec<_> = (0..STARTS).map(|_| [start(), start_linked()]).collect();
    for (at, name) in ["pulse", "linked"].into_iter().enumerate() {
        report(&format!("{name}, to the window's first frame"), samples.iter().map(|s| s[at].0).collect());
        report(&format!("{name}, to the complete dashboard"), samples.iter().map(|s| s[at].1).collect());
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn report(name: &str, mut samples: Vec<Duration>) {
    samples.sort();
    let (median, last) = (samples[samples.len() / 2], samples[samples.len() - 1]);
    println!("{name:45} {:8.1} ms median, {:8.1} ms slowest of {}", ms(median), ms(last), samples.len());
}
