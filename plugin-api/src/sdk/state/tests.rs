#![expect(clippy::unwrap_used, reason = "tests")]
use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::{PluginError, sdk::surface::tests::open_in};

#[test]
fn saved_state_is_read_again() {
    for state in [&b""[..], b"{ \"count\": 1 }", b"\xFF\x00"] {
        let saved = || Saved::new("1.2.3", state.to_vec(), Some("memory".to_owned()));
        assert_eq!(Saved::read(&saved().to_bytes()).unwrap(), saved());
    }
}

#[test]
fn unknown_and_missing_fields_are_accepted() {
    let newer =
        br#"{ "format": 1, "version": "9.0.0", "state": "x", "memory": { "of": "another kind" }, "mood": [] }"#;
    assert_eq!(Saved::read(newer).unwrap(), Saved::new("9.0.0", b"x".to_vec(), None));
    assert_eq!(Saved::read(br#"{ "format": 1 }"#).unwrap(), Saved::new("", vec![], None));
}

#[test]
fn unknown_format_is_an_error() {
    let error = |bytes: &[u8]| Saved::read(bytes).unwrap_err().message.into_string();
    assert!(error(br#"{ "format": 2, "state": [] }"#).contains("has format 2, and this build"));
    assert!(error(br#"{ "format": 1, "state": {} }"#).contains("is damaged"));
    for other in [&b""[..], b"\xFF", b"[]", br#"{ "count": 1 }"#] {
        assert!(error(other).contains("not in a form that the SDK writes"));
    }
}

/// A panel that does in `restore` what its state names, after it has changed half of itself.
struct Scripted {
    half: bool,
}

thread_local! {
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn note(call: impl Into<String>) {
    CALLS.with_borrow_mut(|calls| calls.push(call.into()));
}

impl Expose for Scripted {
    fn new(_: &Cx) -> Result<Self, PluginError> {
        note("new");
        Ok(Self { half: false })
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &Cx) {
        ui.label("Something");
    }

    fn save(&self) -> Vec<u8> {
        if self.half { b"half".to_vec() } else { b"fresh".to_vec() }
    }

    fn migrate(from: &str, state: Vec<u8>) -> Result<Vec<u8>, PluginError> {
        note(format!("migrate {from}"));
        match &*state {
            b"panic in migrate" => panic!("no way from {from}"),
            b"fail in migrate" => Err(PluginError::new("too-old", "of last year")),
            _ => Ok([&state[..], b" migrated"].concat()),
        }
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), PluginError> {
        let state = str::from_utf8(state)?;
        note(format!("restore {state}"));
        self.half = true;
        match state {
            "panic" => panic!("no way in"),
            "fail" => Err(PluginError::new("too-old", "of last year")),
            _ => Ok(()),
        }
    }
}

/// Starts version 1.0.0 from the state that version `from` saved; returns the calls, the reports, and its next state.
fn start(from: &str, state: &[u8]) -> (Vec<String>, Vec<RemoteError>, Result<Vec<u8>, RemoteError>) {
    let crossed = Saved::new(from, state.to_vec(), None).to_bytes();
    let (surface, reports) = open_in::<Scripted>("1.0.0", Some(&crossed));
    let now = surface.map(|mut surface| match Saved::read(&surface.save().unwrap()).unwrap().state {
        Bytes::Text(text) => text.into_bytes(),
        Bytes::Binary(bytes) => bytes,
    });
    (CALLS.take(), reports, now)
}

#[test]
fn state_of_another_version_is_migrated() {
    assert_eq!(start("1.0.0", b"x"), (vec!["new".into(), "restore x".into()], vec![], Ok(b"half".to_vec())));
    for other in ["0.9.0", "1.0.1", ""] {
        let calls = vec!["new".into(), format!("migrate {other}"), "restore x migrated".into()];
        assert_eq!(start(other, b"x"), (calls, vec![], Ok(b"half".to_vec())));
    }
}

#[test]
fn empty_state_is_not_restored() {
    assert_eq!(start("0.9.0", b""), (vec!["new".into()], vec![], Ok(b"fresh".to_vec())));
}

#[test]
fn failed_restore_is_reported_and_panel_is_fresh() {
    let cases = [
        ("1.0.0", &b"fail"[..], "too-old", "by version 1.0.0, for version 1.0.0: of last year"),
        ("1.0.0", b"\xFF", "restore-failed", "invalid utf-8"),
        ("0.9.0", b"fail in migrate", "too-old", "by version 0.9.0, for version 1.0.0: of last year"),
    ];
    for (from, state, code, text) in cases {
        let (calls, reports, now) = start(from, state);
        assert_eq!(
            (calls.first().map(String::as_str), calls.last().map(String::as_str)),
            (Some("new"), Some("new"))
        );
        assert_eq!(now, Ok(b"fresh".to_vec()), "no partial state is left");
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].code, code);
        assert!(reports[0].message.contains(text), "{}", reports[0].message);
        assert!(reports[0].message.contains("starts without the state"), "{}", reports[0].message);
    }
}

#[test]
fn unknown_bytes_are_reported() {
    let (surface, reports) = open_in::<Scripted>("1.0.0", Some(b"of the stone age"));
    assert!(surface.is_ok());
    assert_eq!(CALLS.take(), ["new"]);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].code, "restore-failed");
}

#[test]
fn panic_in_restore_is_an_error_with_its_place() {
    for (from, state, text) in
        [("1.0.0", &b"panic"[..], "no way in"), ("0.9.0", b"panic in migrate", "no way from 0.9.0")]
    {
        let (_, reports, now) = start(from, state);
        let error = now.unwrap_err();
        assert_eq!((&*error.code, reports.len()), ("restore-panicked", 0));
        let message = error.message.as_str();
        assert!(message.contains(text) && message.contains("tests.rs:") && message.contains(from), "{message}");
        assert!(error.location.contains("tests.rs:") && !error.backtrace.is_empty());
    }
}

proptest! {
    #[test]
    fn damaged_bytes_do_not_fail_to_open(bytes: Vec<u8>, memory: String, cut in 0..200_usize) {
        let complete = Saved::new("1.0.0", bytes.clone(), Some(memory)).to_bytes();
        for crossed in [&bytes[..], &complete[..cut.min(complete.len())], &complete] {
            prop_assert!(open_in::<Scripted>("1.0.0", Some(crossed)).0.is_ok());
        }
        CALLS.take();
    }
}
