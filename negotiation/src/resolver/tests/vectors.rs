//! The cases of the specification.

use std::collections::BTreeSet;

use crate::manifest::{HostManifest, Range, RemoteManifest, Requirement};
use semver::Version;
use serde::Deserialize;
use serde_json::Value;

use crate::resolver::{Participant, PlanRequest, resolve};

#[derive(Deserialize)]
struct Case {
    name: String,
    host: HostManifest,
    remotes: Vec<RemoteManifest>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    assignments: Vec<Value>,
    refused: Vec<String>,
}

#[derive(Deserialize)]
struct Satisfies {
    range: String,
    version: String,
    expected: bool,
}

#[test]
fn plans_match_the_vectors() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/vectors/plan.json")).unwrap();
    assert_eq!(cases.len(), 45);
    for Case { name, host, remotes, expected } in cases {
        let remotes: Vec<Participant> = remotes.iter().map(Participant::remote).collect();
        let strategy = host.share_strategy;
        let host = Participant::host(&host);
        let plan = resolve(&PlanRequest::new(&host, &remotes, strategy)).to_json();

        let refused = plan["refused"].as_array().unwrap();
        let refused: BTreeSet<&str> = refused.iter().map(|one| one["participant"].as_str().unwrap()).collect();
        assert_eq!(refused, expected.refused.iter().map(String::as_str).collect(), "{name}");

        let mut assignments = plan["assignments"].as_array().unwrap().clone();
        for assignment in &mut assignments {
            assignment.as_object_mut().unwrap().remove("singleton").unwrap();
        }
        assert_eq!(assignments, expected.assignments, "{name}");
    }
}

#[test]
fn requirements_match_the_vectors() {
    let cases: Vec<Satisfies> =
        serde_json::from_str(include_str!("../../../tests/vectors/satisfies.json")).unwrap();
    assert_eq!(cases.len(), 81);
    for Satisfies { range, version, expected } in cases {
        let requirement = Requirement::Range(range.parse::<Range>().unwrap());
        let satisfied = Version::parse(&version).is_ok_and(|version| requirement.matches(&version));
        assert_eq!(satisfied, expected, "{range} and {version}");
    }
}
