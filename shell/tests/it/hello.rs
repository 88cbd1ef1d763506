//! The plugin of the README: its text, and the library that is built from it.

use std::fs;

use shared_store::{AUTH, Auth, User};

use crate::support::{Installation, libraries, workspace};

#[test]
fn readme_shows_the_plugin_as_it_is_built() {
    let read = |path| fs::read_to_string(workspace().join(path)).expect("a file of the workspace");
    let readme = read("README.md");
    for (language, file) in [("rust", "plugin-api/examples/hello.rs"), ("json", "plugin-api/hello.json")] {
        let block = format!("```{language}\n{}```\n", read(file));
        assert!(readme.contains(&block), "the README lacks {file}; copy it there as a block");
    }
}

#[test]
fn readme_plugin_greets_the_user() {
    let mut installation = Installation::new();
    let alias = installation.add_library(&libraries().hello);
    let mut shell = installation.start();
    shell.show(&alias, "./hello");
    shell.drive("it has drawn", |shell| shell.screen().shows("Not signed in"));
    let user = User { name: "Ada Lovelace".to_owned(), ..User::default() };
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth { user: Some(user), is_authenticated: true }).expect("the host may write");
    shell.drive("it greets", |shell| shell.screen().shows("Ada Lovelace"));
}
