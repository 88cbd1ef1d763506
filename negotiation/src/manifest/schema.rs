//! JSON Schemas of the manifests, for editors and for checks before anything is built.

use schemars::{Schema, schema_for};
use serde_json::Value;

use super::{HostManifest, RemoteManifest};

/// Returns the files of `manifests/schema/`: name and text, the same in each run.
pub fn schemas() -> [(&'static str, String); 2] {
    [("host.schema.json", HostManifest::json_schema()), ("remote.schema.json", RemoteManifest::json_schema())]
}

impl RemoteManifest {
    /// Returns the JSON schema of a remote's manifest, indented, with a trailing line break.
    pub fn json_schema() -> String {
        pretty(schema_for!(RemoteManifest), "Manifest of a Pulse remote")
    }
}

impl HostManifest {
    /// Returns the JSON schema of a host's manifest, indented, with a trailing line break.
    pub fn json_schema() -> String {
        pretty(schema_for!(HostManifest), "Manifest of a Pulse host")
    }
}

fn pretty(mut schema: Schema, title: &str) -> String {
    schema.insert("title".to_owned(), title.into());
    let mut value = schema.to_value();
    without_null(&mut value);
    format!("{value:#}\n")
}

/// Removes `null` from the types of optional keys: a manifest omits such a key instead.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_mut_slice() {
                    let only = only.take();
                    members.insert("type".to_owned(), only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
