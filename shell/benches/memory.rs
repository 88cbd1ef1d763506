//! Measures the memory of each further remote: the same panel of widgets in eight remotes, one after the other.
//!
//! `cargo xtask bench`, or `cargo bench --workspace --bench memory`. Without a screen; Linux only.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

#[path = "../tests/it"]
mod it {
    #[expect(dead_code, unused_imports, reason = "the tests use more of it")]
    pub(crate) mod support;
}

use std::{env, fs};

use it::support::{Installation, edited, libraries};

const REMOTES: usize = 8;
const PANEL: &str = "./widgets";

fn main() {
    // `cargo test --benches` only checks that this program starts.
    if env::args().any(|a| a == "--test") {
        return;
    }
    let mut installation = Installation::new();
    let names: Vec<String> = (0..REMOTES).map(|number| format!("remoteNumber{number:05}")).collect();
    for name in &names {
        let (from, to) = ("\"name\": \"remoteMisbehaving\"", format!("\"name\": \"{name}\""));
        let file = format!("{name}.{}", env::consts::DLL_EXTENSION);
        installation.write(&file, edited(&libraries().misbehaving, &[(from, &to)]));
        installation.configure(name, &format!("{name}@{file}"));
    }
    let mut shell = installation.start();
    println!("Resident memory as remotes are added, each with a panel of widgets on the screen");
    let mut before = anonymous();
    for name in &names {
        shell.show(name, PANEL);
        shell.drive("the panel has a picture", |shell| shell.has_picture(name, PANEL));
        // Lets the work after the first picture end.
        for _ in 0..30 {
            shell.frame(Vec::new());
        }
        let after = anonymous();
        println!("{name}  {:5} KiB more, {after:6} KiB in all", after.saturating_sub(before));
        before = after;
    }
}

/// Returns the memory of the process alone in KiB, without mapped files.
fn anonymous() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}
