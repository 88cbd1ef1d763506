//! A remote's manifest inside its library: written by `export!`, read by the host before any code runs.
//!
//! The section holds, back to back: [`MAGIC`], the contract's revision and the length of the text (both
//! `u32`, little endian), the text. The revision has the bit [`ABORTS`] when panics of the library end the process.
//! The linker may append zeros.

use crate::abi::ABI_REVISION;

/// Start of the section's content.
pub const MAGIC: [u8; 16] = *b"PULSE-MANIFEST\r\n";

/// Length of the part before the text, in bytes.
pub const HEADER: usize = MAGIC.len() + 8;

/// Bit of the revision that is set when the library was built with `panic = "abort"`.
pub const ABORTS: u32 = 1 << 31;

/// Names of the section in ELF, Mach-O (segment, section) and COFF.
pub const SECTIONS: [&str; 3] = [".pulse.manifest", "__pulse", ".pulse"];

/// Length of the longest text that a reader accepts, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// The reason why a section does not hold a manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmbedError {
    /// The section does not start with [`MAGIC`].
    #[error("the manifest section does not start with the expected mark")]
    Magic,
    /// The section ends inside of its header or text, or states a length over [`MAX_TEXT`].
    #[error("the manifest section is cut off or states an impossible length ({0} bytes)")]
    Length(usize),
    /// The text is not UTF-8.
    #[error("the embedded manifest is not UTF-8")]
    Utf8,
}

/// Returns the content of the section for `manifest`; `N` is [`HEADER`] plus its length.
///
/// # Panics
/// Panics at compile time if `N` does not fit `manifest`.
pub const fn frame<const N: usize>(manifest: &str) -> [u8; N] {
    let text = manifest.as_bytes();
    assert!(N == HEADER + text.len(), "N is HEADER + the manifest's length");
    let mut out = [0; N];
    put(&mut out, 0, &MAGIC);
    let revision = ABI_REVISION | if cfg!(panic = "abort") { ABORTS } else { 0 };
    put(&mut out, MAGIC.len(), &revision.to_le_bytes());
    put(&mut out, MAGIC.len() + 4, &(text.len() as u32).to_le_bytes());
    put(&mut out, HEADER, text);
    out
}

const fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    let mut i = 0;
    while i < bytes.len() {
        out[at + i] = bytes[i];
        i += 1;
    }
}

/// Returns the contract's revision, which may have the bit [`ABORTS`], and the manifest's text from a section.
///
/// Returns the text of another revision, too, so that a message can name the remote.
///
/// # Errors
/// See [`EmbedError`].
pub fn parse(section: &[u8]) -> Result<(u32, &str), EmbedError> {
    let rest = section.strip_prefix(&MAGIC).ok_or(EmbedError::Magic)?;
    let number =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?)) };
    let (Some(revision), Some(length)) = (number(0), number(4)) else {
        return Err(EmbedError::Length(section.len()));
    };
    let length = length as usize;
    let text = rest.get(8..).and_then(|r| r.get(..length)).filter(|_| length <= MAX_TEXT);
    let text = text.ok_or(EmbedError::Length(length))?;
    Ok((revision, std::str::from_utf8(text).map_err(|_| EmbedError::Utf8)?))
}

/// Returns `true` if the JSON object `json` holds the string `expected` at `path`; evaluated at compile time.
///
/// Handles only strings without escapes, such as names and versions in manifests.
pub const fn states(json: &str, path: &[&str], expected: &str) -> bool {
    let json = json.as_bytes();
    let at = value(json, path);
    at != NOT_FOUND && is_string(json, at, expected.as_bytes())
}

/// Returns `true` if the JSON object `json` holds `false` at `path`; evaluated at compile time.
pub const fn denies(json: &str, path: &[&str]) -> bool {
    const FALSE: &[u8] = b"false";
    let json = json.as_bytes();
    let at = value(json, path);
    let mut i = 0;
    while i < FALSE.len() {
        if at == NOT_FOUND || at + i >= json.len() || json[at + i] != FALSE[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Returns the index of the value at `path` in the object `json`.
const fn value(json: &[u8], path: &[&str]) -> usize {
    let mut at = skip_space(json, 0);
    let mut depth = 0;
    while depth < path.len() && at != NOT_FOUND {
        at = member(json, at, path[depth].as_bytes());
        depth += 1;
    }
    at
}

const NOT_FOUND: usize = usize::MAX;

const fn skip_space(json: &[u8], mut at: usize) -> usize {
    while at < json.len() && matches!(json[at], b' ' | b'\t' | b'\r' | b'\n') {
        at += 1;
    }
    at
}

const fn is_string(json: &[u8], at: usize, expected: &[u8]) -> bool {
    if at + expected.len() + 1 >= json.len() || json[at] != b'"' || json[at + 1 + expected.len()] != b'"' {
        return false;
    }
    let mut i = 0;
    while i < expected.len() {
        if json[at + 1 + i] != expected[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Returns the index after the value that starts at `at`.
const fn skip_value(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                at += 1;
                while at < json.len() && json[at] != b'"' {
                    at += if json[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Returns the index of the value of member `key` in the object at `at`.
const fn member(json: &[u8], at: usize, key: &[u8]) -> usize {
    if at >= json.len() || json[at] != b'{' {
        return NOT_FOUND;
    }
    let mut at = skip_space(json, at + 1);
    while at < json.len() && json[at] == b'"' {
        let found = is_string(json, at, key);
        // After the key: its closing quote, then the colon.
        at += 1;
        while at < json.len() && json[at] != b'"' {
            at += if json[at] == b'\\' { 2 } else { 1 };
        }
        at = skip_space(json, at + 1);
        at = skip_space(json, at + 1);
        if found {
            return at;
        }
        at = skip_value(json, at);
        at = skip_space(json, at + 1);
    }
    NOT_FOUND
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{ "name": "a,}b", "list": [1, {"version": "9.9.9"}],
        "shared": { "other": {"version": "2.0.0"}, "shared-store": { "eager": true, "version": "1.0.0" } } }"#;

    #[test]
    fn framed_manifest_is_parsed() {
        let mut section = frame::<{ HEADER + MANIFEST.len() }>(MANIFEST).to_vec();
        assert_eq!(parse(&section), Ok((ABI_REVISION, MANIFEST)));
        section.extend([0; 7]);
        assert_eq!(parse(&section), Ok((ABI_REVISION, MANIFEST)), "with the linker's padding");
    }

    #[test]
    fn damaged_section_is_an_error() {
        let section = frame::<{ HEADER + MANIFEST.len() }>(MANIFEST);
        for cut in 0..section.len() {
            assert!(parse(&section[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = section;
        long[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(parse(&long), Err(EmbedError::Length(u32::MAX as usize)));
        let mut binary = section;
        binary[HEADER] = 0xFF;
        assert_eq!(parse(&binary), Err(EmbedError::Utf8));
    }

    #[test]
    fn versions_are_compared_at_compile_time() {
        const { assert!(states(MANIFEST, &["shared", "shared-store", "version"], "1.0.0")) }
        const { assert!(states(MANIFEST, &["name"], "a,}b")) }
        for (path, version) in [
            (&["shared", "shared-store", "version"][..], "1.0.1"),
            (&["shared", "shared-store", "version"], "1.0.0-x"),
            (&["shared", "missing", "version"], "2.0.0"),
            (&["version"], "9.9.9"),
            (&["list", "version"], "9.9.9"),
        ] {
            assert!(!states(MANIFEST, path, version), "{path:?} is not {version}");
        }
        assert!(!states("{\"a\": \"", &["a"], ""), "a cut-off text");
    }

    #[test]
    fn missing_import_is_detected_at_compile_time() {
        const LEDGER: &str = r#"{ "shared": { "ledger": { "import": false }, "other": { "import": true } } }"#;
        const { assert!(denies(LEDGER, &["shared", "ledger", "import"])) }
        for path in [&["shared", "other", "import"][..], &["shared", "ledger"], &["shared", "third", "import"]]
        {
            assert!(!denies(LEDGER, path), "{path:?}");
        }
        assert!(!denies("{\"a\": fals", &["a"]), "a cut-off text");
    }
}
