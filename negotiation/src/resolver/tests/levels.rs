//! Compares the levels of a group with a plain implementation.

use crate::manifest::Requirement;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use semver::{Version, VersionReq};

use crate::resolver::levels::{CopySet, Levels, Unsatisfied};

/// Generates versions of distinct precedence, so that each has its own level.
fn versions() -> impl Strategy<Value = Vec<Version>> {
    let version = "[0-2]\\.[0-2]\\.[0-2](-(a|b)(\\.[0-2])?)?";
    btree_set(version.prop_map(|text| text.parse::<Version>().unwrap()), 1..40)
        .prop_map(|set| set.into_iter().rev().collect())
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let comparator = "(\\^|~|=|<|<=|>|>=)[0-2](\\.[0-2](\\.[0-2](-(a|b)(\\.[0-2])?)?)?)?|\\*|[0-2]\\.\\*";
    let range = (comparator, prop::option::weighted(0.4, comparator)).prop_map(|(one, other)| {
        // `*` stands alone.
        let text = other.map_or_else(|| one.clone(), |other| format!("{one}, {other}"));
        Requirement::Range(text.parse().unwrap_or_else(|_| ">=1.0.0-a".parse().unwrap()))
    });
    prop_oneof![1 => Just(Requirement::Any), 9 => range]
}

fn levels(versions: &[Version], requirements: &[Requirement]) -> (Levels, Vec<usize>) {
    let named: Vec<VersionReq> =
        requirements.iter().map(|required| required.to_string().parse().unwrap_or_default()).collect();
    let versions: Vec<&Version> = versions.iter().collect();
    let requirements: Vec<_> =
        requirements.iter().zip(&named).map(|(required, named)| (required, &*named.comparators)).collect();
    Levels::new(&versions, &requirements)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn requirement_accepts_levels_of_matching_versions(
        versions in versions(),
        requirements in vec(requirement(), 1..6),
    ) {
        let (levels, level_of) = levels(&versions, &requirements);
        for (at, required) in requirements.iter().enumerate() {
            for (version, &level) in versions.iter().zip(&level_of) {
                prop_assert_eq!(levels.fits(at, level), required.matches(version), "{} and {}", required, version);
            }
        }
    }

    #[test]
    fn best_level_is_the_one_that_counting_finds(
        versions in versions(),
        requirements in vec(requirement(), 1..6),
        steps in vec((any::<bool>(), any::<bool>(), any::<Index>()), 0..60),
    ) {
        let (mut levels, level_of) = levels(&versions, &requirements);
        let mut demands = vec![Unsatisfied::default(); requirements.len()];
        let mut copies = vec![[0; 2]; versions.len()];
        for (demand, strict, at) in steps {
            if demand {
                let more = Unsatisfied { strict: i32::from(strict), all: 1 };
                let at = at.index(requirements.len());
                levels.add_demands(at, more);
                demands[at] += more;
            } else {
                // Every second step of a version removes the copy.
                let at = at.index(versions.len());
                let which = if strict { CopySet::Loaded } else { CopySet::Available };
                let one = if copies[at][which as usize] > 0 { -1 } else { 1 };
                levels.add_copy(level_of[at], which, one);
                copies[at][which as usize] += one;
            }
        }
        let unsatisfied = |version: &Version| {
            let mut sum = Unsatisfied::default();
            for (required, demands) in requirements.iter().zip(&demands) {
                if !required.matches(version) {
                    sum += *demands;
                }
            }
            sum
        };
        for (version, &level) in versions.iter().zip(&level_of) {
            prop_assert_eq!(levels.unsatisfied(level), unsatisfied(version), "{}", version);
        }
        for which in [CopySet::Available, CopySet::Loaded] {
            let there = || (0..versions.len()).filter(|&at| copies[at][which as usize] > 0);
            let least = |at: &usize| unsatisfied(&versions[*at]);
            let best = there().min_by_key(least);
            prop_assert_eq!(levels.best(which).map(|best| best.level as usize), best.map(|at| level_of[at]));
            for (at, required) in requirements.iter().enumerate() {
                let accepted = || there().filter(|&at| required.matches(&versions[at]));
                let best = accepted().min_by_key(least);
                prop_assert_eq!(levels.best_of(at, which).map(|best| best.level as usize), best.map(|at| level_of[at]));
                prop_assert_eq!(levels.highest_of(at, which), accepted().next().map(|at| level_of[at]));
            }
        }
    }
}
