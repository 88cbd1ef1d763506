//! Measured times.
#![expect(clippy::print_stdout, reason = "the figures are what a benchmark is for")]

use std::time::Duration;

/// Times by name, in the order of the names' first use.
#[derive(Default)]
pub(crate) struct Samples(Vec<(String, Vec<Duration>)>);

impl Samples {
    /// Adds a time.
    pub(crate) fn add(&mut self, name: &str, took: Duration) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, samples)) => samples.push(took),
            None => self.0.push((name.to_owned(), vec![took])),
        }
    }

    /// Prints median, 99th percentile and longest time of each name.
    pub(crate) fn report(mut self) {
        for (name, samples) in &mut self.0 {
            samples.sort();
            let at =
                |part: usize| samples[(samples.len() * part / 100).min(samples.len() - 1)].as_secs_f64() * 1e3;
            let (median, late, last) = (at(50), at(99), at(100));
            println!("{name:76} median {median:8.3} ms   p99 {late:8.3} ms   longest {last:8.3} ms");
        }
    }
}
