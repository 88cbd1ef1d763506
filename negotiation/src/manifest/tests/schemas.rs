//! Schemas: the files, and the keys that they describe.

use super::*;

#[test]
fn schema_files_are_current() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/schema");
    for (name, text) in schemas() {
        let file = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        if file != text && std::env::var_os("PULSE_BLESS").is_some() {
            std::fs::write(folder.join(name), &text).unwrap();
            continue;
        }
        assert!(file == text, "manifests/schema/{name} is not current: run `cargo xtask bless`");
    }
}

/// The schemas are derived from the types and the decoder is written by hand.
#[test]
fn schemas_and_decoder_have_the_same_keys() {
    let unknown = [
        ("remote.schema.json", "", remote(r#""?": 0"#)),
        ("remote.schema.json", "/$defs/ExposeDecl", remote(r#""exposes": { "./a": { "?": 0 } }"#)),
        ("remote.schema.json", "/$defs/ShareDecl", shared(r#"{ "?": 0 }"#)),
        ("host.schema.json", "", host(r#""?": 0"#)),
        ("host.schema.json", "/$defs/AuthConfig/oneOf/1", host(r#""auth": { "provider": "http", "?": 0 }"#)),
        (
            "host.schema.json",
            "/$defs/RepositoryConfig",
            host(r#""repositories": { "https://a.example": { "?": 0 } }"#),
        ),
        ("host.schema.json", "/$defs/UpdateConfig", host(r#""updates": { "?": 0 }"#)),
        (
            "host.schema.json",
            "/$defs/RemoteUpdates",
            host(r#""updates": { "remotes": { "remoteA": { "?": 0 } } }"#),
        ),
    ];
    for (file, pointer, text) in unknown {
        let error = match file {
            "host.schema.json" => HostManifest::from_json(&text).unwrap_err(),
            _ => RemoteManifest::from_json(&text).unwrap_err(),
        };
        let hint = error.hint().unwrap();
        let mut decoded: Vec<&str> = hint.split('`').skip(1).step_by(2).collect();
        let (_, schema) = schemas().into_iter().find(|(name, _)| *name == file).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let schema = schema.pointer(pointer).unwrap();
        let mut described: Vec<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        if let Some(base) = schema.get("$ref") {
            assert_eq!(base, "#/$defs/HttpAuth");
            described.extend(["base", "tokenFile", "tokenEnv"]);
        }
        decoded.sort_unstable();
        described.sort_unstable();
        assert_eq!(decoded, described, "{file}{pointer}");
    }
}
