//! The language of the project, as far as a test can check it; CONTRIBUTING.md has the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{files, is_rust};

/// First words of a relative clause or an ellipsis, where a doc line needs a verb or a noun.
const OPENINGS: &[&str] = &[
    "What", "Whether", "Who", "Whose", "Whoever", "How", "Where", "When", "That", "Those", "One", "None", "So",
];

/// Words without a place in the glossary, and the words to use.
const WORDS: &[(&str, &str)] = &[
    ("told", "reported, notified, logged"),
    ("nobody", "no user, no participant"),
    ("somebody", "a user, a participant"),
    ("whoever", "each user, every participant"),
    ("everybody", "every user, each participant"),
    ("whom", "a sentence with a subject"),
    ("misdeed", "fault"),
    ("misdeeds", "faults"),
    ("beside", "next to, alongside, in parallel"),
];

/// Types that several crates declare on purpose.
const TWICE: &[(&str, &str)] =
    &[("Shared", "every shared crate has one, and `export!` refers to it by this name")];

/// Characters of a test's name.
const NAME: usize = 50;

/// Files that quote what the rules forbid.
const QUOTES: &[&str] = &["CONTRIBUTING.md", "xtask/src/tidy/language.rs"];

#[test]
fn doc_comments_open_with_verb_or_noun() {
    let (mut lines, mut bad, mut first) = (0, 0, Vec::new());
    for (path, text) in rust() {
        let mut within = false;
        for (nr, line) in text.lines().enumerate() {
            let doc = doc_of(line);
            lines += usize::from(doc.is_some_and(|text| !text.is_empty()));
            if doc.is_some_and(opens_badly) {
                bad += 1;
                if !within {
                    first.push(format!("{path}:{}: {}", nr + 1, line.trim()));
                }
            }
            within = doc.is_some_and(|text| !text.is_empty());
        }
    }
    assert!(
        first.is_empty(),
        "a function's docs begin with a verb (\"Returns\"), a type's or field's with a noun, because \
         readers scan first words:\n{}",
        first.join("\n")
    );
    assert!(
        bad * 100 < lines * 3,
        "{bad} of {lines} doc lines begin with {}; under 3 % is plain English",
        OPENINGS.join(", ")
    );
}

#[test]
fn words_are_those_of_the_glossary() {
    let mut found = Vec::new();
    for (path, text) in files() {
        let markdown = Path::new(&path).extension().is_some_and(|extension| extension == "md");
        let read = is_rust(&path) || markdown;
        for (nr, line) in text.lines().enumerate().filter(|_| read && !QUOTES.contains(&&*path)) {
            found.extend(private_words(line).map(|(word, instead)| {
                format!("{path}:{}: `{word}` (write: {instead}): {}", nr + 1, line.trim())
            }));
        }
    }
    assert!(
        found.is_empty(),
        "a *user* is a person and a *participant* is the host or a remote; these words leave open which, or \
         are not of the field:\n{}",
        found.join("\n")
    );
}

#[test]
fn one_type_name_has_one_meaning() {
    let mut places = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, text) in rust().into_iter().filter(|(path, _)| is_product(path)) {
        for name in visible_types(&text) {
            places.entry(name.to_owned()).or_default().insert(path.clone());
        }
    }
    let twice = |(name, paths): &(String, BTreeSet<String>)| {
        paths.len() > 1 && !TWICE.iter().any(|(allowed, _)| allowed == name)
    };
    let found: Vec<_> = places.into_iter().filter(twice).collect();
    assert!(
        found.is_empty(),
        "two types that other files see share a name, so a reader has to guess: {found:#?}"
    );
}

#[test]
fn test_names_are_short() {
    let mut found = Vec::new();
    for (path, text) in rust() {
        let long = tests(&text).into_iter().filter(|name| name.len() > NAME);
        found.extend(long.map(|name| format!("{path}: {name} ({})", name.len())));
    }
    assert!(
        found.is_empty(),
        "a test's name has subject and expectation in {NAME} characters, so that a list of failures can be \
         read:\n{}",
        found.join("\n")
    );
}

#[test]
fn language_rules_bite() {
    assert!(opens_badly("Whether it runs.") && opens_badly("So it is.") && !opens_badly("Sound is off."));
    assert_eq!(
        (doc_of("    /// A thing."), doc_of("//! It."), doc_of("// no")),
        (Some("A thing."), Some("It."), None)
    );
    let words = |line| private_words(line).map(|(word, _)| word).collect::<Vec<_>>();
    assert_eq!(words("fn is_told(x: Nobody) // besides"), ["told", "nobody"]);
    let types = visible_types(
        "pub struct A;\nstruct B;\npub(crate) enum C {}\n#[cfg(test)]\nmod tests {\n    pub struct A;\n}\npub type D = u8;",
    );
    assert_eq!(types, ["A", "C", "D"]);
    assert_eq!(tests("#[test]\n#[ignore]\nfn first() {}\nfn helper() {}"), ["first"]);
    assert!(
        is_product("shell/src/a.rs") && !is_product("shell/src/a/tests.rs") && !is_product("a/benches/b.rs")
    );
}

fn rust() -> Vec<(String, String)> {
    files().into_iter().filter(|(path, _)| is_rust(path)).collect()
}

fn is_product(path: &str) -> bool {
    !["tests", "benches", "fuzz", "examples", "fixtures"]
        .iter()
        .any(|part| path.split(['/', '.']).any(|p| p == *part))
}

/// Returns the text of a doc comment's line.
fn doc_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim)
}

fn opens_badly(doc: &str) -> bool {
    doc.split_once(' ').is_some_and(|(word, _)| OPENINGS.contains(&word))
}

/// Returns the private words of a line, also as parts of identifiers.
fn private_words(line: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let line = line.to_lowercase();
    let found: Vec<_> = line.split(|c: char| !c.is_alphabetic()).map(ToOwned::to_owned).collect();
    WORDS.iter().copied().filter(move |(word, _)| found.iter().any(|part| part == word))
}

/// Returns the names of types that are visible outside of their module, without those of test modules.
fn visible_types(text: &str) -> Vec<&str> {
    const KINDS: [&str; 5] = ["struct ", "enum ", "trait ", "type ", "union "];
    let (mut found, mut marked, mut skipping) = (Vec::new(), false, false);
    for line in text.lines() {
        skipping |= marked && line.starts_with("mod ") && line.ends_with('{');
        marked = line == "#[cfg(test)]";
        if skipping {
            skipping = line != "}";
            continue;
        }
        let Some(item) = line.trim_start().strip_prefix("pub") else { continue };
        let item = item.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(item, |(_, rest)| rest);
        let name = KINDS.iter().find_map(|kind| item.trim_start().strip_prefix(kind));
        found.extend(name.and_then(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next()));
    }
    found
}

/// Returns the names of test functions.
fn tests(text: &str) -> Vec<&str> {
    let (mut found, mut marked) = (Vec::new(), false);
    for line in text.lines().map(str::trim_start) {
        if line == "#[test]" {
            marked = true;
        } else if marked && !line.starts_with("#[") {
            marked = false;
            let name = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            found.extend(name.map(|(name, _)| name));
        }
    }
    found
}
