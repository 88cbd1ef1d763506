//! Diagnostics of the plans of this run: each is logged once, and counted.

use std::{collections::BTreeMap, sync::Arc};

use negotiation::rehearsal::Change;
use negotiation::resolver::{self, Diagnostic, Plan, Severity};
use semver::Version;

use crate::{catalogue::Code, failure::sentence};

/// A warning of the plan in force.
#[derive(Clone, Debug)]
pub struct Warning {
    /// The participant concerned.
    pub participant: Arc<str>,
    /// The stable code.
    pub code: Code,
    /// The problem, and what to do.
    pub text: String,
    /// The line to change, and its new value.
    pub fix: Option<String>,
    /// Number of plans in this run that contained it.
    pub count: u32,
}

/// Number of occurrences by code, participant, scope, key, and the version in use.
#[derive(Default)]
pub(super) struct Notices(BTreeMap<Subject, u32>);

type Subject = (resolver::DiagnosticCode, [Arc<str>; 3], Option<Version>);

impl Notices {
    /// Counts the diagnostics of `plan`, logs the new ones, and returns the warnings.
    pub(super) fn take(&mut self, plan: &Plan, change: impl Fn(&Diagnostic) -> Option<Change>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for diagnostic in plan.diagnostics() {
            let count = self.0.entry(subject(plan, diagnostic)).or_default();
            *count += 1;
            let (code, severity) = (diagnostic.code.as_str(), diagnostic.severity());
            if *count > 1 && severity != Severity::Warning {
                continue;
            }
            let fix = change(diagnostic).map(|change| change.to_string());
            if *count == 1 {
                let (remote, fix) = (&*diagnostic.participant, fix.as_deref().unwrap_or("none"));
                match severity {
                    Severity::Error => tracing::error!(remote, code, fix, "{diagnostic}"),
                    Severity::Warning => tracing::warn!(remote, code, fix, "{diagnostic}"),
                    Severity::Info => tracing::info!(remote, code, "{diagnostic}"),
                }
            }
            if severity == Severity::Warning {
                let (participant, text) = (Arc::clone(&diagnostic.participant), sentence(diagnostic));
                let code = diagnostic.code.into();
                warnings.push(Warning { participant, code, text, fix, count: *count });
            }
        }
        warnings
    }
}

fn subject(plan: &Plan, diagnostic: &Diagnostic) -> Subject {
    let Diagnostic { code, participant, scope, key, .. } = diagnostic;
    let used = plan.assignment(participant, scope, key);
    (*code, [participant, scope, key].map(Arc::clone), used.map(|used| used.version.clone()))
}
