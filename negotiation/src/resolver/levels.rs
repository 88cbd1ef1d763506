//! The versions that a group offers, with the number of demands that each leaves unsatisfied.
//!
//! Releases precede prereleases, each from the highest down, so that a requirement accepts a few runs of neighbours.
//! A tree over the versions holds the number of demands that each run leaves unsatisfied: adding or removing a demand
//! and finding the best version take logarithmic time. A table of requirements by versions would not fit into memory
//! if every participant had its own version.

use std::cmp::Ordering;
use std::ops::{AddAssign, Range};

use crate::manifest::Requirement;
use semver::{Comparator, Version};

/// The copies that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopySet {
    /// Every copy that another participant may get.
    Available,
    /// The available copies that are loaded.
    Loaded,
}

/// The number of unsatisfied demands; fewer strict ones are better, then fewer of any kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unsatisfied {
    pub(super) strict: i32,
    pub(super) all: i32,
}

impl AddAssign for Unsatisfied {
    fn add_assign(&mut self, other: Self) {
        self.strict += other.strict;
        self.all += other.all;
    }
}

/// A version that could be chosen; a smaller value is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Choice {
    pub(super) unsatisfied: Unsatisfied,
    /// Number of higher versions.
    height: u32,
    pub(super) level: u32,
}

/// The versions of a group; versions of equal precedence share a level.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    /// Number of higher versions, by level.
    heights: Vec<u32>,
    /// Number of copies by level, for each [`CopySet`].
    copies: Vec<[u32; 2]>,
    /// The root, then its complete left half, then its complete right half, recursively down to the levels.
    tree: Vec<Node>,
    accepted: Accepted,
}

/// The runs of levels that each requirement accepts, requirement after requirement.
#[derive(Debug, Clone)]
struct Accepted {
    runs: Vec<Range<usize>>,
    /// End of the runs of each requirement.
    ends: Vec<usize>,
}

impl Accepted {
    fn by(&self, requirement: usize) -> &[Range<usize>] {
        let start = requirement.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.runs[start..self.ends[requirement]]
    }
}

/// Values that hold for all levels of a span.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Demands that every level of the span leaves unsatisfied, in addition to the nodes above and below.
    unsatisfied: Unsatisfied,
    /// The best level with a copy, for each [`CopySet`], without the counts of the nodes above.
    best: [Option<Choice>; 2],
}

impl Levels {
    /// Creates the levels of `versions`, which are sorted from the highest down; also returns the level of each.
    pub(super) fn new(
        versions: &[&Version],
        requirements: &[(&Requirement, &[Comparator])],
    ) -> (Self, Vec<usize>) {
        let mut heights: Vec<u32> = (0..versions.len() as u32).collect();
        heights.sort_by_key(|&height| !versions[height as usize].pre.is_empty());
        let sorted: Vec<&Version> = heights.iter().map(|&height| versions[height as usize]).collect();
        let mut level_of = vec![0; versions.len()];
        for (level, &height) in heights.iter().enumerate() {
            level_of[height as usize] = level;
        }
        let releases = sorted.partition_point(|version| version.pre.is_empty());
        let mut runs = Vec::new();
        let ends = requirements
            .iter()
            .map(|(required, named)| {
                for section in [0..releases, releases..sorted.len()] {
                    push_runs(&mut runs, &sorted, section, required, named);
                }
                runs.len()
            })
            .collect();
        let tree = vec![Node::default(); (2 * sorted.len()).saturating_sub(1)];
        let accepted = Accepted { runs, ends };
        (Self { heights, copies: vec![[0; 2]; sorted.len()], tree, accepted }, level_of)
    }

    pub(super) fn len(&self) -> usize {
        self.heights.len()
    }

    pub(super) fn requirements(&self) -> usize {
        self.accepted.ends.len()
    }

    /// Returns `true` if the requirement accepts the level.
    pub(super) fn fits(&self, requirement: usize, level: usize) -> bool {
        self.accepted.by(requirement).iter().any(|run| run.contains(&level))
    }

    /// Adds demands with this requirement; negative counts remove them.
    pub(super) fn add_demands(&mut self, requirement: usize, more: Unsatisfied) {
        // Add to all levels, then subtract from the accepted runs: most requirements accept one run.
        let levels = 0..self.heights.len();
        let mut add = |run: &Range<usize>, more: Unsatisfied| {
            update(&mut self.tree, levels.clone(), run, &mut |node| {
                node.unsatisfied += more;
                for choice in node.best.iter_mut().flatten() {
                    choice.unsatisfied += more;
                }
            });
        };
        add(&levels, more);
        for run in self.accepted.by(requirement) {
            add(run, Unsatisfied { strict: -more.strict, all: -more.all });
        }
    }

    /// Adds (`one` = 1) or removes (`one` = -1) a copy of this level.
    pub(super) fn add_copy(&mut self, level: usize, copies: CopySet, one: isize) {
        let count = &mut self.copies[level][copies as usize];
        let was_there = *count > 0;
        *count = count.saturating_add_signed(one as i32);
        let (is_there, levels, height) = (*count > 0, self.heights.len(), self.heights[level]);
        if is_there != was_there {
            update(&mut self.tree, 0..levels, &(level..level + 1), &mut |node| {
                let choice = Choice { unsatisfied: node.unsatisfied, height, level: level as u32 };
                node.best[copies as usize] = is_there.then_some(choice);
            });
        }
    }

    /// Returns the level with a copy that leaves the fewest demands unsatisfied; of equal ones, the highest version.
    pub(super) fn best(&self, copies: CopySet) -> Option<Choice> {
        self.tree.first()?.best[copies as usize]
    }

    /// Returns the same among the levels that the requirement accepts.
    pub(super) fn best_of(&self, requirement: usize, copies: CopySet) -> Option<Choice> {
        let levels = 0..self.heights.len();
        let runs = self.accepted.by(requirement).iter();
        runs.filter_map(|run| best(&self.tree, levels.clone(), run, copies)).min()
    }

    /// Returns the level of the highest version with a copy that the requirement accepts.
    pub(super) fn highest_of(&self, requirement: usize, copies: CopySet) -> Option<usize> {
        let runs = self.accepted.by(requirement).iter();
        let found = runs.filter_map(|run| run.clone().find(|&level| self.copies[level][copies as usize] > 0));
        found.min_by_key(|&level| self.heights[level])
    }

    /// Returns the demands that the level leaves unsatisfied.
    pub(super) fn unsatisfied(&self, level: usize) -> Unsatisfied {
        let (mut tree, mut span, mut sum) = (&self.tree[..], 0..self.heights.len(), Unsatisfied::default());
        loop {
            sum += tree[0].unsatisfied;
            if span.len() == 1 {
                return sum;
            }
            let (left, right) = halves(&span);
            let (left_tree, right_tree) = tree[1..].split_at(2 * left.len() - 1);
            (tree, span) = if left.contains(&level) { (left_tree, left) } else { (right_tree, right) };
        }
    }
}

/// Applies `change` to the nodes of `tree`, which covers `span`, that make up `run`.
fn update(tree: &mut [Node], span: Range<usize>, run: &Range<usize>, change: &mut impl FnMut(&mut Node)) {
    if run.start.max(span.start) >= run.end.min(span.end) {
        return;
    }
    let Some((node, below)) = tree.split_first_mut() else { return };
    if run.start <= span.start && span.end <= run.end {
        return change(node);
    }
    let (left, right) = halves(&span);
    let (left_tree, right_tree) = below.split_at_mut(2 * left.len() - 1);
    update(left_tree, left, run, change);
    update(right_tree, right, run, change);
    for (at, best) in node.best.iter_mut().enumerate() {
        *best = [left_tree[0].best[at], right_tree[0].best[at]].into_iter().flatten().min();
        if let Some(choice) = best {
            choice.unsatisfied += node.unsatisfied;
        }
    }
}

fn best(tree: &[Node], span: Range<usize>, run: &Range<usize>, copies: CopySet) -> Option<Choice> {
    if run.start.max(span.start) >= run.end.min(span.end) {
        return None;
    }
    let (node, below) = tree.split_first()?;
    if run.start <= span.start && span.end <= run.end {
        return node.best[copies as usize];
    }
    let (left, right) = halves(&span);
    let (left_tree, right_tree) = below.split_at(2 * left.len() - 1);
    let found = [best(left_tree, left, run, copies), best(right_tree, right, run, copies)];
    let mut choice = found.into_iter().flatten().min()?;
    choice.unsatisfied += node.unsatisfied;
    Some(choice)
}

fn halves(span: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = span.start.midpoint(span.end);
    (span.start..middle, middle..span.end)
}

/// Adds the runs of a section of `versions`, sorted from the highest down, that `required` accepts.
///
/// `named` are the comparators of the requirement. Its answer changes only between versions that lie on different
/// sides of a comparator, compared by one, two, three or all parts; one version decides for each run between two such
/// cuts. This holds among releases and among prereleases, but not across both.
fn push_runs(
    runs: &mut Vec<Range<usize>>,
    versions: &[&Version],
    section: Range<usize>,
    required: &Requirement,
    named: &[Comparator],
) {
    if section.is_empty() {
        return;
    }
    let mut cuts = vec![section.start, section.end];
    for Comparator { major, minor, patch, pre, .. } in named {
        let (minor, patch) = (minor.unwrap_or_default(), patch.unwrap_or_default());
        let parts: [&dyn Fn(&Version) -> Ordering; 4] = [
            &|version| version.major.cmp(major),
            &|version| version.minor.cmp(&minor),
            &|version| version.patch.cmp(&patch),
            &|version| version.pre.cmp(pre),
        ];
        let mut equal = section.clone();
        for part in parts {
            let passed = |end: fn(Ordering) -> bool| {
                equal.start + versions[equal.clone()].partition_point(|version| end(part(version)))
            };
            equal = passed(Ordering::is_gt)..passed(Ordering::is_ge);
            cuts.extend([equal.start, equal.end]);
        }
    }
    cuts.sort_unstable();
    cuts.dedup();
    let first = runs.len();
    for run in cuts.windows(2).filter(|run| required.matches(versions[run[0]])) {
        match runs[first..].last_mut() {
            Some(last) if last.end == run[0] => last.end = run[1],
            _ => runs.push(run[0]..run[1]),
        }
    }
}
