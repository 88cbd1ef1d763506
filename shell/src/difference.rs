//! Differences of two JSON documents, by JSON pointer.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

/// The first difference of two documents, in the order of their keys.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference<'a> {
    /// JSON pointer of the place.
    pub(crate) pointer: String,
    /// The value in each document; `None` if the document lacks the key.
    pub(crate) values: [Option<&'a Value>; 2],
}

/// Returns the first difference, if any.
pub(crate) fn first<'a>(a: &'a Value, b: &'a Value) -> Option<Difference<'a>> {
    find(Some(a), Some(b), String::new())
}

fn find<'a>(a: Option<&'a Value>, b: Option<&'a Value>, pointer: String) -> Option<Difference<'a>> {
    if a == b {
        return None;
    }
    if let (Some(Value::Object(a)), Some(Value::Object(b))) = (a, b) {
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        return keys.into_iter().find_map(|key| {
            let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            find(a.get(key), b.get(key), below)
        });
    }
    Some(Difference { pointer, values: [a, b] })
}

impl Difference<'_> {
    /// Returns the value of document `at` for use in a sentence.
    pub(crate) fn value(&self, at: usize) -> impl fmt::Display + '_ {
        const LONGEST: usize = 80;
        let value = self.values.get(at).copied().flatten();
        value.map_or_else(|| "nothing".to_owned(), |value| negotiation::text::line(&value.to_string(), LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn first_difference_is_found() {
        let check = |a: Value, b: Value, expected: Option<[&str; 3]>| {
            let found = first(&a, &b)
                .map(|found| [found.pointer.clone(), found.value(0).to_string(), found.value(1).to_string()]);
            assert_eq!(found.as_ref().map(|found| found.each_ref().map(String::as_str)), expected);
        };
        check(json!({ "a": 1 }), json!({ "a": 1 }), None);
        check(
            json!({ "a": { "eager": true } }),
            json!({ "a": { "eager": true, "singleton": true } }),
            Some(["/a/singleton", "nothing", "true"]),
        );
        check(json!({ "a/b": "x" }), json!({ "a/b": "y" }), Some(["/a~1b", "\"x\"", "\"y\""]));
        check(json!({ "a": null }), json!({}), Some(["/a", "null", "nothing"]));
        check(json!({ "a": [1] }), json!({ "a": [2] }), Some(["/a", "[1]", "[2]"]));
    }
}
