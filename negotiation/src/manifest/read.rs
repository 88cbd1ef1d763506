//! Reads a manifest's JSON value by value, each with its place.

use std::collections::BTreeMap;

use super::error::{ManifestError, Place};
use super::json::{self, Json};
use super::names::{near_miss, shown};
use super::{MANIFEST_VERSION, MAX_MANIFEST_BYTES};

/// Reads a document: `keys` are the keys of its top level, `decode` turns it into the result.
///
/// The size, the syntax and `manifestVersion` are checked first, so that a manifest of another version is not
/// reported as broken.
pub(super) fn document<T>(
    text: &str,
    keys: &[&str],
    decode: impl FnOnce(&Object<'_>) -> Result<T, ManifestFault>,
) -> Result<T, ManifestError> {
    if text.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { bytes: text.len(), limit: MAX_MANIFEST_BYTES });
    }
    let json: Json = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    let root = Cursor { value: &json, path: Vec::new() };
    version(&root).and_then(|()| decode(&root.object(keys)?)).map_err(|fault| fault.located(text))
}

/// Returns the text of a manifest from bytes that may not be text.
///
/// # Errors
/// [`ManifestError::NotJson`], with the place of the first byte that is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, ManifestError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let (line, column) = json::line_column(valid, valid.len());
        ManifestError::NotJson { problem: "it is not UTF-8 text".to_owned(), line, column }
    })
}

fn not_json(text: &str, error: &serde_json::Error) -> ManifestError {
    let at = json::byte_at(text, error.line(), error.column());
    let (line, column) = json::line_column(text, at);
    let rest = text.get(at..).unwrap_or_default();
    let problem = if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        "there is a comment, which JSON does not allow, so remove it".to_owned()
    } else if text.starts_with('\u{feff}') {
        "it starts with a byte order mark, so save it as UTF-8 without one".to_owned()
    } else {
        let message = error.to_string();
        // serde_json appends the place, counted in bytes; this error counts in characters.
        let place = format!(" at line {} column {}", error.line(), error.column());
        message.strip_suffix(&place).unwrap_or(&message).to_owned()
    };
    ManifestError::NotJson { problem, line, column }
}

fn version(root: &Cursor<'_>) -> Result<(), ManifestFault> {
    let members = root.members()?;
    let Some(at) = members.iter().position(|(key, _)| key == "manifestVersion") else {
        let hint = format!("add \"manifestVersion\": {MANIFEST_VERSION}");
        return Err(root.fault("the key `manifestVersion` is missing").hint(hint));
    };
    let stated = root.child(at, "manifestVersion", &members[at].1);
    match stated.value {
        Json::Number(number) if number.as_u64() == Some(u64::from(MANIFEST_VERSION)) => Ok(()),
        Json::Number(number) => {
            let mut fault = stated.fault("");
            fault.0.version = Some(number.to_string());
            Err(fault)
        }
        other => Err(stated.fault(format!("`manifestVersion` must be a number, not {}", other.described()))),
    }
}

/// A problem with its place as steps from the root, not yet as line and column.
#[derive(Debug)]
pub(super) struct ManifestFault(Box<Details>);

#[derive(Debug)]
struct Details {
    problem: String,
    hint: Option<String>,
    /// Set when the problem is an unknown `manifestVersion`.
    version: Option<String>,
    steps: Vec<usize>,
    pointer: String,
    at_key: bool,
}

impl ManifestFault {
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    fn at_key(mut self) -> Self {
        self.0.at_key = true;
        self
    }

    fn located(self, text: &str) -> ManifestError {
        let Details { problem, hint, version, steps, pointer, at_key } = *self.0;
        let (line, column) = json::line_column(text, json::locate(text, &steps, at_key));
        let place = Place { pointer, line, column };
        match version {
            Some(found) => ManifestError::Version { found, place },
            None => ManifestError::Invalid { problem, hint, place },
        }
    }
}

/// A value of the document and the path to it.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    value: &'a Json,
    path: Vec<(usize, &'a str)>,
}

impl<'a> Cursor<'a> {
    /// Returns this value's key in its object.
    pub(super) fn key(&self) -> &'a str {
        self.path.last().map_or("", |(_, key)| key)
    }

    pub(super) fn value(&self) -> &'a Json {
        self.value
    }

    pub(super) fn fault(&self, problem: impl Into<String>) -> ManifestFault {
        let mut pointer = String::new();
        for (_, segment) in &self.path {
            pointer.push('/');
            pointer.push_str(&shown(&segment.replace('~', "~0").replace('/', "~1")));
        }
        let steps = self.path.iter().map(|(step, _)| *step).collect();
        let details =
            Details { problem: problem.into(), hint: None, version: None, steps, pointer, at_key: false };
        ManifestFault(Box::new(details))
    }

    /// Returns the fault of a value of the wrong kind; `wanted` names the right one: "a string".
    pub(super) fn expected(&self, wanted: &str) -> ManifestFault {
        self.fault(format!("`{}` must be {wanted}, not {}", shown(self.key()), self.value.described()))
    }

    /// Returns the fault of a value whose key is wrong.
    pub(super) fn bad_key(&self, problem: &str) -> ManifestFault {
        self.fault(format!("`{}` cannot be used here: {problem}", shown(self.key()))).at_key()
    }

    pub(super) fn string(&self) -> Result<&'a str, ManifestFault> {
        match self.value {
            Json::String(text) => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    /// Returns the value as a string that `rule` accepts.
    pub(super) fn text(&self, rule: impl FnOnce(&str) -> Result<(), String>) -> Result<String, ManifestFault> {
        let text = self.string()?;
        rule(text).map_err(|problem| {
            self.fault(format!("`{}` cannot be \"{}\": {problem}", shown(self.key()), shown(text)))
        })?;
        Ok(text.to_owned())
    }

    pub(super) fn bool(&self) -> Result<bool, ManifestFault> {
        match self.value {
            Json::Bool(value) => Ok(*value),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    /// Returns the value that `words` has for this word.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ManifestFault> {
        let text = self.string()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let fault = self.fault(format!("`{}` cannot be \"{}\"", shown(self.key()), shown(text)));
        Err(fault.hint(suggestion(text, &known)))
    }

    /// Returns the value as an object with no keys but these.
    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'a>, ManifestFault> {
        let members = self.members()?;
        for (at, (key, value)) in members.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                let unknown = self.child(at, key, value).fault(format!("the key `{}` is unknown", shown(key)));
                return Err(unknown.at_key().hint(suggestion(key, known)));
            }
        }
        Ok(Object { cursor: self.clone(), members })
    }

    /// Decodes an object whose keys are names that `rule` accepts.
    pub(super) fn map<T>(
        &self,
        rule: impl Fn(&str) -> Result<(), String>,
        decode: impl Fn(&Cursor<'_>) -> Result<T, ManifestFault>,
    ) -> Result<BTreeMap<String, T>, ManifestFault> {
        let mut map = BTreeMap::new();
        for (at, (key, value)) in self.members()?.iter().enumerate() {
            let child = self.child(at, key, value);
            rule(key).map_err(|problem| child.bad_key(&problem))?;
            map.insert(key.clone(), decode(&child)?);
        }
        Ok(map)
    }

    /// Returns the members of an object; a repeated key is a fault.
    fn members(&self) -> Result<&'a [(String, Json)], ManifestFault> {
        let Json::Object(members) = self.value else {
            let what = if self.path.is_empty() { "a manifest" } else { "this value" };
            return Err(self.fault(format!("{what} must be an object, not {}", self.value.described())));
        };
        let mut seen = std::collections::BTreeSet::new();
        for (at, (key, value)) in members.iter().enumerate() {
            if !seen.insert(key) {
                let again = self.child(at, key, value);
                let fault = again.fault(format!("the key `{}` is given twice", shown(key))).at_key();
                return Err(fault.hint("keep one of the two"));
            }
        }
        Ok(members)
    }

    fn child(&self, at: usize, key: &'a str, value: &'a Json) -> Cursor<'a> {
        let mut path = self.path.clone();
        path.push((at, key));
        Cursor { value, path }
    }
}

/// An object whose keys have been checked.
pub(super) struct Object<'a> {
    cursor: Cursor<'a>,
    members: &'a [(String, Json)],
}

impl<'a> Object<'a> {
    pub(super) fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    pub(super) fn optional(&self, key: &str) -> Option<Cursor<'a>> {
        let at = self.members.iter().position(|(name, _)| name == key)?;
        let (name, value) = &self.members[at];
        Some(self.cursor.child(at, name, value))
    }

    pub(super) fn required(&self, key: &str) -> Result<Cursor<'a>, ManifestFault> {
        let missing = || self.cursor.fault(format!("the key `{key}` is missing")).hint("add it");
        self.optional(key).ok_or_else(missing)
    }

    /// Decodes an optional key; an absent one is the type's default.
    pub(super) fn or_default<T: Default>(
        &self,
        key: &str,
        decode: impl FnOnce(&Cursor<'a>) -> Result<T, ManifestFault>,
    ) -> Result<T, ManifestFault> {
        self.optional(key).map_or_else(|| Ok(T::default()), |value| decode(&value))
    }
}

fn suggestion(word: &str, known: &[&str]) -> String {
    match near_miss(word, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "known here: {}",
            known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}
