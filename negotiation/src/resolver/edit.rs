//! An edit of one line of a manifest, as data.

use std::sync::Arc;

use serde_json::Value;

/// A value to write into the manifest of one participant.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Name of the participant that owns the manifest.
    pub participant: Arc<str>,
    /// JSON pointer (RFC 6901) to the value, which may be absent so far.
    pub pointer: String,
    /// The new value.
    pub value: Value,
}

impl Edit {
    /// Creates an edit that writes `value` at `pointer` into the manifest of `participant`.
    pub fn new(participant: &str, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { participant: participant.into(), pointer: pointer.into(), value: value.into() }
    }

    /// Writes the value into `manifest` and creates missing objects on the path to it.
    ///
    /// Returns `false` if another kind of value is on the path.
    pub fn apply(&self, manifest: &mut Value) -> bool {
        let mut at = manifest;
        for segment in self.pointer.split('/').skip(1) {
            let Value::Object(members) = at else { return false };
            at = members
                .entry(segment.replace("~1", "/").replace("~0", "~"))
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        *at = self.value.clone();
        true
    }
}

/// Returns the JSON pointer to a manifest's entry for the crate `key`, or to one `field` of it.
///
/// Names of crates need no escapes.
pub fn shared_pointer(key: &str, field: Option<&str>) -> String {
    match field {
        Some(field) => format!("/shared/{key}/{field}"),
        None => format!("/shared/{key}"),
    }
}
