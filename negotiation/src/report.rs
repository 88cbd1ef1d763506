//! Plans as text for a terminal: for each crate the offers, demands, outcomes and reasons; then the refusals,
//! warnings and notes.

mod answers;
mod paper;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::manifest::DEFAULT_SCOPE;

use crate::rehearsal::{Change, Rehearsal};
use crate::resolver::{
    Candidate, DemandView, Diagnostic, DiagnosticCode, KeyView, OfferView, Outcome, Plan, Rule, Severity,
};
pub use answers::{explain, why};
pub use paper::TextStyle;
use paper::{Paper, Span, SpanStyle, TableCell};

/// The number of names of one kind that are listed before the rest is counted.
const NAMED: usize = 6;

/// Writes `plan`, the plan of `rehearsal`, as text with a trailing line break; `unread` manifests could not be used.
pub fn render(rehearsal: &Rehearsal, plan: &Plan, unread: usize, look: TextStyle) -> String {
    let mut text = Text { paper: Paper::new(look), rehearsal, plan };
    text.summary(unread);
    for key in plan.keys() {
        text.krate(&key);
    }
    text.refused();
    text.diagnostics(Severity::Warning, "Warnings");
    text.diagnostics(Severity::Info, "Notes");
    text.paper.into_text()
}

struct Text<'a> {
    paper: Paper,
    rehearsal: &'a Rehearsal,
    plan: &'a Plan,
}

impl Text<'_> {
    fn summary(&mut self, unread: usize) {
        let plan = self.plan;
        let admitted = plan.admitted().count();
        let refused = plan.refused().iter().filter(|one| plan.is_refused(&one.participant)).count();
        let remotes = match admitted + refused {
            0 => "no remotes".to_owned(),
            1 => "1 remote".to_owned(),
            count => format!("{count} remotes"),
        };
        let host = plan.refused().iter().any(|one| !plan.is_refused(&one.participant));
        let verdict = match (refused, host) {
            (0, false) if unread > 0 && admitted == 0 => bad("no manifest could be used"),
            (0, false) if unread > 0 => {
                bad(format!("{unread} could not be used; the other participants are served"))
            }
            (0, false) => good("every participant is served"),
            (0, true) => bad("the host is not served"),
            (count, false) => bad(format!("{count} refused")),
            (count, true) => bad(format!("{count} refused, and the host is not served")),
        };
        let title = bold(format!("Plan of {}", plan.host()));
        let about = weak(format!(" ({}, {remotes}): ", plan.strategy().as_str()));
        self.paper.line(0, 2, &[title, about, verdict]);
        let rehearsal = self.rehearsal;
        let running: Vec<_> = rehearsal.running().map(|(name, version)| format!("{name} {version}")).collect();
        if !running.is_empty() {
            let joining = rehearsal.joining().map(|(name, version, old)| match old {
                Some(old) => format!("{name} {version} in place of {old}"),
                None => format!("{name} {version}"),
            });
            let joining: Vec<_> = joining.collect();
            let joining = if joining.is_empty() { "none".to_owned() } else { joining.join(", ") };
            self.paper.line(
                0,
                2,
                &[weak("Running: "), plain(format!("{}, {}", plan.host(), running.join(", ")))],
            );
            self.paper.line(0, 2, &[weak("Joins: "), plain(joining)]);
        }
        let first = plan.bootstrap();
        if !first.is_empty() {
            let what = "Loaded first, because others use their copies: ";
            self.paper.line(0, 2, &[weak(what), plain(first.join(", "))]);
        }
    }

    fn krate(&mut self, key: &KeyView) {
        self.paper.blank();
        self.paper.line(0, 2, &title(key));
        let mut rows = vec![["participant", "offers", "requires", "uses"].map(|head| vec![weak(head)])];
        for demand in &key.demands {
            let own = key.offers.iter().find(|offer| {
                offer.provider == demand.participant && Some(&offer.version) == demand.own.as_ref()
            });
            let participant = vec![plain(&*demand.participant)];
            rows.push([participant, offers(own), needs(demand), vec![uses(&demand.outcome)]]);
        }
        // Copies in use that no manifest states any more.
        let unstated = key.offers.iter().filter(|offer| {
            let stated = |demand: &DemandView| {
                demand.participant == offer.provider && demand.own.as_ref() == Some(&offer.version)
            };
            !key.demands.iter().any(stated)
        });
        for offer in unstated {
            let participant = vec![plain(&*offer.provider)];
            rows.push([participant, offers(Some(offer)), vec![plain("-")], vec![weak("still in use")]]);
        }
        self.paper.table(2, &rows);
        self.reasons(key);
    }

    /// Writes the reasons for the choice: all candidates of a singleton, else every copy in use.
    fn reasons(&mut self, key: &KeyView) {
        let served = |demand: &&DemandView| matches!(demand.outcome, Outcome::Uses { .. });
        let explained = || {
            key.demands
                .iter()
                .filter(served)
                .filter_map(|demand| self.plan.explain(&key.scope, &key.key, &demand.participant))
        };
        if key.singleton {
            let unbound = explained().find(|why| why.rule != Rule::KeepsItsCopy);
            let why = unbound.or_else(|| explained().next());
            let rows = why.map(|why| candidates(&why.candidates)).unwrap_or_default();
            self.paper.table(2, &rows);
            return;
        }
        let mut chosen: BTreeMap<[String; 2], Vec<String>> = BTreeMap::new();
        for why in explained() {
            if let Some(winner) = why.candidates.into_iter().find(|candidate| candidate.chosen) {
                let copy = format!("{} from {}", winner.version, winner.provider);
                chosen.entry([copy, winner.reason]).or_default().push(why.consumer.to_string());
            }
        }
        let row = |([copy, reason], consumers): ([String; 2], Vec<String>)| {
            let copy = format!("{copy} for {}", listed(&consumers));
            [vec![good("chosen")], vec![plain(copy)], vec![plain(reason)]]
        };
        let rows: Vec<_> = chosen.into_iter().map(row).collect();
        self.paper.table(2, &rows);
    }

    fn refused(&mut self) {
        if self.plan.is_compatible() {
            return;
        }
        self.paper.heading("Refused");
        for cause in self.plan.refused().iter().flat_map(|refusal| &refusal.causes) {
            self.sentence(SpanStyle::Bad, cause);
        }
        let hint = "`--why NAME` shows the causes and the smallest change that admits the remote";
        self.paper.line(2, 4, &[weak(hint)]);
    }

    fn diagnostics(&mut self, severity: Severity, heading: &str) {
        let style = if severity == Severity::Warning { SpanStyle::Warning } else { SpanStyle::Weak };
        let found: Vec<_> = self.plan.diagnostics().iter().filter(|one| one.severity() == severity).collect();
        if !found.is_empty() {
            self.paper.heading(heading);
        }
        let mut alike: BTreeMap<_, usize> = BTreeMap::new();
        for diagnostic in found {
            let count = alike.entry((diagnostic.code, &diagnostic.scope, &diagnostic.key)).or_default();
            *count += 1;
            if *count <= ALIKE {
                self.sentence(style, diagnostic);
            }
        }
        for ((code, _, key), count) in alike.into_iter().filter(|(_, count)| *count > ALIKE) {
            let more = format!("  {} more participants, about `{key}`; `--json` lists them", count - ALIKE);
            self.paper.line(2, 4, &[(style, code.to_string()), weak(more)]);
        }
    }

    fn sentence(&mut self, style: SpanStyle, diagnostic: &Diagnostic) {
        self.paper.line(2, 4, &code(style, diagnostic));
        if let Some(change) = diagnostic.fix().and_then(|edit| self.rehearsal.change(&edit)) {
            self.paper.line(4, 6, &fix("fix: ", &change));
        } else if diagnostic.code == DiagnosticCode::SharedKeySimilar {
            for (name, pointer) in diagnostic.written_at() {
                let place = self.rehearsal.place(name, &pointer).unwrap_or_default();
                self.paper.line(4, 6, &[good("at: "), plain(place), weak(format!("  {pointer}"))]);
            }
        }
    }
}

/// The number of diagnostics with one code about a crate that are written before the rest is counted.
const ALIKE: usize = 3;

/// Returns name, scope and kind of a crate.
fn title(key: &KeyView) -> [Span; 3] {
    let scope = if *key.scope == *DEFAULT_SCOPE { String::new() } else { format!(" in scope {}", key.scope) };
    let kind = if key.singleton {
        format!("  singleton, declared by {}", listed(&key.declared_by))
    } else {
        "  not a singleton: each participant gets the highest version that it accepts".to_owned()
    };
    [bold(&*key.key), plain(scope), weak(kind)]
}

fn offers(offer: Option<&OfferView>) -> TableCell {
    let Some(offer) = offer else { return vec![plain("-")] };
    let flags = [(offer.eager, " eager"), (offer.live, " live")];
    let flags: String = flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    vec![plain(offer.version.to_string()), weak(flags)]
}

fn needs(demand: &DemandView) -> TableCell {
    let flags = [(demand.strict, " strict"), (demand.singleton, " singleton")];
    let flags: String = flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    vec![plain(demand.required.to_string()), weak(flags)]
}

fn uses(outcome: &Outcome) -> Span {
    match outcome {
        Outcome::Uses { version, satisfied, own, provider } => {
            let whose = if *own { "own copy".to_owned() } else { format!("from {provider}") };
            match satisfied {
                true => good(format!("{version} {whose}")),
                false => (SpanStyle::Warning, format!("{version} {whose}, outside its range")),
            }
        }
        Outcome::Refused { code } => bad(format!("no copy: refused ({code})")),
    }
}

/// Returns the candidates as rows, with those of one version and one reason in one row.
fn candidates(all: &[Candidate]) -> Vec<[TableCell; 3]> {
    let mut lines: Vec<(&Candidate, Vec<&str>)> = Vec::new();
    for one in all {
        let same = |known: &Candidate| {
            (known.chosen, &known.version, &known.reason) == (one.chosen, &one.version, &one.reason)
        };
        match lines.iter_mut().find(|(known, _)| same(known)) {
            Some((_, providers)) => providers.push(&one.provider),
            None => lines.push((one, vec![&one.provider])),
        }
    }
    let row = |(one, providers): (&Candidate, Vec<&str>)| {
        let mark = if one.chosen { good("chosen") } else { weak("not chosen") };
        let copy = format!("{} from {}", one.version, listed(&providers));
        [vec![mark], vec![plain(copy)], vec![if one.chosen { plain(&one.reason) } else { weak(&one.reason) }]]
    };
    lines.into_iter().map(row).collect()
}

fn code(style: SpanStyle, diagnostic: &Diagnostic) -> [Span; 2] {
    [(style, diagnostic.code.to_string()), plain(format!("  {diagnostic}"))]
}

/// Returns the place of a change with the old and the new value.
fn fix(label: &str, change: &Change) -> [Span; 4] {
    [
        good(label),
        plain(&*change.place),
        weak(format!("  {}: ", change.edit.pointer)),
        plain(format!("{} -> {}", change.before(), change.edit.value)),
    ]
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn plain(text: impl Into<String>) -> Span {
    (SpanStyle::Plain, text.into())
}

fn bold(text: impl Into<String>) -> Span {
    (SpanStyle::Bold, text.into())
}

fn weak(text: impl Into<String>) -> Span {
    (SpanStyle::Weak, text.into())
}

fn good(text: impl Into<String>) -> Span {
    (SpanStyle::Good, text.into())
}

fn bad(text: impl Into<String>) -> Span {
    (SpanStyle::Bad, text.into())
}
