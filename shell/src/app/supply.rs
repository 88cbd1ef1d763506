//! Views of what comes over the network: downloads, offers, origins with their signatures, and repositories.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use delivery::listing::Release;
use egui::{Rect, Ui};
use negotiation::manifest::UpdatePolicy;
use plugin_api::{
    theme::{
        Tone, caption, caption_ui, card_ui, middle, middle_card_ui, progress_ui, secondary, small, strong,
    },
    tokens::Tokens,
};

use super::{
    Shell,
    action::Action,
    parts::{ago, failure_ui, message_ui},
};
use crate::{
    data::deliveries::{Supplied, Supplier},
    federation::{Federation, FetchProgress, ManagedRemote, RemoteOrigin, UpdateOffer},
};

/// Formats a number of bytes in the unit that people read.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["kB", "MB", "GB"];
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    if bytes < 1_000 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Formats the state of a fetch as a sentence.
pub(super) fn fetching(progress: &FetchProgress) -> String {
    match progress {
        FetchProgress::Checking => "Asking the server…".to_owned(),
        FetchProgress::Connecting => "Connecting…".to_owned(),
        FetchProgress::Waiting => "Another Pulse is downloading it…".to_owned(),
        FetchProgress::Retrying(reason) => format!("Trying again: {reason}"),
        FetchProgress::Fetching { bytes, total } => format!("{} of {}", size(*bytes), size(*total)),
    }
}

/// Describes a release in one line: size, publisher and changes.
pub(super) fn about(release: &Release) -> String {
    let about = &release.about;
    let notes = if about.notes.is_empty() { String::new() } else { format!(" · {}", about.notes) };
    format!("{} · signed by {}{notes}", size(release.download.length), release.signer.role)
}

/// Shows the download of a remote in its slot, with a button to cancel it.
pub(super) fn download_ui(
    ui: &mut Ui,
    t: &Tokens,
    area: Rect,
    federation: &Federation,
    remote: &ManagedRemote,
) -> Option<Action> {
    let progress = federation.progress(remote);
    let text = |ui: &mut Ui| {
        ui.label(strong(t, format!("Downloading {}", remote.title()), t.font_size[2]));
        let next = federation.inventory().supplied(remote.name()).and_then(|supplied| supplied.next.as_ref());
        if let Some(next) = next {
            ui.label(caption(t, format!("{} · {}", next.release.about.version, about(&next.release))));
        }
        let (words, fraction) = match &progress {
            Some(progress @ FetchProgress::Fetching { bytes, total }) => {
                (fetching(progress), *bytes as f32 / (*total).max(1) as f32)
            }
            Some(progress) => (fetching(progress), 0.0),
            None => ("Waiting…".to_owned(), 0.0),
        };
        progress_ui(ui, "Download", fraction);
        ui.label(caption(t, words));
    };
    middle_card_ui(ui, Tone::Neutral, middle(area, 480.0), text, |ui| {
        let runs = matches!(progress, Some(ref progress) if *progress != FetchProgress::Checking);
        let pressed = ui.add_enabled_ui(runs, |ui| ui.add(secondary("Cancel")).clicked()).inner;
        pressed.then_some(Action::CancelFetch)
    })
}

/// Shows the origin of a remote from the network: address, publisher, key and root.
pub(super) fn origin_text(place: &RemoteOrigin, supplied: Option<&Supplied>) -> Option<(String, String)> {
    match place {
        RemoteOrigin::Delivered { release, repository, .. } => {
            let key = release.signer.keys.first().map(|key| short(key)).unwrap_or_default();
            let root = match supplied.map(|supplied| &supplied.supplier) {
                Some(Ok(Supplier::Repository(repository))) => repository.trusted.root.to_string(),
                _ => String::new(),
            };
            let line = format!("From {repository}, signed by {} (key {key})", release.signer.role);
            let keys = release.signer.keys.join("\n");
            Some((line, format!("Publisher's keys:\n{keys}\nTrusted root: sha256:{root}")))
        }
        RemoteOrigin::Development { server, .. } => {
            let hover = "Builds of a development server are not signed";
            Some((format!("Development build from {server}"), hover.to_owned()))
        }
        RemoteOrigin::Overridden(path) => {
            let hover = "A local file is used in place of the remote's library";
            Some((format!("Local file: {}", path.display()), hover.to_owned()))
        }
        RemoteOrigin::Configured | RemoteOrigin::Installed(_) | RemoteOrigin::Pinned { .. } => None,
    }
}

/// Returns a word for an origin that is not signed and not usual.
pub(super) fn tag(place: &RemoteOrigin) -> Option<&'static str> {
    match place {
        RemoteOrigin::Development { .. } => Some("dev"),
        RemoteOrigin::Overridden(_) => Some("local"),
        _ => None,
    }
}

fn short(key: &str) -> String {
    key.chars().take(12).collect()
}

/// Shows progress, offer and policy of a remote in its card.
pub(super) fn card_rows_ui(
    ui: &mut Ui,
    t: &Tokens,
    federation: &Federation,
    remote: &ManagedRemote,
) -> Option<Action> {
    let supplied = federation.inventory().supplied(remote.name())?;
    let title = remote.title();
    let mut action = None;
    if let Some(progress) = federation.progress(remote) {
        ui.horizontal(|ui| {
            ui.label(Tone::Accent.caption(t, fetching(&progress)));
            if !matches!(progress, FetchProgress::Checking)
                && ui.add(small("Cancel").named(format!("Cancel the download of {title}"))).clicked()
            {
                action = Some(Action::CancelFetch);
            }
        });
    } else if let Some(UpdateOffer { release, replaces_withdrawn, refused }) = federation.offer(remote) {
        let version = &release.about.version;
        let lead = if replaces_withdrawn { "Replacement" } else { "Update" };
        ui.label(Tone::Accent.caption(t, format!("{lead}: {version} · {}", about(&release))));
        if let Some(failure) = refused {
            failure_ui(ui, t, Tone::Warning, &failure);
        } else if ui
            .add(small(format!("Update to {version}")).named(format!("Update {title} to {version}")))
            .clicked()
        {
            action = Some(Action::Update);
        }
    }
    if let Some(withdrawn) = &supplied.withdrawn {
        let note = if withdrawn.note.is_empty() { String::new() } else { format!(": {}", withdrawn.note) };
        ui.label(Tone::Warning.caption(t, format!("Withdrawn by its publisher{note}")));
    }
    if matches!(supplied.supplier, Ok(Supplier::Repository(_))) {
        ui.horizontal(|ui| {
            ui.label(caption(t, "Updates"));
            for (policy, word, hover) in [
                (UpdatePolicy::Ask, "Ask", "Offer newer releases"),
                (UpdatePolicy::Auto, "Automatic", "Use newer releases without asking"),
                (UpdatePolicy::Pin, "Off", "Stay with this release"),
            ] {
                let chosen = supplied.policy == policy;
                let label = ui.selectable_label(chosen, caption(t, word)).on_hover_text(hover);
                let name = format!("{word} updates of {title}");
                plugin_api::theme::describe(&label, egui::Role::RadioButton, &name, Some(chosen));
                if label.clicked() && !chosen {
                    action = Some(Action::SetPolicy(policy));
                }
            }
        });
    }
    action
}

impl Shell {
    /// Shows the repositories and development servers of the remotes.
    pub(super) fn suppliers_ui(&mut self, ui: &mut Ui, t: &Tokens) {
        let mut suppliers: BTreeMap<String, (Option<u64>, Option<u64>, bool)> = BTreeMap::new();
        for remote in self.federation.remotes().values() {
            let Some(supplied) = self.federation.inventory().supplied(remote.name()) else { continue };
            let Ok(source) = &supplied.supplier else { continue };
            let listed = supplied.listed.as_ref();
            let is_signed = matches!(source, Supplier::Repository(_));
            let about = (listed.map(|l| l.checked), listed.map(|l| l.expires), is_signed);
            suppliers.insert(source.address().to_owned(), about);
        }
        if suppliers.is_empty() {
            return;
        }
        let mut check = false;
        card_ui(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(strong(t, "Sources", t.font_size[1]));
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    check = ui.add(small("Check for updates")).clicked();
                });
            });
            for (address, (checked, expires, is_signed)) in &suppliers {
                ui.label(caption(t, address).color(plugin_api::theme::color(t.text)));
                let supply = self.federation.supply();
                let state = if supply.is_checking(address) {
                    "Checking…".to_owned()
                } else if !is_signed {
                    "Development server: builds are not signed".to_owned()
                } else {
                    match checked {
                        Some(at) => format!("Signed repository, checked {}", ago(time(*at))),
                        None => "Signed repository, not checked yet".to_owned(),
                    }
                };
                caption_ui(ui, state);
                if expires.is_some_and(|at| time(at) < SystemTime::now()) {
                    let since = ago(time(expires.unwrap_or_default()));
                    let text = format!("Its list expired {since}: no updates, and what is installed runs");
                    ui.label(Tone::Warning.caption(t, text));
                }
                if let Some(trouble) = supply.trouble(address) {
                    let since = ago(trouble.since);
                    let summary = format!("No updates since {since}: {}", trouble.failure.summary);
                    message_ui(ui, t, Tone::Warning.caption(t, summary), &trouble.failure.advice);
                }
            }
        });
        if check {
            self.federation.check_for_updates();
        }
    }

    /// Shows a strip for each remote that a local file replaces.
    pub(super) fn overrides_ui(&mut self, ui: &mut Ui) {
        let overridden: Vec<_> = self
            .federation
            .inventory()
            .overridden()
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
            .collect();
        for (name, path) in overridden {
            let text = format!("{name} is overridden by a local file: {path}");
            if super::strips::remark(ui, &text, &["End override"]).is_some() {
                self.federation.change_subscription(&name, |own| own.local = None);
                ui.ctx().request_repaint();
            }
        }
    }
}

fn time(seconds: u64) -> SystemTime {
    // A damaged file may have a time out of range.
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_largest_full_unit() {
        let sizes = [0, 999, 1_000, 14_049_000, 999_949_999, 2_000_000_000].map(size);
        assert_eq!(sizes, ["0 bytes", "999 bytes", "1.0 kB", "14.0 MB", "999.9 MB", "2.0 GB"]);
    }
}
