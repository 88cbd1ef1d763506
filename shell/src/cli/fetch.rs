//! Commands that fetch: each starts the fetching process, and reports its progress on standard error.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use delivery::{
    fetch::{Fetch, FetchEvent, Request, Task},
    release::{MAX_NOTE, Wanted},
};
use negotiation::text;

use super::Exit;
use crate::{
    catalogue::Code,
    config::Config,
    data::deliveries::{Deliveries, DeliveryDecisions, Repository, network, now},
    preflight::this_program,
};

/// Performs a task for a repository, and returns the event that ends it.
pub(super) fn perform(config: &Config, repository: &Repository, task: Task) -> Result<FetchEvent, Exit> {
    let deliveries = Deliveries::new(&config.data_dir);
    let cache = deliveries.make_cache(&repository.address)?;
    let network = repository.network(config)?;
    await_end(&Request { task, address: repository.address.clone(), cache, network })
}

/// Performs a task for an address that is not trusted yet.
pub(super) fn perform_at(config: &Config, address: &str, task: Task) -> Result<FetchEvent, Exit> {
    let deliveries = Deliveries::new(&config.data_dir);
    let cache = deliveries.make_cache(address)?;
    await_end(&Request { task, address: address.to_owned(), cache, network: network(config) })
}

fn await_end(request: &Request) -> Result<FetchEvent, Exit> {
    let fetch = Fetch::start(&this_program(), request, || ())?;
    let mut line = ProgressLine::default();
    loop {
        // A process that ends without an answer is an event, too.
        let Some(event) = fetch.wait_event(Duration::from_mins(1)) else { continue };
        match event {
            FetchEvent::Progress { bytes, total } => line.show(bytes, total),
            FetchEvent::Waiting => {
                line.end();
                crate::log::note(format_args!("another process fetches the same; waiting for it"));
            }
            FetchEvent::Retrying { error, .. } => {
                line.end();
                crate::log::note(format_args!("trying again: {}", text::line(&error.summary, MAX_NOTE)));
            }
            FetchEvent::Failed(error) => {
                line.end();
                return Err(error.into());
            }
            event => {
                line.end();
                return Ok(event);
            }
        }
    }
}

/// A line of progress on a terminal.
#[derive(Default)]
struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    fn show(&mut self, bytes: u64, total: u64) {
        let mut stderr = io::stderr().lock();
        if stderr.is_terminal() {
            let percent = (bytes.min(total) * 100).checked_div(total).unwrap_or(100);
            let mega = |bytes: u64| bytes as f64 / 1e6;
            // A closed standard error is no reason to stop.
            let _ = write!(stderr, "\r{percent:>3} % of {:.1} MB ", mega(total));
            let _ = stderr.flush();
            self.shown = true;
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = writeln!(io::stderr().lock());
        }
    }
}

/// Checks a repository for the releases that are wanted from it.
pub(super) fn check(config: &Config, repository: &Repository, wanted: Vec<Wanted>) -> Result<(), Exit> {
    let root = Some(repository.trusted.root);
    match perform(config, repository, Task::Check { root, wanted })? {
        FetchEvent::Checked { problems, .. } => {
            for problem in problems {
                Exit::from(problem).print();
            }
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// Returns the exit for an event that does not answer the request.
pub(super) fn unexpected(event: &FetchEvent) -> Exit {
    let text = format!("the fetching process gave an answer to another request: {event:?}");
    let text = text::line(&text, 300);
    Exit::new(Exit::FAILURE, Code::DeliveryProcessFailed, text, "try again, and report this as a bug")
}

/// Reads the decisions about repositories.
pub(super) fn decisions(config: &Config) -> Result<(Deliveries, DeliveryDecisions), Exit> {
    let deliveries = Deliveries::new(&config.data_dir);
    let decisions = deliveries.read()?;
    Ok((deliveries, decisions))
}

/// Formats the time since `at`, in seconds since 1970.
pub(super) fn ago(at: u64) -> String {
    let minutes = now().saturating_sub(at) / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}
