//! Opens addresses in the user's browser, off the window's thread.
//!
//! Looking for a browser runs programs of the desktop, which may need seconds or hang.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use egui::{Context, OutputCommand};
use negotiation::text;
use url::Url;

use crate::{catalogue::Code, limits, spawn::spawn};

/// Opens the links of `ctx` from now on, instead of eframe on the window's thread.
pub(crate) fn install(ctx: &Context) {
    ctx.on_end_pass(
        "links",
        Arc::new(|ui| {
            let taken = ui.ctx().output_mut(|output| {
                let is_link = |command: &mut OutputCommand| matches!(command, OutputCommand::OpenUrl(_));
                output.commands.extract_if(.., is_link).collect::<Vec<_>>()
            });
            for command in taken {
                if let OutputCommand::OpenUrl(link) = command
                    && let Some(address) = address(&link.url)
                {
                    open(&address, webbrowser::open);
                }
            }
        }),
    );
}

/// Returns an address of the web or of mail in its normal form, which no program can mistake for an option or a file.
pub(crate) fn address(text: &str) -> Option<String> {
    if text.len() > limits::URL || text.contains(|c: char| c.is_whitespace() || text::is_deceptive(c)) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let good = match url.scheme() {
        "http" | "https" => url.has_host(),
        // Some mail programs attach the file that an address names.
        "mailto" => !url.query_pairs().any(|(key, _)| {
            let key = key.to_ascii_lowercase();
            key.starts_with("attach") || key == "file"
        }),
        _ => false,
    };
    let address = String::from(url);
    (good && address.len() <= limits::URL).then_some(address)
}

/// Opens `address` with `opener`, on its own thread.
fn open(address: &str, opener: impl FnOnce(&str) -> io::Result<()> + Send + 'static) {
    /// The number of links that are being opened.
    static RUNNING: AtomicUsize = AtomicUsize::new(0);

    struct Running;
    impl Drop for Running {
        fn drop(&mut self) {
            RUNNING.fetch_sub(1, Ordering::AcqRel);
        }
    }

    let before = RUNNING.fetch_add(1, Ordering::AcqRel);
    let running = Running;
    if before >= limits::LINKS {
        tracing::warn!(
            code = Code::LinkFailed.as_str(),
            "a link was not opened, because {before} others are still being opened; check that the desktop's browser \
             starts: {address}"
        );
        return;
    }
    let url = address.to_owned();
    let open = move || {
        let _running = running;
        if let Err(error) = opener(&url) {
            tracing::warn!(
                code = Code::LinkFailed.as_str(),
                "a link cannot be opened ({error}); set a default browser: {url}"
            );
        }
    };
    if let Err(error) = spawn("link", "open a link", open) {
        tracing::warn!(code = Code::LinkFailed.as_str(), "{error}: {address}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_addresses_of_web_and_mail_are_opened() {
        for (text, opened) in [
            ("https://example.org", Some("https://example.org/")),
            ("HTTP://example.org/a?b=c#d", Some("http://example.org/a?b=c#d")),
            ("mailto:a@example.org?subject=x", Some("mailto:a@example.org?subject=x")),
            // The result never begins like an option.
            ("https:--help", Some("https://--help/")),
            ("mailto:-x", Some("mailto:-x")),
            ("https://a\n-b", None),
            ("https://x/ --new-window /etc/passwd", None),
            ("https://\u{1b}[31m", None),
            ("https://example.org/\u{202e}gpj", None),
            ("mailto:a@b?attach=/etc/passwd", None),
            ("mailto:a@b?subject=x&Attachment=/etc/passwd", None),
            ("http://", None),
            ("file:///etc/passwd", None),
            ("javascript:alert(1)", None),
            ("/bin/sh", None),
            ("--help", None),
            ("", None),
        ] {
            assert_eq!(address(text).as_deref(), opened, "{text}");
        }
        assert_eq!(address(&format!("https://example.org/{}", "a".repeat(limits::URL))), None);
        assert_eq!(address(&format!("https://example.org/{}", "ä".repeat(limits::URL / 3))), None);
    }

    #[test]
    fn hanging_browsers_hold_few_threads() {
        let (release, hang) = mpsc::channel::<()>();
        let hang = Arc::new(parking_lot::Mutex::new(hang));
        let (started, starts) = mpsc::channel();
        for _ in 0..limits::LINKS + 3 {
            let (started, hang) = (started.clone(), Arc::clone(&hang));
            open("https://example.org/", move |_| {
                let _ = started.send(());
                let _ = hang.lock().recv();
                Ok(())
            });
        }
        drop(started);
        for _ in 0..limits::LINKS {
            assert_eq!(starts.recv(), Ok(()));
        }
        drop(release);
        assert_eq!(starts.recv(), Err(mpsc::RecvError), "the others were not started");
    }
}
