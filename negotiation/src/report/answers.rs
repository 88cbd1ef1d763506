//! Answers to questions about a plan: the choice of a crate's copies, and the refusal of a remote.

use super::paper::{Paper, SpanStyle, TableCell, TextStyle};
use super::{bad, bold, candidates, code, fix, good, needs, plain, title, uses, weak};
use crate::rehearsal::Rehearsal;
use crate::resolver::{DemandView, Diagnostic, Explanation, KeyView, Outcome, Plan, Rule};
use crate::why::{Repair, Why};

/// Writes for each consumer of a crate its copy, the rule that decided, and the reason for or against each copy.
pub fn explain(rehearsal: &Rehearsal, plan: &Plan, key: &KeyView, look: TextStyle) -> String {
    let mut paper = Paper::new(look);
    paper.line(0, 2, &title(key));
    let mut explained: Vec<(Explanation, Vec<&DemandView>)> = Vec::new();
    for demand in &key.demands {
        let Some(why) = plan.explain(&key.scope, &key.key, &demand.participant) else { continue };
        // Consumers with the same explanation share one block.
        let same = |known: &Explanation| (known.rule, &known.candidates) == (why.rule, &why.candidates);
        match explained.iter_mut().find(|(known, _)| same(known)) {
            Some((_, demands)) => demands.push(demand),
            None => explained.push((why, vec![demand])),
        }
    }
    for (why, demands) in explained {
        paper.blank();
        let row = |demand: &&DemandView| -> [TableCell; 3] {
            let needs = [vec![weak("requires ")], needs(demand)].concat();
            let verb = if matches!(demand.outcome, Outcome::Uses { .. }) { "uses " } else { "gets " };
            [vec![bold(&*demand.participant)], needs, vec![weak(verb), uses(&demand.outcome)]]
        };
        paper.table(2, &demands.iter().map(row).collect::<Vec<_>>());
        let refused = demands.iter().all(|demand| matches!(demand.outcome, Outcome::Refused { .. }));
        if refused && why.rule != Rule::NothingFits {
            paper.line(4, 6, &[weak("if it were admitted:")]);
        }
        paper.line(4, 6, &[weak(why.rule.as_str()), plain(format!("  {}", why.rule.sentence()))]);
        paper.table(4, &candidates(&why.candidates));
        let concerned = |diagnostic: &&Diagnostic| {
            (&diagnostic.scope, &diagnostic.key) == (&key.scope, &key.key)
                && demands.iter().any(|demand| demand.participant == diagnostic.participant)
        };
        for diagnostic in plan.diagnostics().iter().filter(concerned) {
            paper.line(4, 6, &code(SpanStyle::Warning, diagnostic));
            if let Some(change) = diagnostic.fix().and_then(|edit| rehearsal.change(&edit)) {
                paper.line(6, 8, &fix("fix: ", &change));
            }
        }
    }
    paper.into_text()
}

/// Writes the causes of a participant's refusal, and the smallest changes that admit it.
pub fn why(rehearsal: &Rehearsal, why: &Why, look: TextStyle) -> String {
    let mut paper = Paper::new(look);
    let name = &why.participant;
    if !why.refused {
        paper.line(0, 2, &[bold(name), good(" is served")]);
        for link in &why.chain {
            paper.line(2, 4, &code(SpanStyle::Warning, &link.said));
            if let Some(change) = link.said.fix().and_then(|edit| rehearsal.change(&edit)) {
                paper.line(4, 6, &fix("fix: ", &change));
            }
        }
        return paper.into_text();
    }
    let host = *name == *rehearsal.host_name();
    let verdict = if host { " is not served" } else { " is refused" };
    paper.line(0, 2, &[bold(name), bad(verdict)]);
    let mut depth = 0;
    for link in &why.chain {
        let indent = 2 + 2 * link.depth;
        if link.depth > depth {
            paper.line(indent, indent + 2, &[weak(format!("because `{}` is refused:", link.said.participant))]);
        }
        depth = link.depth;
        paper.line(indent, indent + 2, &code(SpanStyle::Bad, &link.said));
        for place in &link.places {
            paper.line(indent + 2, indent + 4, &[weak("written at "), plain(place)]);
        }
    }
    let admits = if host { "serves it" } else { "admits it" };
    match why.repairs.split_first() {
        None => {
            paper.blank();
            let none = format!(
                "No change of up to {} lines was found that {admits} and takes no copy from another participant ({} \
                 plans tried{}).",
                Why::MAX_EDITS,
                why.plans,
                if why.stopped { "; the search stopped at its limit, so one may exist" } else { "" }
            );
            paper.line(0, 2, &[plain(none)]);
        }
        Some((best, others)) => {
            let lines = match best.changes.len() {
                1 => "one line".to_owned(),
                several => format!("{several} lines"),
            };
            paper.heading(&format!("The smallest change that {admits}: {lines}"));
            repair(&mut paper, best);
            for other in others {
                paper.blank();
                paper.line(0, 0, &[weak("or")]);
                repair(&mut paper, other);
            }
        }
    }
    paper.into_text()
}

fn repair(paper: &mut Paper, repair: &Repair) {
    for (summary, change) in repair.summary.iter().zip(&repair.changes) {
        paper.line(2, 4, &[plain(summary)]);
        paper.line(4, 6, &fix("", change));
    }
}
