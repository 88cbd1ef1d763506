//! The log of the shell and its remotes.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
};

use tracing_subscriber::EnvFilter;

use crate::catalogue::Code;

/// The variable that filters the log.
const LOG: &str = "PULSE_SHELL_LOG";

/// Writes a line to standard error; a reader that has gone is not an error.
pub(crate) fn note(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Sends the log to standard error, filtered by `PULSE_SHELL_LOG`; by default, remotes are logged like the shell.
pub fn init() {
    const DEFAULT: &str = "warn,winit=error,pulse=info,[{remote}]=info";
    let chosen = env::var_os(LOG).filter(|text| !text.is_empty());
    let chosen = chosen.map(|text| text.to_string_lossy().into_owned());
    let parsed = chosen.as_ref().map(EnvFilter::try_new);
    let (filter, wrong) = match parsed {
        Some(Ok(filter)) => (Some(filter), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    // A second call, by a test or an example, keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(DEFAULT)))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .event_format(telemetry::line::OneLine::default())
        .try_init();
    if let Some(error) = wrong {
        tracing::warn!(
            code = Code::LogFilterInvalid.as_str(),
            "{LOG} is ignored ({error}); write LEVEL or TARGET=LEVEL,…, with a level of error, warn, info, debug, \
             trace or off"
        );
    }
}

/// Logs of tests.
#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// Returns what `f` writes to the log.
    pub(crate) fn capture(f: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("no thread panics while holding the lock").write(text)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, f);
        let text = lines.0.lock().expect("no thread panics while holding the lock").clone();
        String::from_utf8(text).expect("UTF-8")
    }

    /// Returns the number of lines of a log with this code.
    pub(crate) fn count(log: &str, code: Code) -> usize {
        log.matches(&format!("code=\"{code}\"")).count()
    }
}
