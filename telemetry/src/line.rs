//! A log format that writes each event as one line, regardless of its content.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer, format},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::limits::MAX_LINE;

/// The format of `tracing-subscriber`, with control characters, line breaks and characters that change the direction
/// of text as escapes: no event can look like two, or control a terminal.
#[derive(Debug)]
pub struct OneLine(Format<Full, ()>);

impl Default for OneLine {
    fn default() -> Self {
        Self(format().without_time().with_level(false).with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(ctx, Writer::new(&mut text), event)?;
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        let (on, off) = if writer.has_ansi_escapes() { (color(level), "\u{1b}[0m") } else { ("", "") };
        writeln!(writer, " {on}{level:>5}{off} {}", Escaped(text.strip_suffix('\n').unwrap_or(&text)))
    }
}

const fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

/// A text of which at most [`MAX_LINE`] bytes are written, with visible escapes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.floor_char_boundary(MAX_LINE);
        let mut plain = 0;
        for (at, c) in self.0[..cut].char_indices().filter(|(_, c)| is_deceptive(*c)) {
            f.write_str(&self.0[plain..at])?;
            write!(f, "{}", c.escape_default())?;
            plain = at + c.len_utf8();
        }
        f.write_str(&self.0[plain..cut])?;
        f.write_str(if cut < self.0.len() { "…" } else { "" })
    }
}

/// Returns `true` for control characters, line separators, and marks, embeddings and overrides of direction.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_or(Ok(0), |mut all| all.write(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(ansi: bool, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(ansi)
            .event_format(OneLine::default())
            .finish();
        with_default(subscriber, log);
        let bytes = written.0.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn event_is_one_line_without_controls() {
        let forged = "a\r\n2026-11-28T00:00:00Z  INFO pulse::auth: signed in\u{1b}[2J\u{9b}31m\u{202e}\u{2028}";
        for ansi in [false, true] {
            let text = written(ansi, || {
                tracing::info!(shown = %forged, debugged = forged, remote = %format_args!("x{forged}"), "{forged}");
            });
            let line = text.strip_suffix('\n').unwrap_or_default();
            assert!(line.contains(" INFO") && line.contains("telemetry::line::tests: a\\r\\n2026"), "{text}");
            assert!(line.contains("shown=a\\r\\n2026") && line.contains("remote=xa\\r\\n2026"), "{text}");
            // The format itself adds only these two escapes, for the colour.
            let own = line.replacen("\u{1b}[32m", "", 1).replacen("\u{1b}[0m", "", 1);
            assert!(!own.contains(is_deceptive), "{text:?}");
        }
    }

    #[test]
    fn line_has_a_limit() {
        let text = written(false, || tracing::info!("{}", "ä\n".repeat(MAX_LINE)));
        assert!(text.len() < 2 * MAX_LINE && text.ends_with("…\n"), "{}", text.len());
    }
}
