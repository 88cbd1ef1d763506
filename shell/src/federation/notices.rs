//! What the plans of this run have said, each thing once.

use std::{collections::BTreeMap, sync::Arc};

use semver::Version;

use super::resolver::{Code, Diagnostic, Plan, Severity};

/// How often each thing was said, by code, participant, scope, key, and the version that is used.
#[derive(Default)]
pub(super) struct Notices(BTreeMap<Subject, u32>);

type Subject = (Code, [Arc<str>; 3], Option<Version>);

impl Notices {
    /// Counts what `plan` says, and logs what no plan has said before.
    pub(super) fn take(&mut self, plan: &Plan) {
        for said in plan.diagnostics() {
            let count = self.0.entry(subject(plan, said)).or_default();
            *count += 1;
            if *count > 1 {
                continue;
            }
            let (remote, code) = (&*said.participant, said.code.as_str());
            match said.severity() {
                Severity::Error => tracing::error!(remote, code, "{said}"),
                Severity::Warning => tracing::warn!(remote, code, "{said}"),
                Severity::Info => tracing::info!(remote, code, "{said}"),
            }
        }
    }

    /// In how many plans `said`, which is in `plan`, was said.
    pub(super) fn count(&self, plan: &Plan, said: &Diagnostic) -> u32 {
        self.0.get(&subject(plan, said)).copied().unwrap_or_default()
    }
}

fn subject(plan: &Plan, said: &Diagnostic) -> Subject {
    let Diagnostic { code, participant, scope, key, .. } = said;
    let used = plan.assignment(participant, scope, key);
    (*code, [participant, scope, key].map(Arc::clone), used.map(|used| used.version.clone()))
}
