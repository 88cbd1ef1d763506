//! The workspace as text: which codes its sources can produce, and which its tests provoke.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::workspace;

/// A string in a source file, and where it stands.
pub(super) struct Literal {
    /// The file, from the workspace's root, and the line.
    pub(super) place: String,
    /// The text between the quotes.
    pub(super) text: String,
    /// The code in front of it, without white space.
    before: String,
    /// The `impl` that it stands in or behind.
    owner: String,
    /// The function that it stands in or behind.
    function: String,
}

/// Calls whose argument behind this is a code.
const TAKES_CODE: &[&str] = &["say(", "Exit::of(", "RemoteError::new(", "PluginError::new("];

impl Literal {
    /// Whether it stands where a code belongs.
    pub(super) fn is_code(&self) -> bool {
        let before = self.before.as_str();
        // `Failure::new(Stage::Init, "…"` and `Exit::new(Exit::FAILURE, "…"`.
        let second = before.strip_suffix(',').is_some_and(|before| {
            let constant = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
            ["Failure::new(Stage::", "Exit::new(Exit::"].iter().any(|call| constant.ends_with(call))
        });
        let arm = before.ends_with("=>")
            && (self.function == "code" || self.owner == "Code" && self.function == "as_str");
        let constant = before.ends_with(":&'staticstr=")
            && ["Error", "Fault"].iter().any(|kind| self.owner.ends_with(kind));
        let field = before.ends_with("(code=") || before.ends_with(",code=");
        second || arm || constant || field || TAKES_CODE.iter().any(|call| before.ends_with(call))
    }

    /// Whether it is several words in the form of a code, wherever it stands.
    pub(super) fn is_kebab(&self) -> bool {
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
        let attribute = self.before.ends_with("rename_all=");
        !attribute && self.text.contains('-') && self.text.split('-').all(word)
    }
}

/// Every file of Rust below `folder` with its text, by path from the workspace's root.
pub(super) fn files(folder: &Path) -> Vec<(String, String)> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.expect("an entry of the checkout").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(workspace()).expect("a path below the root");
                let name = relative.to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    found.sort();
    found
}

/// The packages of the workspace whose codes are Pulse's own: all but remotes and xtask.
pub(super) fn packages() -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace()).expect("the workspace's root");
    let folders = entries.map(|entry| entry.expect("an entry of it").path());
    let mut found: Vec<PathBuf> =
        folders.filter(|path| path.join("src/lib.rs").is_file() && !path.ends_with("xtask")).collect();
    found.sort();
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// Every string of the shipped sources.
pub(super) fn shipped() -> Vec<Literal> {
    let files = packages().into_iter().flat_map(|package| files(&package.join("src")));
    let shipped = files.filter(|(path, _)| !is_test(path));
    shipped
        .flat_map(|(path, text)| literals(&path, text.split(INLINE_TESTS).next().unwrap_or_default()))
        .collect()
}

/// Every string of the tests, but for those of the catalogue, of this one and of the fixtures.
pub(super) fn tested() -> Vec<Literal> {
    let all = packages().into_iter().flat_map(|package| files(&package));
    let left_out = ["/catalogue/", "/it/codes", "/tests/fixtures/"];
    let others = all.filter(|(path, _)| !left_out.iter().any(|part| path.contains(part)));
    let tests = others.filter_map(|(path, text)| {
        let from = if is_test(&path) { Some(0) } else { text.find(INLINE_TESTS) };
        from.map(|from| literals(&path, &text[from..]))
    });
    tests.flatten().collect()
}

const INLINE_TESTS: &str = "#[cfg(test)]\nmod tests {";

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Every string in `text`.
pub(super) fn literals(path: &str, text: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let [mut code, mut before, mut owner, mut function] = [const { String::new() }; 4];
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let token = token(rest);
        match string(token) {
            Some(inner) => {
                note(&code, &mut owner, &mut function);
                before.extend(code.split_whitespace());
                code.clear();
                before = before.split_off(before.char_indices().rev().nth(79).map_or(0, |(at, _)| at));
                let (place, text) = (format!("{path}:{line}"), inner.to_owned());
                let (before, owner, function) = (before.clone(), owner.clone(), function.clone());
                found.push(Literal { place, text, before, owner, function });
            }
            None if token.starts_with("//") => code.push('\n'),
            None if first == '\'' => code.push_str(if token.len() > 1 { "' '" } else { "'" }),
            None => code.push_str(token),
        }
        line += token.matches('\n').count();
        rest = &rest[token.len()..];
    }
    found
}

/// The string, comment, character or single letter that `rest` begins with.
fn token(rest: &str) -> &str {
    let until = |end: &str, from: usize| {
        let at = rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
        &rest[..at]
    };
    let bytes = rest.as_bytes();
    let raw = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r').map(|r| r.trim_start_matches('#'));
    match bytes {
        [b'/', b'/', ..] => rest.split('\n').next().unwrap_or(rest),
        [b'/', b'*', ..] => until("*/", 2),
        [b'"', ..] => {
            let escaped = |at: usize| rest[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
            let end = rest.match_indices('"').map(|(at, _)| at).find(|&at| at > 0 && !escaped(at));
            &rest[..end.map_or(rest.len(), |at| at + 1)]
        }
        _ if raw.is_some_and(|r| r.starts_with('"')) => {
            let from = rest.find('"').unwrap_or_default() + 1;
            until(&format!("\"{}", "#".repeat(rest[..from].matches('#').count())), from)
        }
        // A letter between quotes; otherwise a lifetime.
        [b'\'', b'\\', ..] => until("'", 3),
        [b'\'', ..] => {
            let mut letters = rest.char_indices().skip(2);
            match letters.next() {
                Some((at, '\'')) => &rest[..=at],
                _ => &rest[..1],
            }
        }
        _ if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') => {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]
        }
        _ => &rest[..rest.chars().next().map_or(0, char::len_utf8)],
    }
}

/// What a token that is a string has between its quotes.
fn string(token: &str) -> Option<&str> {
    let raw = token.strip_prefix('b').unwrap_or(token);
    let raw = raw.strip_prefix('r').unwrap_or(raw).trim_matches('#');
    raw.strip_prefix('"').map(|inner| inner.strip_suffix('"').unwrap_or(inner))
}

/// Remembers the last `impl` and `fn` in `code`.
fn note(code: &str, owner: &mut String, function: &mut String) {
    for line in code.lines() {
        let line = line.trim_start();
        if let Some(rest) = line.strip_prefix("impl") {
            let name = rest.split('{').next().unwrap_or(rest);
            name.rsplit(" for ").next().unwrap_or(name).trim().clone_into(owner);
            function.clear();
        }
        if let Some((_, rest)) = line.split_once("fn ") {
            rest.split(['(', '<']).next().unwrap_or(rest).clone_into(function);
        }
    }
}
