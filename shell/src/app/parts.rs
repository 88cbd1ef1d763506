//! Small parts of the window: failures, and times in words.

use std::time::{Duration, SystemTime};

use egui::{CollapsingHeader, Label, RichText, ScrollArea, Ui};
use negotiation::text;
use plugin_api::{
    theme::{Tone, caption, color, copy_ui, small},
    tokens::Tokens,
};

use crate::{
    catalogue,
    failure::{Failure, FailureCode, Stage, sentence},
};

/// Shows the change of a manifest that would admit a remote, with a button to copy it.
pub(super) fn fix_ui(ui: &mut Ui, t: &Tokens, fix: &str) {
    ui.label(caption(t, "Change this line:"));
    ui.horizontal_wrapped(|ui| {
        let text = RichText::new(fix).monospace().size(t.font_size[0]).color(color(t.text));
        ui.add(Label::new(text).wrap().selectable(true));
        copy_ui(ui, small("Copy").named("Copy the change"), || fix.to_owned());
    });
}

/// Shows a code, with its catalogue entry on hover.
pub(super) fn code_ui(ui: &mut Ui, t: &Tokens, code: &FailureCode, tone: Tone) {
    let label = ui.label(RichText::new(code.as_str()).monospace().size(t.font_size[0]).color(tone.ink(t)));
    if let Some(catalogue::CodeDoc { meaning, cause, remedy, .. }) = catalogue::find(code.as_str()) {
        label.on_hover_text(format!("{meaning}\n\nCause: {cause}\n\nWhat to do: {remedy}"));
    }
}

/// Shows summary and advice as separate sentences.
pub(super) fn message_ui(ui: &mut Ui, t: &Tokens, summary: RichText, advice: &str) {
    ui.add(Label::new(summary).wrap().selectable(true));
    if !advice.is_empty() {
        ui.add(Label::new(caption(t, shortened(advice))).wrap().selectable(true));
    }
}

/// Shows a failure as a remark.
pub(super) fn failure_ui(ui: &mut Ui, t: &Tokens, tone: Tone, failure: &Failure) {
    message_ui(ui, t, tone.caption(t, shortened(&failure.summary)), &failure.advice);
    code_ui(ui, t, &failure.code, Tone::Neutral);
}

/// Shows the details of a failure, on demand.
pub(super) fn details_ui(ui: &mut Ui, t: &Tokens, failure: &Failure) {
    if failure.details.is_empty() {
        return;
    }
    let title = RichText::new("Details").size(t.font_size[0]);
    CollapsingHeader::new(title).id_salt((&failure.code, &failure.details)).show(ui, |ui| {
        ScrollArea::both().max_height(180.0).show(ui, |ui| {
            let text = RichText::new(&failure.details).monospace().size(t.font_size[0]);
            ui.add(Label::new(text).selectable(true).extend());
        });
    });
}

/// The most bytes of a message that the window lays out; "Copy details" copies all of it.
const LONGEST: usize = 4_000;

/// Returns a message as a sentence of bounded length.
pub(super) fn shortened(message: &str) -> String {
    text::lines(&sentence(text::lines(message, LONGEST)), LONGEST)
}

/// Returns the step of a remote's life, in words.
pub(super) const fn step(stage: Stage) -> &'static str {
    match stage {
        Stage::Discover => "reading the manifest",
        Stage::Check => "checking the library",
        Stage::Preflight => "trying the library",
        Stage::Plan => "planning",
        Stage::Load => "loading the library",
        Stage::Init => "starting",
        Stage::Open => "opening the panel",
        Stage::Restore => "restoring state",
        Stage::Frame => "drawing",
        Stage::Save => "saving state",
        Stage::Retire => "stopping",
    }
}

/// Formats a duration in milliseconds, or in seconds from 10 s.
pub(super) fn millis(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1e3;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..10_000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.0} s", millis / 1e3),
    }
}

/// Formats the time since `at`, to the minute.
pub(super) fn ago(at: SystemTime) -> String {
    let minutes = at.elapsed().unwrap_or_default().as_secs() / 60;
    let of = |n: u64, word: &str| format!("{n} {word}{} ago", if n == 1 { "" } else { "s" });
    match minutes {
        0 => "just now".to_owned(),
        1..60 => of(minutes, "minute"),
        60..1440 => of(minutes / 60, "hour"),
        _ => of(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_the_largest_full_unit() {
        let before = |seconds| ago(SystemTime::now() - Duration::from_secs(seconds));
        let ages = [0, 59, 60, 119, 120, 3_600, 7_200, 86_400, 172_800].map(before);
        let expected = [
            "just now",
            "just now",
            "1 minute ago",
            "1 minute ago",
            "2 minutes ago",
            "1 hour ago",
            "2 hours ago",
            "1 day ago",
            "2 days ago",
        ];
        assert_eq!(ages, expected);
        assert_eq!(ago(SystemTime::now() + Duration::from_hours(1)), "just now", "a clock may be set back");
        assert_eq!(
            [0.5, 43.4, 9_999.0, 12_345.0].map(|ms| millis(Duration::from_secs_f64(ms / 1e3))),
            ["0.5 ms", "43 ms", "9999 ms", "12 s"]
        );
    }
}
