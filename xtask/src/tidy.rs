//! Rules for the texts of the repository, as tests. Rules are functions of one line, so that `rules_bite` can show
//! that they detect violations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

mod language;

const LINES: usize = 600;

/// Files that may contain `unsafe`, with the reason. No other file may contain it or opt out of the lint.
const UNSAFE: &[(&str, &str)] = &[
    ("plugin-api/src/abi.rs", "the shims that abi_stable generates"),
    ("plugin-api/src/abi/error.rs", "the shims that abi_stable generates"),
    ("plugin-api/src/abi/object.rs", "the shims that abi_stable generates"),
    ("plugin-api/src/abi/frame.rs", "vertices as plain bytes"),
    ("plugin-api/src/entry.rs", "the exported symbol and the manifest's section"),
    (
        "plugin-api/src/shared.rs",
        "interfaces of shared crates as pointers that know their layout, and a counter of another image",
    ),
    ("shared-store/src/api.rs", "the shims that abi_stable generates"),
    ("shell/tests/fixtures/ledger/src/api.rs", "the shims that abi_stable generates"),
    (
        "shell/tests/fixtures/scripted/src/fault.rs",
        "a fault on command, and code that runs while a library is loaded",
    ),
    ("plugins/analytics/benches/hot-reload/src/lib.rs", "the exported name that hot-lib-reloader needs"),
    ("plugins/analytics/benches/hot-reload/src/main.rs", "a symbol's type, which nothing compares"),
    ("telemetry/src/api.rs", "the shims that abi_stable generates"),
    ("shell/src/placement/loader.rs", "running the code of a library, and unloading it"),
    ("shell/src/library/mapping.rs", "a mapping that shows whether code may run from a file"),
    ("shell/src/placement/loader/keys.rs", "functions in place of the C library's, and these themselves"),
    ("shell/src/placement/loader/signals.rs", "functions in place of the C library's, and these themselves"),
];

/// Names that do not describe their content, and so attract everything.
const VAGUE: &[&str] = &["common", "core", "utils", "manager"];

/// The file with the rules' own examples.
const THIS_FILE: &str = "xtask/src/tidy.rs";

/// The folders of remotes: the shipped ones, and the fixtures of the tests.
const REMOTES: &[&str] = &["plugins/", FIXTURES];

const FIXTURES: &str = "shell/tests/fixtures/";

/// A rule: returns `true` if a line of a file breaks it.
type Rule = fn(path: &str, line: &str) -> bool;

#[test]
fn unsafe_stays_in_the_listed_files() {
    let files = files();
    check(has_unsafe, &files);
    for (path, _reason) in UNSAFE {
        let needed = files.get(*path).is_some_and(|text| text.contains("unsafe"));
        assert!(needed, "{path} is on the list of files with `unsafe`, but has none; remove it");
    }
}

#[test]
fn colours_are_tokens() {
    check(has_named_colour, &files());
}

#[test]
fn no_file_names_a_home_folder() {
    check(has_home, &files());
}

#[test]
fn source_files_stay_readable() {
    let long = |(path, text): (String, String)| {
        let lines = text.lines().count();
        (is_rust(&path) && lines > LINES).then(|| format!("{path}: {lines} lines"))
    };
    assert_eq!(files().into_iter().filter_map(long).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn names_describe_their_content() {
    let metadata = metadata();
    let packages = packages(&metadata).map(|package| text(&package["name"]));
    let names = files().into_keys().chain(packages);
    assert_eq!(names.filter(|name| is_vague(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn shell_has_no_cargo_edge_to_a_remote() {
    assert_eq!(edge_to_remote(&metadata(), "pulse"), None);
}

/// A feature of a dependency that only the tests use would compile it, and everything that depends on it, twice.
#[test]
fn program_and_tests_share_one_build() {
    let built = |selection: &[&str]| -> BTreeSet<String> {
        let mut tree = crate::cargo(&["tree", "--locked", "--prefix", "none", "--format", "{p}|{f}"], &[]);
        let output = tree.args(selection).output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| line.trim_end_matches(" (*)").replace(" (proc-macro)", "")).collect()
    };
    let program = built(&["-p", "pulse", "-p", "pulse-analytics", "--edges", "normal,build"]);
    let tests = built(&["--workspace", "--edges", "normal,build,dev"]);
    let apart: Vec<_> = program.difference(&tests).collect();
    assert!(apart.is_empty(), "`workspace-hack` lacks features that the tests use, of {apart:#?}");
}

#[test]
fn overviews_mention_every_crate() {
    let (metadata, files) = (metadata(), files());
    for name in ["README.md", "ARCHITECTURE.md"] {
        let Some(overview) = files.get(name) else { continue };
        for folder in packages(&metadata).map(folder) {
            // The README need only mention the folder of the fixtures.
            let fixture = name == "README.md" && folder.starts_with(FIXTURES);
            let mentioned = if fixture { FIXTURES } else { &folder };
            assert!(overview.contains(mentioned), "{name} does not mention `{mentioned}`");
        }
    }
}

#[test]
fn rules_bite() {
    let bites = |rule: Rule, line| assert!(rule("a.rs", line), "{line}");
    let passes = |rule: Rule, line| assert!(!rule("a.rs", line), "{line}");
    bites(has_unsafe, "let x = unsafe { f() };");
    bites(has_unsafe, "#[expect(unsafe_code, reason = \"\")]");
    passes(has_unsafe, "\"unsafe is denied\"");
    passes(has_unsafe, "// unsafe { f() }");
    bites(has_named_colour, "Color32::LIGHT_RED,");
    passes(has_named_colour, "Color32::TRANSPARENT");
    passes(has_named_colour, "Color32::from_rgb(p[0], p[1], p[2])");
    assert!(!has_named_colour("a/tests/b.rs", "Color32::RED"));
    assert!(has_named_colour("shell/tests/fixtures/a/src/lib.rs", "Color32::RED"));
    bites(has_home, "see /home/ada/x");
    bites(has_home, "\"C:\\Users\\ada\"");
    bites(has_home, concat!("file:///", "root/x"));
    passes(has_home, "https://example.org/home/ada or ~/home/ada");
    assert!(is_vague("shell/tests/common/mod.rs") && is_vague("task_manager.rs"));
    assert!(!is_vague("shell/src/score.rs") && !is_vague("commonplace"));
}

#[test]
fn indirect_cargo_edge_to_a_remote_is_found() {
    let edge = |kind: &str| {
        let package = |name: &str, dependency: &str, kind: Value| {
            serde_json::json!({
                "name": name,
                "manifest_path": crate::root().join(name).join("Cargo.toml"),
                "dependencies": [{ "name": dependency, "kind": kind }],
            })
        };
        let a = package("a", "b", Value::Null);
        let b = package("b", "plugins/c", serde_json::from_str(kind).expect("JSON"));
        let c = package("plugins/c", "d", Value::Null);
        edge_to_remote(&serde_json::json!({ "packages": [a, b, c] }), "a")
    };
    assert_eq!(edge("null").as_deref(), Some("b -> plugins/c"));
    assert_eq!(edge("\"build\"").as_deref(), Some("b -> plugins/c"));
    assert_eq!(edge("\"dev\""), None);
    assert!(is_remote("shell/tests/fixtures/a") && !is_remote("shell"));
}

fn has_unsafe(path: &str, line: &str) -> bool {
    let opens = |rest: &str| {
        let starts = ["{", "fn ", "impl", "extern", "trait ", "("];
        starts.iter().any(|start| rest.trim_start().starts_with(start))
    };
    let listed = UNSAFE.iter().any(|(file, _)| *file == path);
    let token = line.match_indices("unsafe").any(|(at, found)| opens(&line[at + found.len()..]));
    is_code(path, line) && !listed && (token || line.contains("unsafe_code"))
}

/// Returns `true` for a colour constant, which clippy cannot forbid; `clippy.toml` forbids the functions.
fn has_named_colour(path: &str, line: &str) -> bool {
    // These three mean the same in every theme; white leaves a texture unchanged.
    const NEUTRAL: [&str; 3] = ["TRANSPARENT", "PLACEHOLDER", "WHITE"];
    let constant = |rest: &str| {
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        !name.is_empty() && !name.contains(|c: char| c.is_lowercase()) && !NEUTRAL.contains(&name)
    };
    // A fixture draws as a plugin does; only its own tests are exempt.
    let within = path.strip_prefix(FIXTURES).unwrap_or(path);
    is_code(path, line) && !within.contains("/tests") && line.split("Color32::").skip(1).any(constant)
}

fn has_home(_: &str, line: &str) -> bool {
    let within_another = |before: &str| {
        let inside = |c: char| c.is_alphanumeric() || "~.-_/}".contains(c);
        before.ends_with(inside) && !before.ends_with("file://")
    };
    ["/home/", "/Users/", concat!("/", "root/"), ":\\Users\\"].iter().any(|home| {
        let mut places = line.match_indices(home);
        places.any(|(at, _)| home.starts_with(':') || !within_another(&line[..at]))
    })
}

fn is_vague(name: &str) -> bool {
    name.split(['/', '.', '-', '_']).any(|word| VAGUE.contains(&word))
}

/// Returns the first edge to a remote on a path of dependencies, other than development ones, from a package.
/// Packages of a registry are ignored: they cannot depend on this workspace.
fn edge_to_remote(metadata: &Value, from: &str) -> Option<String> {
    let by_name: BTreeMap<_, _> = packages(metadata).map(|p| (text(&p["name"]), p)).collect();
    let mut reached = vec![from.to_owned()];
    let mut next = 0;
    while let Some(package) = reached.get(next).map(|name| by_name[name]) {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = text(&dependency["name"]);
            match by_name.get(&name).filter(|_| dependency["kind"] != "dev") {
                Some(target) if is_remote(&folder(target)) => {
                    return Some(format!("{} -> {name}", reached[next]));
                }
                Some(_) if !reached.contains(&name) => reached.push(name),
                _ => {}
            }
        }
        next += 1;
    }
    None
}

fn is_remote(folder: &str) -> bool {
    REMOTES.iter().any(|remotes| folder.starts_with(remotes))
}

fn check(rule: Rule, files: &BTreeMap<String, String>) {
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| *path != THIS_FILE) {
        let lines = text.lines().enumerate().filter(|(_, line)| rule(path, line));
        found.extend(lines.map(|(index, line)| format!("{path}:{}: {line}", index + 1)));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Returns `true` if a line is Rust and not a comment.
fn is_code(path: &str, line: &str) -> bool {
    is_rust(path) && !line.trim_start().starts_with("//")
}

/// Returns every text file of the checkout by its path from the root, without build results and Git's files.
fn files() -> BTreeMap<String, String> {
    let root = crate::root();
    let (mut folders, mut found) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the checkout") {
            let entry = entry.expect("an entry of the checkout");
            let built = [".git", "target"].iter().any(|name| entry.file_name() == *name);
            if entry.path().is_dir() && !built {
                folders.push(entry.path());
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                found.insert(relative(&entry.path()), text);
            }
        }
    }
    found
}

/// Returns the workspace as declared, for every platform and feature; needs no network.
fn metadata() -> Value {
    let mut cargo = crate::cargo(&["metadata", "--no-deps", "--format-version", "1"], &[]);
    let output = cargo.output().expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("JSON from cargo")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("a list of packages").iter()
}

fn folder(package: &Value) -> String {
    let manifest = text(&package["manifest_path"]);
    relative(Path::new(&manifest).parent().expect("a file in a folder"))
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(crate::root()).expect("a path below the root");
    path.to_string_lossy().replace('\\', "/")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
