//! Sanitises untrusted text for a log, a terminal and the window.
//!
//! Text of a remote, a manifest, a library or a file's name can contain terminal escapes, forged lines, characters
//! that reverse the direction of the following text, and any number of bytes.

use std::{
    fmt::{self, Write},
    path::Path,
};

/// Returns one line of at most `limit` bytes: control and formatting characters become visible escapes, and a text
/// that was cut ends in an ellipsis.
pub fn line(text: &str, limit: usize) -> String {
    clean(text, limit, false)
}

/// Returns text of at most `limit` bytes as [`line()`] does, but keeps line feeds and tabs.
pub fn lines(text: &str, limit: usize) -> String {
    clean(text, limit, true)
}

/// Returns JSON with the same meaning in which these characters are escaped, so that it can be shown.
pub fn json(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside of strings, line feeds and tabs are the only such characters in JSON.
        if is_deceptive(c) && !matches!(c, '\n' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(c);
        }
    }
    clean
}

fn clean(text: &str, limit: usize, breaks: bool) -> String {
    const ELLIPSIS: char = '…';
    let mut clean = String::with_capacity(text.len().min(limit));
    // The largest length after which the ellipsis still fits.
    let mut fitting = 0;
    for c in text.chars() {
        let keep = !is_deceptive(c) || breaks && matches!(c, '\n' | '\t');
        let before = clean.len();
        if keep {
            clean.push(c);
        } else {
            clean.extend(c.escape_default());
        }
        if clean.len() > limit {
            clean.truncate(before.min(fitting));
            if limit >= ELLIPSIS.len_utf8() {
                clean.push(ELLIPSIS);
            }
            return clean;
        }
        if clean.len() + ELLIPSIS.len_utf8() <= limit {
            fitting = clean.len();
        }
    }
    clean
}

/// Returns `true` for a character that is invisible or changes how other characters are shown.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen; zero width space; marks, embeddings, overrides and isolates of direction; separators of
            // lines and paragraphs; invisible operators; byte order mark; annotations; tags. Joiners stay: emoji and
            // several scripts need them.
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A path on one line, for a terminal and a log.
pub struct Shown<'a>(pub &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(&self.0.to_string_lossy(), usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_become_visible() {
        let check = |from: &str, to: &str| assert_eq!(line(from, 100), to);
        check("Grüße 👩‍💻 \u{645}\u{631}", "Grüße 👩‍💻 \u{645}\u{631}");
        check("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}");
        check("a\r\nINFO forged", "a\\r\\nINFO forged");
        check("gpj.\u{202e}exe\u{9b}", "gpj.\\u{202e}exe\\u{9b}");
        assert_eq!(lines("a\n\tb\r\u{1b}", 100), "a\n\tb\\r\\u{1b}");
    }

    #[test]
    fn escaped_json_keeps_its_meaning() {
        let text = serde_json::json!({ "a": "\u{1b}\u{7f}\u{9b}\u{202e}\u{e0001}é\n" });
        let shown = json(&serde_json::to_string_pretty(&text).expect("it is JSON"));
        assert!(!shown.chars().any(|c| is_deceptive(c) && c != '\n'), "{shown}");
        assert!(shown.contains("\\u202e\\udb40\\udc01é"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("it is JSON"), text);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(line("12345", 5), "12345");
        assert_eq!(line("123456", 5), "12…");
        assert_eq!(line("ääää", 6), "ä…");
        assert_eq!(line("\u{1b}\u{1b}", 7), "…");
        assert_eq!(line("12", 1), "");
        for limit in 0..40 {
            assert!(line("ab\u{202e}ä…👩 \u{1b}xyz", limit).len() <= limit, "{limit}");
        }
    }
}
