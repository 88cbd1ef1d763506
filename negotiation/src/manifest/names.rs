//! Rules for names in a manifest, and near misses of known names.

use crate::text::is_deceptive;

/// The longest name of a remote, host, scope or atom, in characters.
pub(super) const MAX_NAME: usize = 64;
/// The longest title, expose or icon, in characters.
pub(super) const MAX_TITLE: usize = 128;
/// The longest location, URL or path, in characters.
pub(super) const MAX_LOCATION: usize = 4096;

/// Accepts a name that may become part of a file name on any platform: remotes, hosts, libraries.
pub(super) fn file_name(text: &str) -> Result<(), String> {
    name(text)?;
    match text.chars().find(|c| r#":<>"|?*"#.contains(*c)) {
        Some(c) => Err(format!("a name cannot contain `{c}`, because it becomes part of a file name")),
        None if text.starts_with('.') => Err("a name cannot start with a dot".to_owned()),
        None if text.starts_with('-') => {
            Err("a name cannot start with `-`, because commands would read it as an option".to_owned())
        }
        None if is_device(text) => Err("a name cannot be the name of a device on Windows".to_owned()),
        None => Ok(()),
    }
}

/// Returns `true` for names that Windows reserves for devices, with any extension.
pub(super) fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or(text).trim_end().to_ascii_lowercase();
    let numbered = ["com", "lpt"].iter().find_map(|device| stem.strip_prefix(device));
    ["con", "prn", "aux", "nul", "conin$", "conout$"].contains(&stem.as_str())
        || numbered.is_some_and(|number| {
            let mut digits = number.chars();
            digits.next().is_some_and(|c| matches!(c, '0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
        })
}

/// First segments of the names of the host's own atoms, present and future.
const RESERVED: [&str; 8] = ["auth", "host", "pulse", "range", "session", "shell", "theme", "user"];

/// Returns `true` for names of atoms and remotes that belong to the host: their first segment is reserved, in upper
/// or lower case.
///
/// A remote owns the atoms that start with its name and a dot, so a remote with a reserved name would own the host's.
pub fn is_reserved(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(first))
}

/// Accepts a name inside the federation: atoms and share scopes.
pub(super) fn name(text: &str) -> Result<(), String> {
    line(text, MAX_NAME)?;
    match text.chars().find(|c| matches!(c, '/' | '\\' | '@')) {
        Some(c) => Err(format!("a name cannot contain `{c}`")),
        None => Ok(()),
    }
}

/// Accepts a crate's name, by Cargo's rule.
pub(super) fn crate_name(text: &str) -> Result<(), String> {
    line(text, MAX_NAME)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(allowed) {
        Ok(())
    } else {
        Err("a crate's name is ASCII letters, digits, `-` and `_`, and starts with a letter".to_owned())
    }
}

/// Accepts one line of text: not empty, no control characters, no space at either end.
pub(super) fn line(text: &str, limit: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        Err("it cannot be empty".to_owned())
    } else if text.trim() != text {
        Err("it cannot start or end with space".to_owned())
    } else if text.chars().any(char::is_control) {
        Err("it cannot contain control characters".to_owned())
    } else if let Some(c) = text.chars().find(|c| is_deceptive(*c)) {
        Err(format!(
            "it cannot contain {}, which is not shown or changes the text around it",
            c.escape_unicode()
        ))
    } else if text.chars().count() > limit {
        Err(format!("it can have at most {limit} characters"))
    } else {
        Ok(())
    }
}

/// Returns `text` cut and escaped, so that a hostile value cannot flood or garble a log.
pub(super) fn shown(text: &str) -> String {
    const LIMIT: usize = 80;
    let mut cut: String = text.chars().take(LIMIT).flat_map(char::escape_debug).collect();
    if text.chars().nth(LIMIT).is_some() {
        cut.push('…');
    }
    cut
}

/// Returns the known word that `word` nearly matches: the same letters in another case or punctuation, or at most two
/// typing errors.
pub fn near_miss<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    near_misses(word, known).first().map(|&at| known[at])
}

/// Returns the indices of all known words that `word` nearly matches, best first.
pub(crate) fn near_misses(word: &str, known: &[&str]) -> Vec<usize> {
    if word.chars().count() > MAX_NAME {
        return Vec::new();
    }
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let word = plain(word);
    let slips = known.iter().map(|candidate| strsim::levenshtein(&word, &plain(candidate)));
    let mut found: Vec<(usize, usize)> = slips
        .enumerate()
        .filter(|&(at, slips)| slips <= 2 && slips * 2 < known[at].len())
        .map(|(at, slips)| (slips, at))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, at)| at).collect()
}
