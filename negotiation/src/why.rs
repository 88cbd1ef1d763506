//! Why a remote is refused, and the smallest change of manifests that would admit it.
//!
//! Changes are found by trying: edits that could help are derived from what the plan says, and each
//! is planned again. A change counts only if it admits the remote, refuses nobody else and takes
//! nothing from the host.

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

/// Why a participant is refused or, if it is not, what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// Name of the participant.
    pub participant: String,
    /// Whether it is refused or, if it is the host, does not get what it needs.
    pub refused: bool,
    /// What led to it, causes before the causes of these; for one that is admitted, its warnings.
    pub chain: Vec<Link>,
    /// The smallest changes that admit it, the recommended one first.
    pub repairs: Vec<Repair>,
    /// How many plans were made to find them.
    pub plans: usize,
    /// The search came to a limit: there may be other changes.
    pub stopped: bool,
}

/// One cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// How many causes led here.
    pub depth: usize,
    /// What is the matter.
    pub said: Diagnostic,
    /// Where the demands that cannot be met are written: of the participant and, in a conflict, of the other.
    pub places: Vec<String>,
}

/// Edits that together admit a participant.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    /// What it comes to, in a few words for each change.
    pub summary: Vec<String>,
    /// The lines to change.
    pub changes: Vec<Change>,
}

impl Why {
    /// The most plans that are made to find a repair.
    pub const MAX_PLANS: usize = 2000;
    /// The most edits that a repair has.
    pub const MAX_EDITS: usize = 3;
    /// The longest that a repair is searched for.
    pub const MAX_TIME: Duration = Duration::from_secs(5);
    const MAX_REPAIRS: usize = 4;
    /// The most entries of manifests in plans that are kept for a further edit: each takes some hundred bytes.
    const MAX_KEPT: usize = 200_000;

    /// As JSON: `participant`, `refused`, `chain`, `repairs` and `plans`.
    pub fn to_json(&self) -> Value {
        let link = |link: &Link| {
            let Link { depth, said, places } = link;
            let mut json = said.to_json();
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
    /// Why `name` is refused by `plan`, which is [`Self::plan`], and what would admit it; none for a name that
    /// takes no part.
    pub fn why(&self, plan: &Plan, name: &str) -> Option<Why> {
        let participant = name.to_owned();
        if plan.refusal(name).is_some() {
            let chain = chain(plan, name).into_iter().map(|(depth, said)| self.link(depth, said)).collect();
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
        let warned = |said: &&Diagnostic| {
            let counts = said.severity() == Severity::Warning || said.not_granted_to().is_some();
            *said.participant == *name && counts
        };
        let chain = plan.diagnostics().iter().filter(warned).map(|said| self.link(0, said)).collect();
        Some(Why { participant, refused: false, chain, repairs: Vec::new(), plans: 0, stopped: false })
    }

    fn link(&self, depth: usize, said: &Diagnostic) -> Link {
        let places = said.written_at().into_iter().filter_map(|(name, pointer)| self.place(name, &pointer));
        Link { depth, said: said.clone(), places: places.collect() }
    }
}

/// What led to the refusal of `name`: each cause, followed by what led to that; nobody's causes twice.
fn chain<'a>(plan: &'a Plan, name: &str) -> Vec<(usize, &'a Diagnostic)> {
    let causes = |name: &str, depth| {
        let causes = plan.refusal(name).map_or(&[][..], |refusal| &refusal.causes);
        causes.iter().rev().map(move |said| (depth, said))
    };
    let mut seen: BTreeSet<Arc<str>> = BTreeSet::from([name.into()]);
    let mut links = Vec::new();
    let mut stack: Vec<_> = causes(name, 0).collect();
    while let Some((depth, said)) = stack.pop() {
        links.push((depth, said));
        if let Some(provider) = said.refused_provider()
            && seen.insert(provider.clone())
        {
            stack.extend(causes(provider, depth + 1));
        }
    }
    links
}

/// What a repair must lead to.
struct Goal {
    name: String,
    /// Who is refused as things are.
    refused: BTreeSet<Arc<str>>,
    /// What the host lacks as things are.
    host_lacks: BTreeSet<(Arc<str>, Arc<str>)>,
    warnings: usize,
}

impl Goal {
    fn new(plan: &Plan, name: &str) -> Self {
        let host = plan.refusal(plan.host()).map_or(&[][..], |refusal| &refusal.causes);
        Self {
            name: name.to_owned(),
            refused: plan.refused().iter().map(|refusal| refusal.participant.clone()).collect(),
            host_lacks: host.iter().map(|said| (said.scope.clone(), said.key.clone())).collect(),
            warnings: warnings(plan),
        }
    }

    /// What of `plan` is worse than before, or keeps the participant out; nothing when the goal is reached.
    fn misses<'a>(&self, plan: &'a Plan) -> Vec<&'a Diagnostic> {
        let new = |said: &Diagnostic| {
            *said.participant == *self.name
                || if *said.participant == *plan.host() {
                    !self.host_lacks.contains(&(said.scope.clone(), said.key.clone()))
                } else {
                    !self.refused.contains(&said.participant)
                }
        };
        plan.refused().iter().flat_map(|refusal| &refusal.causes).filter(|said| new(said)).collect()
    }
}

fn warnings(plan: &Plan) -> usize {
    plan.diagnostics().iter().filter(|said| said.severity() == Severity::Warning).count()
}

/// Tries edits, one at a time, then two, then three, until some reach the goal.
struct Search<'a> {
    rehearsal: &'a Rehearsal,
    goal: Goal,
    deadline: Instant,
    plans: usize,
    stopped: bool,
}

/// Edits that have been tried together, with the plan that they lead to.
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
            // The last edit is worth trying only with those that came closest; some plans are kept for that.
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

    /// Keeps those that came closest, in their order.
    fn keep_best(&self, tried: &mut Vec<Tried>, keep: usize) {
        tried.sort_by_key(|tried| (tried.misses, self.elsewhere(tried)));
        tried.truncate(keep);
    }

    /// The edits that could help with what `tried` misses, those of the participant's own manifest first.
    fn steps(&self, tried: &Tried) -> Vec<Step> {
        let mut links = chain(&tried.plan, &self.goal.name);
        links.extend(self.goal.misses(&tried.plan).into_iter().map(|said| (0, said)));
        let mut known = BTreeSet::new();
        let mut steps = Vec::new();
        for (_, said) in links {
            steps.extend(self.rehearsal.steps(&tried.plan, said).into_iter().filter(|step| {
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
