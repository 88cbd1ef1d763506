//! Builds of a development server.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    thread,
};

use pulse::federation::RemoteOrigin;

use super::{CALM, SCRIPTED, User, pulse, scripted, site::text};
use crate::{
    driver::Desktop,
    support::{Headless, library_file},
};

/// A running `pulse serve`, ended on drop.
pub(crate) struct Serve {
    process: Child,
    /// It ends when this is closed, too, so that it does not outlive a killed test.
    _input: Option<ChildStdin>,
    /// Its address.
    pub(crate) url: String,
}

impl Serve {
    /// Serves a folder; port 0 is any.
    pub(crate) fn start(folder: &Path, port: &str) -> Self {
        let mut command = pulse();
        command.args(["serve", text(folder), "--port", port, "--end-with-input"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("pulse starts");
        let mut url = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        output.read_line(&mut url).expect("the address");
        assert!(url.starts_with("http://"), "no address but `{url}`");
        thread::spawn(move || drop(output.read_to_end(&mut Vec::new())));
        Self { _input: process.stdin.take(), process, url: url.trim().to_owned() }
    }

    fn port(&self) -> String {
        self.url.trim_end_matches('/').rsplit(':').next().unwrap_or_default().to_owned()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the panel shows this version and count.
fn shows(shell: &mut Headless, version: &str, count: u32) {
    let (version, count) = (format!("Version {version}"), format!("Counted {count}"));
    shell.drive(&version, |shell| shell.screen().shows(&version) && shell.screen().shows(&count));
}

#[test]
fn served_build_appears_with_state() {
    let mut user = User::new();
    let put = |user: &User, version: &str| {
        let name = library_file("scripted");
        let new = user.installation.write(&format!("building/{name}"), scripted(version, |_| ()));
        std::fs::create_dir_all(user.installation.path("served")).expect("folders can be made");
        std::fs::rename(new, user.installation.path("served").join(name)).expect("files can be renamed");
    };
    put(&user, "1.0.0");
    let folder = user.installation.path("served");
    let server = Serve::start(&folder, "0");
    let port = server.port();
    let address = format!("http://127.0.0.1:{port}/");
    user.installation.configure(SCRIPTED, &format!("{SCRIPTED}@{address}"));
    let mut config = user.installation.config();
    config.fetcher = Some(env!("CARGO_BIN_EXE_pulse").into());
    let mut shell = user.installation.start_with(config);
    shell.show(SCRIPTED, CALM);
    shows(&mut shell, "1.0.0", 0);
    assert!(matches!(shell.entry(SCRIPTED).place(), RemoteOrigin::Development { .. }), "{}", shell.describe());
    let list = user.run(&["list"]).good().stdout;
    assert!(list.contains("development, not signed"), "{list}");
    shell.press("Count");
    shows(&mut shell, "1.0.0", 1);
    put(&user, "1.0.1");
    shows(&mut shell, "1.0.1", 1);

    // Without its server the panel keeps running; the next server has the next build.
    drop(server);
    let known = address.trim_end_matches('/').to_owned();
    shell.drive("the server is lost", |shell| shell.federation.supply().trouble(&known).is_some());
    shell.press("Count");
    shows(&mut shell, "1.0.1", 2);
    put(&user, "1.0.2");
    let _server = Serve::start(&folder, &port);
    shows(&mut shell, "1.0.2", 2);
    assert!(shell.federation.supply().trouble(&known).is_none(), "{}", shell.describe());
}

#[test]
fn window_names_development_builds() {
    let (desktop, user) = (Desktop::new(), User::new());
    let folder = user.installation.path("served");
    user.installation.write(&format!("served/{}", library_file("scripted")), scripted("1.0.0", |_| ()));
    let server = Serve::start(&folder, "0");
    let mut window = desktop.open(super::desktop::shell(&desktop, &user.installation));
    window.wait_for("No remotes yet");
    // Added in the running shell.
    let reference = format!("{SCRIPTED}@{}", server.url);
    super::desktop::run(&desktop, &user.installation, &["remote", "add", &reference, "--enable"]).good();
    window.wait_for("Version 1.0.0");
    window.key(egui::Key::F12);
    window.wait_for_parts(&["Development build from http://localhost:"]);
    window.wait_for("Development server: builds are not signed");
    window.settle();
    window.screenshot("delivery-development.png");
    super::desktop::run(&desktop, &user.installation, &["remote", "remove", SCRIPTED]).good();
    window.gone("Version 1.0.0");
}
