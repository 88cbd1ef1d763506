//! Commands without a window, and windows without a display.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{analytics, pulse};
use crate::{
    driver::Desktop,
    support::{libraries, manifest_of},
};

fn run(command: &mut Command, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.args(args).output().expect("pulse starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn missing_display_is_reported() {
    let (desktop, installation) = (Desktop::new(), analytics());
    let library = libraries().analytics.to_string_lossy().into_owned();
    let host = installation.path("host.json").to_string_lossy().into_owned();
    for args in [&["--config", &*host][..], &["standalone", &*library]] {
        let (code, stdout, stderr) = run(pulse(&desktop).env_remove("DISPLAY"), args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("there is no display") && stderr.contains("[window-no-display]"), "{stderr}");
    }
}

#[test]
fn command_line_prints_results_and_exit_codes() {
    let desktop = Desktop::new();
    let mut installation = analytics();
    let library = libraries().analytics.to_string_lossy().into_owned();
    let path = |name: &str| installation.path(name).to_string_lossy().into_owned();
    let (host, good, missing) = (path("host.json"), path("remoteAnalytics.json"), path("missing.json"));
    let pulse = |args: &[&str]| run(&mut pulse(&desktop), args);

    let (code, help, _) = pulse(&["--help"]);
    assert_eq!(code, Some(0));
    for part in ["Usage: pulse", "plan", "inspect", "standalone", "Examples:", "--config"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    for args in [&["no-such-command"][..], &["plan", "--no-such-flag"], &["inspect"]] {
        assert_eq!(pulse(args).0, Some(2), "{args:?}");
    }
    for args in [
        &["inspect", &*missing][..],
        &["plan", "--config", &*host, &*missing],
        // The former name of the option.
        &["plan", "--host", &*missing],
        &["--config", &*missing],
        &["standalone", &*missing],
    ] {
        let (code, _, stderr) = pulse(args);
        assert_eq!(code, Some(6), "{args:?}: {stderr}");
        assert!(stderr.contains("-missing]") && stderr.contains("missing.json"), "{args:?}: {stderr}");
        assert_eq!(stderr.matches("-missing]").count(), 1, "{args:?}: {stderr}");
    }
    let text = installation.write("text.so", "not a library").to_string_lossy().into_owned();
    let (code, _, stderr) = pulse(&["inspect", &*text]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("[library-not-a-library]"), "{stderr}");

    let read = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")) };
    for file in [&library, &good] {
        let (code, text, _) = pulse(&["inspect", &**file]);
        assert_eq!(code, Some(0));
        assert!(text.contains("remoteAnalytics 1.0.0") && text.contains("./analytics-dashboard"), "{text}");
        let (code, json, _) = pulse(&["inspect", &**file, "--json"]);
        assert_eq!((code, &read(&json)), (Some(0), &manifest_of(&libraries().analytics)));
    }

    for remotes in [&[][..], &[&*good], &[&*library]] {
        let args = [&["plan", "--config", &*host, "--json"], remotes].concat();
        let (code, json, stderr) = pulse(&args);
        let plan = read(&json);
        assert_eq!((code, &plan["refused"]), (Some(0), &json!([])), "{stderr}");
        let assigned = plan["assignments"].as_array().expect("assignments");
        let remote = assigned.iter().find(|a| a["consumer"] == "remoteAnalytics").expect("the remote's");
        assert_eq!((&remote["provider"], &remote["version"]), (&json!("pulse"), &json!("1.0.0")));
    }
    let (code, text, _) = pulse(&["plan", "--config", &*host, &*good]);
    assert_eq!(code, Some(0));
    assert!(text.contains("shared-store") && text.contains("remoteAnalytics"), "{text}");
    assert!(serde_json::from_str::<Value>(&text).is_err(), "JSON without --json: {text}");

    installation.add_with(&libraries().analytics, |manifest| {
        manifest["shared"]["shared-store"]["requiredVersion"] = "^99.0".into();
        manifest["shared"]["shared-store"]["strictVersion"] = true.into();
    });
    for form in [&["--json"][..], &[]] {
        let (code, text, _) =
            run(&mut super::pulse(&desktop), &[&["plan", "--config", &*host, &*good], form].concat());
        assert_eq!(code, Some(3), "{text}");
        for part in ["version-mismatch-strict", "remoteAnalytics", "^99"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}

#[test]
fn a_code_is_explained() {
    let desktop = Desktop::new();
    let pulse = |args: &[&str]| run(&mut pulse(&desktop), args);
    let (code, text, _) = pulse(&["explain", "no-provider"]);
    assert_eq!(code, Some(0));
    for part in ["no-provider", "Cause: ", "What to do: "] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let prose = |line: &&str| !line.starts_with("    ");
    assert!(text.lines().filter(prose).all(|line| line.chars().count() <= 80), "{text}");
    let (_, json, _) = pulse(&["explain", "[no-provider]", "--json"]);
    let entry: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(entry["code"], "no-provider");
    let (code, list, _) = pulse(&["explain"]);
    assert!(code == Some(0) && list.lines().count() > 50 && list.contains("version-mismatch-strict"), "{list}");
    let (code, _, stderr) = pulse(&["explain", "no-provder"]);
    assert_eq!(code, Some(6));
    assert!(stderr.contains("did you mean `no-provider`?") && stderr.contains("[code-unknown]"), "{stderr}");
}
