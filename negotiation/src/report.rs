//! A plan as people read it in a terminal: each crate with who offers it, who needs it and who
//! gets what and why; then who is refused, and what else there is to say.

mod answers;
mod paper;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::manifest::DEFAULT_SCOPE;

use crate::rehearsal::{Change, Rehearsal};
use crate::resolver::{
    Candidate, Code, DemandView, Diagnostic, KeyView, OfferView, Outcome, Plan, Rule, Severity,
};
pub use answers::{explain, why};
pub use paper::Look;
use paper::{Cell, Paper, Span, Style};

/// How many names of one kind are listed before the rest is counted.
const NAMED: usize = 6;

/// Writes `plan`, which is that of `rehearsal` and lacks `unread` manifests, as text that ends with a line break.
pub fn render(rehearsal: &Rehearsal, plan: &Plan, unread: usize, look: Look) -> String {
    let mut text = Text { paper: Paper::new(look), rehearsal, plan };
    text.summary(unread);
    for key in plan.keys() {
        text.krate(&key);
    }
    text.refused();
    text.said(Severity::Warning, "Warnings");
    text.said(Severity::Info, "Notes");
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
                bad(format!("{unread} could not be used; the others get what they need"))
            }
            (0, false) => good("everybody gets what it needs"),
            (0, true) => bad("the host does not get what it needs"),
            (count, false) => bad(format!("{count} refused")),
            (count, true) => bad(format!("{count} refused, and the host does not get what it needs")),
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
            let joining = if joining.is_empty() { "nobody".to_owned() } else { joining.join(", ") };
            self.paper.line(
                0,
                2,
                &[weak("Running: "), plain(format!("{}, {}", plan.host(), running.join(", ")))],
            );
            self.paper.line(0, 2, &[weak("Joins: "), plain(joining)]);
        }
        let first = plan.bootstrap();
        if !first.is_empty() {
            let what = "Loaded at the start, because others use their copies: ";
            self.paper.line(0, 2, &[weak(what), plain(first.join(", "))]);
        }
    }

    fn krate(&mut self, key: &KeyView) {
        self.paper.blank();
        self.paper.line(0, 2, &title(key));
        let mut rows = vec![["participant", "offers", "needs", "uses"].map(|head| vec![weak(head)])];
        for demand in &key.demands {
            let own = key.offers.iter().find(|offer| {
                offer.provider == demand.participant && Some(&offer.version) == demand.own.as_ref()
            });
            let participant = vec![plain(&*demand.participant)];
            rows.push([participant, offers(own), needs(demand), vec![uses(&demand.outcome)]]);
        }
        // Copies that are in use and in nobody's manifest any more.
        let kept = key.offers.iter().filter(|offer| {
            let stated = |demand: &DemandView| {
                demand.participant == offer.provider && demand.own.as_ref() == Some(&offer.version)
            };
            !key.demands.iter().any(stated)
        });
        for offer in kept {
            let participant = vec![plain(&*offer.provider)];
            rows.push([
                participant,
                offers(Some(offer)),
                vec![plain("-")],
                vec![weak("kept for those who use it")],
            ]);
        }
        self.paper.table(2, &rows);
        self.reasons(key);
    }

    /// Why the winner won and the others lost; once for a singleton, else for every copy that is used.
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
        let mut won: BTreeMap<[String; 2], Vec<String>> = BTreeMap::new();
        for why in explained() {
            if let Some(winner) = why.candidates.into_iter().find(|candidate| candidate.won) {
                let copy = format!("{} of {}", winner.version, winner.provider);
                won.entry([copy, winner.reason]).or_default().push(why.consumer.to_string());
            }
        }
        let row = |([copy, reason], consumers): ([String; 2], Vec<String>)| {
            let copy = format!("{copy} for {}", listed(&consumers));
            [vec![good("won")], vec![plain(copy)], vec![plain(reason)]]
        };
        let rows: Vec<_> = won.into_iter().map(row).collect();
        self.paper.table(2, &rows);
    }

    fn refused(&mut self) {
        if self.plan.is_compatible() {
            return;
        }
        self.paper.heading("Refused");
        for cause in self.plan.refused().iter().flat_map(|refusal| &refusal.causes) {
            self.sentence(Style::Bad, cause);
        }
        let hint = "`--why NAME` says what led to it, and the smallest change that would admit it";
        self.paper.line(2, 4, &[weak(hint)]);
    }

    fn said(&mut self, severity: Severity, heading: &str) {
        let style = if severity == Severity::Warning { Style::Warning } else { Style::Weak };
        let said: Vec<_> = self.plan.diagnostics().iter().filter(|one| one.severity() == severity).collect();
        if !said.is_empty() {
            self.paper.heading(heading);
        }
        let mut alike: BTreeMap<_, usize> = BTreeMap::new();
        for diagnostic in said {
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

    fn sentence(&mut self, style: Style, said: &Diagnostic) {
        self.paper.line(2, 4, &code(style, said));
        if let Some(change) = said.fix().and_then(|edit| self.rehearsal.change(&edit)) {
            self.paper.line(4, 6, &fix("fix: ", &change));
        } else if said.code == Code::SharedKeySimilar {
            for (name, pointer) in said.written_at() {
                let place = self.rehearsal.place(name, &pointer).unwrap_or_default();
                self.paper.line(4, 6, &[good("at: "), plain(place), weak(format!("  {pointer}"))]);
            }
        }
    }
}

/// How many times the same is said of a crate before the rest is counted.
const ALIKE: usize = 3;

/// Name, scope and kind of a crate.
fn title(key: &KeyView) -> [Span; 3] {
    let scope = if *key.scope == *DEFAULT_SCOPE { String::new() } else { format!(" in scope {}", key.scope) };
    let kind = if key.singleton {
        format!("  singleton, declared by {}", listed(&key.declared_by))
    } else {
        "  not a singleton: each takes the highest version that fits it".to_owned()
    };
    [bold(&*key.key), plain(scope), weak(kind)]
}

fn offers(offer: Option<&OfferView>) -> Cell {
    let Some(offer) = offer else { return vec![plain("-")] };
    let flags = [(offer.eager, " eager"), (offer.live, " live")];
    let flags: String = flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    vec![plain(offer.version.to_string()), weak(flags)]
}

fn needs(demand: &DemandView) -> Cell {
    let flags = [(demand.strict, " strict"), (demand.singleton, " singleton")];
    let flags: String = flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    vec![plain(demand.required.to_string()), weak(flags)]
}

fn uses(outcome: &Outcome) -> Span {
    match outcome {
        Outcome::Uses { version, satisfied, own, provider } => {
            let whose = if *own { "its own".to_owned() } else { format!("of {provider}") };
            match satisfied {
                true => good(format!("{version} {whose}")),
                false => (Style::Warning, format!("{version} {whose}, outside what it needs")),
            }
        }
        Outcome::Refused { code } => bad(format!("nothing: refused ({code})")),
    }
}

/// The candidates, those of one version and one reason on one line.
fn candidates(all: &[Candidate]) -> Vec<[Cell; 3]> {
    let mut lines: Vec<(&Candidate, Vec<&str>)> = Vec::new();
    for one in all {
        let same = |known: &Candidate| {
            (known.won, &known.version, &known.reason) == (one.won, &one.version, &one.reason)
        };
        match lines.iter_mut().find(|(known, _)| same(known)) {
            Some((_, providers)) => providers.push(&one.provider),
            None => lines.push((one, vec![&one.provider])),
        }
    }
    let row = |(one, providers): (&Candidate, Vec<&str>)| {
        let mark = if one.won { good("won") } else { weak("lost") };
        let copy = format!("{} of {}", one.version, listed(&providers));
        [vec![mark], vec![plain(copy)], vec![if one.won { plain(&one.reason) } else { weak(&one.reason) }]]
    };
    lines.into_iter().map(row).collect()
}

fn code(style: Style, said: &Diagnostic) -> [Span; 2] {
    [(style, said.code.to_string()), plain(format!("  {said}"))]
}

/// A place, what stands there, and what to write.
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
    (Style::Plain, text.into())
}

fn bold(text: impl Into<String>) -> Span {
    (Style::Bold, text.into())
}

fn weak(text: impl Into<String>) -> Span {
    (Style::Weak, text.into())
}

fn good(text: impl Into<String>) -> Span {
    (Style::Good, text.into())
}

fn bad(text: impl Into<String>) -> Span {
    (Style::Bad, text.into())
}
