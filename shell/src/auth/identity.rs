use std::fmt;

pub use delivery::Secret;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared_store::User;

const MAX_ID: usize = 256;
const MAX_NAME: usize = 128;
const MAX_ROLE: usize = 64;
const MAX_EMAIL: usize = 254;

/// A user as in profile files and answers of identity providers; unknown keys are ignored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(expecting = "a user object")]
pub(super) struct UserRecord {
    pub(super) id: Option<UserId>,
    #[serde(deserialize_with = "non_empty_name")]
    pub(super) name: String,
    pub(super) role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
}

/// The place in a text, and the reason, for which it is not a [`UserRecord`].
#[derive(Debug)]
pub(super) struct RecordError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) reason: String,
}

impl UserRecord {
    pub(super) fn parse(json: &[u8]) -> Result<Self, RecordError> {
        // Parsed twice, because a derived struct also accepts an array of its fields in order.
        serde_json::from_slice::<Map<String, Value>>(json).and_then(|_| serde_json::from_slice(json)).map_err(
            |error| {
                let (line, column) = (error.line(), error.column());
                let text = error.to_string();
                let place = format!(" at line {line} column {column}");
                let reason = clean(text.strip_suffix(&place).unwrap_or(&text), 200);
                RecordError { line, column, reason }
            },
        )
    }

    /// Returns the user for display: every text fits in one line of the window.
    pub(super) fn into_user(self, default_id: &str) -> User {
        let id = self.id.map_or_else(|| default_id.to_owned(), |UserId(id)| id);
        let email = self.email.map(|email| clean(&email, MAX_EMAIL));
        User {
            id,
            name: clean(&self.name, MAX_NAME),
            role: clean(&self.role.unwrap_or_default(), MAX_ROLE),
            email: email.filter(|email| !email.is_empty()),
        }
    }
}

/// An identifier: a JSON string, or an integer read as its digits.
///
/// Unlike the texts for display it is never altered, because that could merge two users.
#[derive(Debug, Serialize)]
pub(super) struct UserId(pub(super) String);

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = UserId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an integer")
            }

            fn visit_str<E: de::Error>(self, id: &str) -> Result<UserId, E> {
                if id.is_empty() || id.len() > MAX_ID || id.chars().any(is_unprintable) {
                    return Err(E::custom(format_args!(
                        "the id must have 1 to {MAX_ID} bytes and no control characters"
                    )));
                }
                Ok(UserId(id.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<UserId, E> {
                Ok(UserId(id.to_string()))
            }

            fn visit_i64<E: de::Error>(self, id: i64) -> Result<UserId, E> {
                Ok(UserId(id.to_string()))
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}

fn non_empty_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if clean(&name, MAX_NAME).is_empty() {
        return Err(de::Error::custom("the name is empty"));
    }
    Ok(name)
}

/// Returns `text` as one line of at most `max` characters: white space and control characters become
/// single blanks, and characters that reorder or hide text are left out.
pub(super) fn clean(text: &str, max: usize) -> String {
    let visible: String =
        text.chars().filter(|c| !is_format(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().nth(max).is_none() {
        return line;
    }
    let mut short: String = line.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn is_unprintable(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// Returns `true` for directional marks, overrides and isolates, line separators, invisible operators
/// and the byte-order mark. The joiners U+200C and U+200D stay: names in some scripts need them.
fn is_format(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned_for_one_line() {
        let check = |text: &str, expect: &str| assert_eq!(clean(text, 12), expect, "{text:?}");
        check("  Grace \t\r\n Hopper\0 ", "Grace Hopper");
        check("ab\u{202e}cd\u{feff}", "abcd");
        check("0123456789AB", "0123456789AB");
        check("0123456789ABC", "0123456789A…");
        check("ééééééééééééé", "ééééééééééé…");
    }

    #[test]
    fn user_is_parsed_or_refused_with_its_place() {
        let user = |json: &str| UserRecord::parse(json.as_bytes()).map(|r| r.into_user("me"));
        let good = user(r#"{"id":42,"name":"Ada","role":"dev","email":"","x":[{}]}"#);
        let expect = User { id: "42".into(), name: "Ada".into(), role: "dev".into(), email: None };
        assert_eq!(good.ok(), Some(expect));
        assert_eq!(user(r#"{"name":"Ada"}"#).map(|u| u.id).ok(), Some("me".into()));

        let check = |json: &str, line, reason: &str| {
            let error = user(json).expect_err(json);
            assert_eq!(error.line, line, "{json}");
            assert!(error.reason.contains(reason), "{json}: {}", error.reason);
        };
        check("", 1, "EOF");
        check("{\n\"name\": \"Ada\",\n}", 3, "trailing comma");
        check("{\n\"name\": \" \\u0000\"}", 2, "name is empty");
        check("{\"id\": 1}", 1, "missing field `name`");
        check("{\"id\": 1.5, \"name\": \"Ada\"}", 1, "string or an integer");
        check("{\"id\": \"a\\u001bb\", \"name\": \"Ada\"}", 1, "the id must");
        check("[1, \"Ada\", \"dev\", null]", 1, "expected a map");
        check("{\"name\": \"Ada\"} x", 1, "trailing characters");
    }

    #[test]
    fn secret_is_redacted() {
        let secret = Secret::new("hunter2".into());
        assert!(!format!("{secret} {secret:?} {secret:#?}").contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2");
    }
}
