//! JSON Schemas of the manifests, for editors and for checks before anything is built.

use schemars::{Schema, schema_for};
use serde_json::Value;

use super::{HostManifest, RemoteManifest};

/// The schemas as files of `manifests/schema/`: name and text, stable from run to run.
pub fn schemas() -> [(&'static str, String); 2] {
    [("host.schema.json", HostManifest::json_schema()), ("remote.schema.json", RemoteManifest::json_schema())]
}

impl RemoteManifest {
    /// The JSON Schema of a remote's manifest, indented, with a line break at its end.
    pub fn json_schema() -> String {
        pretty(schema_for!(RemoteManifest), "Manifest of a Pulse remote")
    }
}

impl HostManifest {
    /// The JSON Schema of a host's manifest, indented, with a line break at its end.
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

/// An optional key is left out when there is nothing to say: `null` is not a value in a manifest.
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
