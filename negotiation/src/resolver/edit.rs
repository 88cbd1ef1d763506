//! A line of a manifest to change, as data.

use std::sync::Arc;

use serde_json::Value;

/// One value to write into the manifest of one participant.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Name of the participant whose manifest it is.
    pub participant: Arc<str>,
    /// JSON pointer (RFC 6901) to the value; it may be absent as yet.
    pub pointer: String,
    /// What to write there.
    pub value: Value,
}

impl Edit {
    /// `value` at `pointer` in the manifest of `participant`.
    pub fn new(participant: &str, pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { participant: participant.into(), pointer: pointer.into(), value: value.into() }
    }

    /// Writes the value into `manifest`; objects on the way to it are made where they are absent.
    ///
    /// False where something that is no object stands in the way.
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

/// The JSON pointer to what a manifest says of the crate `key`, or to one `field` of it.
///
/// Names of crates need no escapes.
pub fn shared_pointer(key: &str, field: Option<&str>) -> String {
    match field {
        Some(field) => format!("/shared/{key}/{field}"),
        None => format!("/shared/{key}"),
    }
}
