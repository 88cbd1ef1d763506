//! A plan as people read it in a terminal: each crate with who offers it, who needs it and who
//! gets what and why; then who is refused, and what else there is to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plugin_api::manifest::DEFAULT_SCOPE;

use super::resolver::{Diagnostic, Explanation, KeyView, Outcome, Plan, Severity};

/// The plan as text, with ANSI colours if `color`; ends with a line break.
pub fn render(plan: &Plan, color: bool) -> String {
    let mut text = Text { out: String::new(), color };
    text.summary(plan);
    for key in plan.keys() {
        text.krate(plan, &key);
    }
    text.refused(plan);
    text.said(plan, Severity::Warning, "Warnings");
    text.said(plan, Severity::Info, "Notes");
    text.out
}

#[derive(Clone, Copy)]
enum Style {
    Plain,
    Bold,
    Weak,
    Good,
    Warning,
    Bad,
}

struct Text {
    out: String,
    color: bool,
}

impl Text {
    fn summary(&mut self, plan: &Plan) {
        let admitted = plan.admitted().count();
        let refused = plan.refused().iter().filter(|one| plan.is_refused(&one.participant)).count();
        let remotes = match admitted + refused {
            0 => "no remotes".to_owned(),
            1 => "1 remote".to_owned(),
            count => format!("{count} remotes"),
        };
        self.put(Style::Bold, &format!("Plan of {}", plan.host()));
        self.put(Style::Weak, &format!(" ({}, {remotes}): ", plan.strategy().as_str()));
        let host = plan.refused().iter().any(|one| !plan.is_refused(&one.participant));
        let (style, verdict) = match (refused, host) {
            (0, false) => (Style::Good, "everybody gets what it needs".to_owned()),
            (0, true) => (Style::Bad, "the host does not get what it needs".to_owned()),
            (count, false) => (Style::Bad, format!("{count} refused")),
            (count, true) => (Style::Bad, format!("{count} refused, and the host does not get what it needs")),
        };
        self.put(style, &verdict);
        self.line();
        let first = plan.bootstrap();
        if !first.is_empty() {
            self.put(
                Style::Weak,
                &format!("Loaded at the start, because others use their copies: {}", first.join(", ")),
            );
            self.line();
        }
    }

    fn krate(&mut self, plan: &Plan, key: &KeyView) {
        self.line();
        self.put(Style::Bold, &key.key);
        if *key.scope != *DEFAULT_SCOPE {
            self.put(Style::Plain, &format!(" in scope {}", key.scope));
        }
        let kind = if key.singleton {
            format!("  singleton, declared by {}", key.declared_by.join(", "))
        } else {
            "  not a singleton: each takes the highest version that fits it".to_owned()
        };
        self.put(Style::Weak, &kind);
        self.line();
        let mut rows =
            vec![["participant", "offers", "needs", "uses"].map(|head| (head.to_owned(), Style::Weak))];
        for demand in &key.demands {
            let offers = match &demand.own {
                Some(version) => version.to_string(),
                None => "-".to_owned(),
            };
            let strict = if demand.strict { " (strict)" } else { "" };
            let (uses, style) = match &demand.outcome {
                Outcome::Uses { version, satisfied, own, provider } => {
                    let whose = if *own { "its own".to_owned() } else { format!("of {provider}") };
                    let outside = if *satisfied { "" } else { ", outside what it needs" };
                    (
                        format!("{version} {whose}{outside}"),
                        if *satisfied { Style::Good } else { Style::Warning },
                    )
                }
                Outcome::Refused { code } => (format!("nothing: refused ({code})"), Style::Bad),
            };
            rows.push([
                (demand.participant.to_string(), Style::Plain),
                (offers, Style::Plain),
                (format!("{}{strict}", demand.required), Style::Plain),
                (uses, style),
            ]);
        }
        self.table(&rows);
        self.reasons(plan, key);
    }

    /// Why the winner won and the others lost; once for a singleton, else for every copy that is used.
    fn reasons(&mut self, plan: &Plan, key: &KeyView) {
        let admitted = |outcome: &Outcome| matches!(outcome, Outcome::Uses { .. });
        let explained = key
            .demands
            .iter()
            .filter(|demand| admitted(&demand.outcome))
            .filter_map(|demand| plan.explain(&key.scope, &key.key, &demand.participant));
        if key.singleton {
            if let Some(why) = explained.take(1).next() {
                for candidate in &why.candidates {
                    let (mark, style) =
                        if candidate.won { ("won ", Style::Good) } else { ("lost", Style::Weak) };
                    self.put(Style::Plain, "  ");
                    self.put(
                        style,
                        &format!(
                            "{mark}  {} of {}: {}",
                            candidate.version, candidate.provider, candidate.reason
                        ),
                    );
                    self.line();
                }
            }
            return;
        }
        let mut won: BTreeMap<String, Vec<Explanation>> = BTreeMap::new();
        for why in explained {
            if let Some(winner) = why.candidates.iter().find(|candidate| candidate.won) {
                let line = format!("{} of {}: {}", winner.version, winner.provider, winner.reason);
                won.entry(line).or_default().push(why);
            }
        }
        for (line, consumers) in won {
            let names: Vec<&str> = consumers.iter().map(|why| &*why.consumer).collect();
            self.put(Style::Plain, "  ");
            self.put(Style::Good, &format!("{}  {line}", names.join(", ")));
            self.line();
        }
    }

    fn refused(&mut self, plan: &Plan) {
        if plan.is_compatible() {
            return;
        }
        self.heading("Refused");
        for refusal in plan.refused() {
            for cause in &refusal.causes {
                self.sentence(Style::Bad, cause);
            }
        }
    }

    fn said(&mut self, plan: &Plan, severity: Severity, heading: &str) {
        let style = if severity == Severity::Warning { Style::Warning } else { Style::Weak };
        let mut said = plan.diagnostics().iter().filter(|one| one.severity() == severity).peekable();
        if said.peek().is_some() {
            self.heading(heading);
        }
        for diagnostic in said {
            self.sentence(style, diagnostic);
        }
    }

    fn heading(&mut self, heading: &str) {
        self.line();
        self.put(Style::Bold, heading);
        self.line();
    }

    fn sentence(&mut self, style: Style, said: &Diagnostic) {
        self.put(Style::Plain, "  ");
        self.put(style, said.code.as_str());
        self.put(Style::Plain, &format!("  {said}"));
        self.line();
    }

    /// Rows of cells, the columns as wide as their widest cell.
    fn table(&mut self, rows: &[[(String, Style); 4]]) {
        let width =
            |column: usize| rows.iter().map(|row| row[column].0.chars().count()).max().unwrap_or_default();
        let widths = [0, 1, 2, 3].map(width);
        for row in rows {
            self.put(Style::Plain, "  ");
            for (column, (cell, style)) in row.iter().enumerate() {
                self.put(*style, cell);
                if column + 1 < row.len() {
                    let gap = widths[column] - cell.chars().count() + 2;
                    self.put(Style::Plain, &" ".repeat(gap));
                }
            }
            self.line();
        }
    }

    fn put(&mut self, style: Style, text: &str) {
        let code = match style {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Weak => "2",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
        };
        if self.color && !code.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(self.out, "\u{1b}[{code}m{text}\u{1b}[0m");
        } else {
            self.out.push_str(text);
        }
    }

    fn line(&mut self) {
        self.out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use plugin_api::manifest::{HostManifest, RemoteManifest};

    use super::render;
    use crate::federation::resolver::{Participant, Plan, Request, resolve};

    fn plan(host: &str, remotes: &[(&str, &str)]) -> Plan {
        let host = format!(r#"{{ "manifestVersion": 1, "name": "pulse", "shared": {{ {host} }} }}"#);
        let host = HostManifest::from_json(&host).expect("the host's manifest");
        let remote = |(name, shared): &(&str, &str)| {
            let text = format!(
                r#"{{ "manifestVersion": 1, "name": "{name}", "version": "1.0.0", "remoteEntry": "{name}", "shared": {{ {shared} }} }}"#
            );
            Participant::remote(&RemoteManifest::from_json(&text).expect("a remote's manifest"))
        };
        let remotes: Vec<Participant> = remotes.iter().map(remote).collect();
        resolve(&Request::new(&Participant::host(&host), &remotes, host.share_strategy))
    }

    #[test]
    fn a_singleton_is_told_with_its_reasons_and_its_victims() {
        let plan = plan(
            r#""shared-store": { "version": "1.0.0", "requiredVersion": "^1.0", "singleton": true }"#,
            &[
                ("analytics", r#""shared-store": { "version": "1.2.0", "requiredVersion": "^1.0" }"#),
                ("old", r#""shared-store": { "version": "0.9.0" }"#),
                (
                    "far",
                    r#""shared-store": { "version": "1.0.0", "requiredVersion": "^99", "strictVersion": true }"#,
                ),
            ],
        );
        assert_eq!(
            render(&plan, false),
            "\
Plan of pulse (version-first, 3 remotes): 1 refused
Loaded at the start, because others use their copies: analytics

shared-store  singleton, declared by pulse
  participant  offers  needs         uses
  analytics    1.2.0   ^1.0          1.2.0 its own
  far          1.0.0   ^99 (strict)  nothing: refused (version-mismatch-strict)
  old          0.9.0   ^0.9.0        1.2.0 of analytics, outside what it needs
  pulse        1.0.0   ^1.0          1.2.0 of analytics
  won   1.2.0 of analytics: no version satisfies everybody; this one satisfies the host and leaves the fewest unsatisfied (1 of 3)
  lost  1.0.0 of pulse: lower than 1.2.0
  lost  1.0.0 of far: its participant is refused
  lost  0.9.0 of old: does not satisfy the host (^1.0)

Refused
  version-mismatch-strict  `far` needs ^99 of `shared-store`, and insists on it, but everybody uses 1.2.0 of `analytics`: let `analytics` or another participant bring a version within ^99, or widen `requiredVersion` in the manifest of `far`

Warnings
  version-mismatch  `old` needs ^0.9.0 of `shared-store`, but everybody uses 1.2.0 of `analytics`: let `analytics` or another participant bring a version within ^0.9.0, or widen `requiredVersion` in the manifest of `old`
"
        );
    }

    #[test]
    fn copies_that_are_not_shared_are_said() {
        let plan = plan(
            r#""shared-store": { "version": "1.0.0", "requiredVersion": "=1.0.0" }"#,
            &[("analytics", r#""shared-store": { "version": "1.2.0" }"#)],
        );
        let text = render(&plan, false);
        assert!(text.contains("not a singleton"), "{text}");
        assert!(text.contains("analytics  1.2.0 of analytics: the highest version within ^1.2.0"), "{text}");
        assert!(
            text.contains("\nNotes\n  own-copy  `analytics` uses its own copy of `shared-store`"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_plan_is_a_sentence() {
        assert_eq!(
            render(&plan("", &[]), false),
            "Plan of pulse (version-first, no remotes): everybody gets what it needs\n"
        );
    }

    #[test]
    fn colours_are_only_where_asked_for() {
        let plan = plan(r#""shared-store": { "version": "1.0.0" }"#, &[]);
        assert!(!render(&plan, false).contains('\u{1b}'));
        let coloured = render(&plan, true);
        assert!(coloured.contains("\u{1b}[32m1.0.0 its own\u{1b}[0m"), "{coloured:?}");
    }
}
