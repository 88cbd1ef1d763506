//! The causes of a refusal, and the smallest change of manifests that admits the remote.
//!
//! Changes are found by trial: the diagnostics of the plan suggest edits, and each edit is planned again. A change
//! counts only if it admits the remote, refuses no other participant and leaves no further demand of the host unmet.

mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rehearsal::{Change, Rehearsal};
use crate::resolver::{Diagnostic, Plan, Severity};
use steps::Step;

/// The causes of a participant's refusal with repairs or, for an admitted participant, its warnings.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// Name of the participant.
    pub participant: String,
    /// Set if it is refused or, for the host, if one of its demands is not met.
    pub refused: bool,
    /// The causes, each before its own causes; for an admitted participant, its warnings.
    pub chain: Vec<Link>,
    /// The smallest changes that admit it, the recommended one first.
    pub repairs: Vec<Repair>,
    /// The number of plans that the search tried.
    pub plans: usize,
    /// Set if the search stopped at a limit, so that other changes may exist.
    pub stopped: bool,
}

/// A cause in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The number of causes above this one.
    pub depth: usize,
    /// The diagnostic of the cause.
    pub said: Diagnostic,
    /// The places of the unmet demands: of the participant and, in a conflict, of the other participant.
    pub places: Vec<String>,
}

/// Edits that together admit a participant.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    /// A summary of each change, in a few words.
    pub summary: Vec<String>,
    /// The lines to change.
    pub changes: Vec<Change>,
}

impl Why {
    /// The largest number of plans that a search tries.
    pub const MAX_PLANS: usize = 2000;
    /// The largest number of edits in a repair.
    pub const MAX_EDITS: usize = 3;
    /// The longest time of a search.
    pub const MAX_TIME: Duration = Duration::from_secs(5);
    const MAX_REPAIRS: usize = 4;
    /// The largest number of manifest entries in the plans that are kept for a further edit; each takes some hundred
    /// bytes.
    const MAX_KEPT: usize = 200_000;

    /// Returns the answer as JSON: `participant`, `refused`, `chain`, `repairs`, `plans` and `stopped`.
    pub fn to_json(&self) -> Value {
        let link = |link: &Link| {
            let Link { depth, said: diagnostic, places } = link;
            let mut json = diagnostic.to_json();
            json["depth"] = json!(depth);
            json["places"] = json!(places);
            json
        };
        let repair = |repair: &Repair| {
            json!({
                "summary": repair.summary,
                "edits": repair.changes.iter().map(Change::to_json).collect::<Vec<_>>(),
            })
        };
        json!({
            "participant": self.participant,
            "refused": self.refused,
            "chain": self.chain.iter().map(link).collect::<Vec<_>>(),
            "repairs": self.repairs.iter().map(repair).collect::<Vec<_>>(),
            "plans": self.plans,
            "stopped": self.stopped,
        })
    }
}

impl Rehearsal {
    /// Finds the causes for which `plan`, the result of [`Self::plan`], refuses `name`, and changes that admit it.
    ///
    /// Returns `None` for a name that is not a participant.
    pub fn why(&self, plan: &Plan, name: &str) -> Option<Why> {
        let participant = name.to_owned();
        if plan.refusal(name).is_some() {
            let causes = chain(plan, name).into_iter();
            let chain = causes.map(|(depth, diagnostic)| self.link(depth, diagnostic)).collect();
            let deadline = Instant::now() + Why::MAX_TIME;
            let mut search =
                Search { rehearsal: self, goal: Goal::new(plan, name), deadline, plans: 0, stopped: false };
            let repairs = search.run(plan);
            let Search { plans, stopped, .. } = search;
            return Some(Why { participant, refused: true, chain, repairs, plans, stopped });
        }
        if name != plan.host() && !plan.admitted().any(|known| known == name) {
            return None;
        }
        let warned = |diagnostic: &&Diagnostic| {
            let counts = diagnostic.severity() == Severity::Warning || diagnostic.not_granted_to().is_some();
            *diagnostic.participant == *name && counts
        };
        let warnings = plan.diagnostics().iter().filter(warned);
        let chain = warnings.map(|diagnostic| self.link(0, diagnostic)).collect();
        Some(Why { participant, refused: false, chain, repairs: Vec::new(), plans: 0, stopped: false })
    }

    fn link(&self, depth: usize, diagnostic: &Diagnostic) -> Link {
        let entries = diagnostic.written_at().into_iter();
        let places = entries.filter_map(|(name, pointer)| self.place(name, &pointer)).collect();
        Link { depth, said: diagnostic.clone(), places }
    }
}

/// Returns the causes of the refusal of `name`, each followed by its own causes; each participant's causes once.
fn chain<'a>(plan: &'a Plan, name: &str) -> Vec<(usize, &'a Diagnostic)> {
    let causes = |name: &str, depth| {
        let causes = plan.refusal(name).map_or(&[][..], |refusal| &refusal.causes);
        causes.iter().rev().map(move |diagnostic| (depth, diagnostic))
    };
    let mut seen: BTreeSet<Arc<str>> = BTreeSet::from([name.into()]);
    let mut links = Vec::new();
    let mut stack: Vec<_> = causes(name, 0).collect();
    while let Some((depth, diagnostic)) = stack.pop() {
        links.push((depth, diagnostic));
        if let Some(provider) = diagnostic.refused_provider()
            && seen.insert(provider.clone())
        {
            stack.extend(causes(provider, depth + 1));
        }
    }
    links
}

/// The condition that a repair must meet.
struct Goal {
    name: String,
    /// The participants that are refused without a repair.
    refused: BTreeSet<Arc<str>>,
    /// Scope and key of the host's demands that are not met without a repair.
    host_lacks: BTreeSet<(Arc<str>, Arc<str>)>,
    warnings: usize,
}

impl Goal {
    fn new(plan: &Plan, name: &str) -> Self {
        let host = plan.refusal(plan.host()).map_or(&[][..], |refusal| &refusal.causes);
        Self {
            name: name.to_owned(),
            refused: plan.refused().iter().map(|refusal| refusal.participant.clone()).collect(),
            host_lacks: host.iter().map(|cause| (cause.scope.clone(), cause.key.clone())).collect(),
            warnings: warnings(plan),
        }
    }

    /// Returns the causes in `plan` that are new or refuse the participant; empty if the plan meets the goal.
    fn misses<'a>(&self, plan: &'a Plan) -> Vec<&'a Diagnostic> {
        let new = |cause: &Diagnostic| {
            *cause.participant == *self.name
                || if *cause.participant == *plan.host() {
                    !self.host_lacks.contains(&(cause.scope.clone(), cause.key.clone()))
                } else {
                    !self.refused.contains(&cause.participant)
                }
        };
        plan.refused().iter().flat_map(|refusal| &refusal.causes).filter(|cause| new(cause)).collect()
    }
}

fn warnings(plan: &Plan) -> usize {
    plan.diagnostics().iter().filter(|diagnostic| diagnostic.severity() == Severity::Warning).count()
}

/// A search that tries one edit, then two, then three, until some plans meet the goal.
struct Search<'a> {
    rehearsal: &'a Rehearsal,
    goal: Goal,
    deadline: Instant,
    plans: usize,
    stopped: bool,
}

/// Edits that were tried together, with the resulting plan.
struct Tried {
    steps: Vec<Step>,
    plan: Plan,
    misses: usize,
}

impl Search<'_> {
    fn run(&mut self, plan: &Plan) -> Vec<Repair> {
        let entries: usize = plan.keys().map(|key| key.demands.len()).sum();
        let keep = (Why::MAX_KEPT / entries.max(1)).max(4);
        let start = Tried { steps: Vec::new(), plan: plan.clone(), misses: usize::MAX };
        let mut open = vec![start];
        for edits in 1..=Why::MAX_EDITS {
            // The last edit is tried only on the closest plans; a third of the budget is reserved for it.
            let budget =
                Why::MAX_PLANS - (Why::MAX_PLANS - self.plans) / 3 * usize::from(edits < Why::MAX_EDITS);
            let (mut reached, mut others) = (Vec::new(), Vec::new());
            let mut seen = BTreeSet::new();
            'level: for tried in &open {
                for step in self.steps(tried) {
                    let steps: Vec<Step> = tried.steps.iter().cloned().chain([step]).collect();
                    let mut key: Vec<String> = steps.iter().map(Step::key).collect();
                    key.sort_unstable();
                    if !seen.insert(key) {
                        continue;
                    }
                    if self.plans >= budget || Instant::now() >= self.deadline {
                        self.stopped = true;
                        break 'level;
                    }
                    self.plans += 1;
                    let edits = steps.iter().map(|step| (step.party, &step.edit));
                    let Some(plan) = self.rehearsal.plan_with(edits) else { continue };
                    let misses = self.goal.misses(&plan).len();
                    let list = if misses == 0 { &mut reached } else { &mut others };
                    list.push(Tried { steps, plan, misses });
                    if list.len() > 2 * keep {
                        self.keep_best(list, keep);
                        self.stopped = true;
                    }
                }
            }
            if !reached.is_empty() {
                return self.repairs(reached);
            }
            self.keep_best(&mut others, keep);
            open = others;
        }
        Vec::new()
    }

    /// Keeps the closest plans, in their order.
    fn keep_best(&self, tried: &mut Vec<Tried>, keep: usize) {
        tried.sort_by_key(|tried| (tried.misses, self.elsewhere(tried)));
        tried.truncate(keep);
    }

    /// Returns the edits that could remove the misses of `tried`, those of the participant's own manifest first.
    fn steps(&self, tried: &Tried) -> Vec<Step> {
        let mut links = chain(&tried.plan, &self.goal.name);
        links.extend(self.goal.misses(&tried.plan).into_iter().map(|cause| (0, cause)));
        let mut known = BTreeSet::new();
        let mut steps = Vec::new();
        for (_, diagnostic) in links {
            steps.extend(self.rehearsal.steps(&tried.plan, diagnostic).into_iter().filter(|step| {
                let again = tried.steps.iter().any(|other| other.party == step.party && other.overlaps(step));
                !again && known.insert(step.key())
            }));
        }
        steps.sort_by_key(|step| *step.edit.participant != *self.goal.name);
        steps
    }

    fn elsewhere(&self, tried: &Tried) -> usize {
        tried.steps.iter().filter(|step| *step.edit.participant != *self.goal.name).count()
    }

    fn repairs(&self, mut reached: Vec<Tried>) -> Vec<Repair> {
        let new_warnings = |tried: &Tried| warnings(&tried.plan).saturating_sub(self.goal.warnings);
        let builds = |tried: &Tried| tried.steps.iter().filter(|step| step.builds).count();
        reached.sort_by_key(|tried| (self.elsewhere(tried), builds(tried), new_warnings(tried)));
        reached.truncate(Why::MAX_REPAIRS);
        let repair = |tried: Tried| Repair {
            changes: tried
                .steps
                .iter()
                .map(|step| Change::new(step.edit.clone(), self.rehearsal.origin(step.party)))
                .collect(),
            summary: tried.steps.into_iter().map(|step| step.summary).collect(),
        };
        reached.into_iter().map(repair).collect()
    }
}
