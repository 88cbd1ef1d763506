//! JSON with repeated keys and places of values, which `serde_json::Value` drops and the checks of a manifest need.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::Place;

/// A JSON document; an object keeps its members in order, including repeated ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Returns the value in the words of an error message: "the number 3", "an object".
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Number(number) => format!("the number {number}"),
            Self::String(text) => format!("\"{}\"", super::names::shown(text)),
            Self::Array(_) => "an array".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

impl Place {
    /// Returns the place of the value of `pointer` (RFC 6901) in `text`; for an absent value, the place and pointer
    /// of the nearest value around it that exists.
    ///
    /// Returns `None` if `text` is not JSON.
    pub fn of(text: &str, pointer: &str) -> Option<Self> {
        let root: Json = serde_json::from_str(text).ok()?;
        let (mut value, mut steps, mut found) = (&root, Vec::new(), 0);
        for segment in pointer.split('/').skip(1) {
            let name = segment.replace("~1", "/").replace("~0", "~");
            let child = match value {
                Json::Object(members) => members.iter().position(|(key, _)| *key == name),
                Json::Array(items) => name.parse().ok().filter(|at| *at < items.len()),
                _ => None,
            };
            let Some(at) = child else { break };
            value = match value {
                Json::Object(members) => &members[at].1,
                Json::Array(items) => &items[at],
                _ => break,
            };
            steps.push(at);
            found += 1 + segment.len();
        }
        let (line, column) = line_column(text, locate(text, &steps, false));
        Some(Self { pointer: pointer[..found].to_owned(), line, column })
    }
}

/// Returns the byte offset of a value (or, with `key`, of its member) in `text`, which is valid JSON; `steps[n]` is
/// the index of the item at depth n.
pub(super) fn locate(text: &str, steps: &[usize], key: bool) -> usize {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.space();
    for (depth, &step) in steps.iter().enumerate() {
        let object = scan.peek() == Some(b'{');
        scan.at += 1;
        for item in 0..=step {
            scan.space();
            if object {
                if key && item == step && depth + 1 == steps.len() {
                    return scan.at;
                }
                scan.value();
                scan.space();
                scan.at += 1; // the colon
                scan.space();
            }
            if item < step {
                scan.value();
                scan.space();
                scan.at += 1; // the comma
            }
        }
    }
    scan.at
}

/// Returns line and column in characters, both from 1, of byte `at`.
pub(super) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let lines: Vec<&[u8]> = before.split(|&byte| byte == b'\n').collect();
    let last = lines.last().copied().unwrap_or_default();
    (lines.len(), String::from_utf8_lossy(last).chars().count() + 1)
}

/// Returns the byte offset of `line` and `column_bytes`, as `serde_json` counts them.
pub(super) fn byte_at(text: &str, line: usize, column_bytes: usize) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (line_start + column_bytes.saturating_sub(1)).min(text.len())
}

/// A scanner over text that is known to be JSON, so it checks nothing.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Skips one value of any kind.
    fn value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' | b':' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ if byte.is_ascii_whitespace() && depth == 0 => return,
                _ => self.at += 1,
            }
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }
}
