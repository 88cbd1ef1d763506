//! What the plans of this run have said: each thing logged once, and counted.

use std::{collections::BTreeMap, sync::Arc};

use negotiation::rehearsal::Change;
use negotiation::resolver::{self, Diagnostic, Plan, Severity};
use semver::Version;

use crate::{catalogue::Code, failure::sentence};

/// Something that the plan in force warns of.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The participant concerned.
    pub participant: Arc<str>,
    /// The stable code.
    pub code: Code,
    /// What it is, and what to do.
    pub text: String,
    /// The line to change, and how.
    pub fix: Option<String>,
    /// In how many plans of this run it was said.
    pub count: u32,
}

/// How often each thing was said, by code, participant, scope, key, and the version that is used.
#[derive(Default)]
pub(super) struct Notices(BTreeMap<Subject, u32>);

type Subject = (resolver::Code, [Arc<str>; 3], Option<Version>);

impl Notices {
    /// Counts what `plan` says, logs what no plan has said before, and returns the warnings.
    pub(super) fn take(&mut self, plan: &Plan, change: impl Fn(&Diagnostic) -> Option<Change>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for said in plan.diagnostics() {
            let count = self.0.entry(subject(plan, said)).or_default();
            *count += 1;
            let (code, severity) = (said.code.as_str(), said.severity());
            if *count > 1 && severity != Severity::Warning {
                continue;
            }
            let fix = change(said).map(|change| change.to_string());
            if *count == 1 {
                let (remote, fix) = (&*said.participant, fix.as_deref().unwrap_or("none"));
                match severity {
                    Severity::Error => tracing::error!(remote, code, fix, "{said}"),
                    Severity::Warning => tracing::warn!(remote, code, fix, "{said}"),
                    Severity::Info => tracing::info!(remote, code, "{said}"),
                }
            }
            if severity == Severity::Warning {
                let (participant, text) = (Arc::clone(&said.participant), sentence(said));
                let code = said.code.into();
                warnings.push(Warning { participant, code, text, fix, count: *count });
            }
        }
        warnings
    }
}

fn subject(plan: &Plan, said: &Diagnostic) -> Subject {
    let Diagnostic { code, participant, scope, key, .. } = said;
    let used = plan.assignment(participant, scope, key);
    (*code, [participant, scope, key].map(Arc::clone), used.map(|used| used.version.clone()))
}
