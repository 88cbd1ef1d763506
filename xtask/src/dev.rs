//! Both halves of development at once: a development server for the remotes, and the shell that loads them from it.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::packages::{self, Purpose};
use crate::{PRODUCT, build_shell, cache_dir, cargo, display, exit_code, in_workspace, root};

/// The port in [`MANIFEST`]; the next free one is used if another program has it.
const PORT: u16 = 3001;

/// The host's manifest, relative to the workspace.
const MANIFEST: &str = "manifests/host-dev.json";

/// The folder with the sources of the remotes, relative to the workspace.
const SOURCES: &str = "plugins";

/// Time between two looks at the sources and the processes.
const PERIOD: Duration = Duration::from_millis(250);

/// Builds the remotes and the shell, serves the remotes, and opens the shell; rebuilds the remotes when their sources
/// change. The server ends with the shell, and with this process. Returns the shell's exit code.
pub(crate) fn dev(args: &[OsString]) -> Result<i32> {
    packages::ensure(Purpose::Run)?;
    let binary = build_shell()?;
    let mut server = Server::start(&binary)?;
    let mut pulse = Command::new(&binary);
    in_workspace(&mut pulse).args(args).env("PULSE_SHELL_CONFIG", host_manifest(server.port)?);
    let screen = display::provide(&mut pulse);
    let mut shell = pulse.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    eprintln!(
        "xtask: a change in {SOURCES}/ is built and appears in the shell; elsewhere: cargo build {}",
        PRODUCT.join(" ")
    );
    let mut build = Build::default();
    let status = loop {
        if let Some(status) = shell.try_wait()? {
            break status;
        }
        if server.has_ended()? {
            eprintln!("xtask: the development server has ended; the shell continues without new builds");
        }
        build.step()?;
        thread::sleep(PERIOD);
    };
    drop(screen);
    Ok(exit_code(status))
}

/// Returns the host's manifest for a port: the one of the workspace, or a copy of it.
fn host_manifest(port: u16) -> Result<PathBuf> {
    let file = root().join(MANIFEST);
    if port == PORT {
        return Ok(file);
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = cache_dir()?.join("dev");
    let copy = folder.join(format!("host-{port}.json"));
    let text = text.replace(&format!("localhost:{PORT}/"), &format!("localhost:{port}/"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&copy, text))
        .with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// A running `pulse serve`. It ends when this is dropped, and when this process dies, because its input is closed.
struct Server {
    process: Child,
    input: Option<ChildStdin>,
    port: u16,
    /// Set once its end was noticed.
    ended: bool,
}

impl Server {
    /// Starts the server for the folder of `binary`, and waits until it serves.
    fn start(binary: &Path) -> Result<Self> {
        let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let port = (PORT..PORT + 100).find(free).unwrap_or(0).to_string();
        let folder = binary.parent().context("the shell is not in a folder")?;
        let mut serve = Command::new(binary);
        in_workspace(&mut serve).arg("serve").arg(folder).args(["--port", &port, "--end-with-input"]);
        let mut process =
            serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start `pulse serve`")?;
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().context("`pulse serve` has no output")?);
        // The address is the first line, and then a line for each build.
        let mut url = String::new();
        output.read_line(&mut url).context("cannot read from `pulse serve`")?;
        let port = url.trim().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        let Some(port) = port else { bail!("`pulse serve` has ended; see its message above") };
        eprintln!("xtask: serving {} at {}", folder.display(), url.trim());
        let print =
            move || output.lines().map_while(Result::ok).for_each(|line| eprintln!("xtask: served {line}"));
        thread::Builder::new().spawn(print).context("cannot spawn a thread")?;
        Ok(Self { process, input, port, ended: false })
    }

    /// Returns `true` the first time that the server is found to have ended.
    fn has_ended(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.ended = self.process.try_wait()?.is_some();
        Ok(self.ended)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        // It has nothing left to do.
        let _ = self.process.wait();
    }
}

/// Rebuilds the remotes when their sources change.
#[derive(Default)]
struct Build {
    /// The newest change that was built; `None` before the first look.
    built: Option<SystemTime>,
    running: Option<Child>,
}

impl Build {
    /// Starts a build if there is a change, one at a time. Errors of the build are cargo's to report.
    fn step(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running {
            if running.try_wait()?.is_none() {
                return Ok(());
            }
            self.running = None;
        }
        let newest = newest(&root().join(SOURCES));
        if self.built.is_some_and(|built| newest > Some(built)) {
            // The selection of the first build: another one would compile the toolkit again.
            self.running = Some(cargo(&["build"], &[]).args(PRODUCT).spawn().context("cannot start cargo")?);
        }
        self.built = newest;
        Ok(())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may have ended just now.
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

/// Returns the time of the last change in a folder, without those that editors make before they rename a file.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" {
            return None;
        }
        if entry.file_type().ok()?.is_dir() {
            return newest(&entry.path());
        }
        let is_source = [".rs", ".toml", ".json"].iter().any(|end| name.ends_with(end));
        is_source.then(|| entry.metadata().and_then(|about| about.modified()).ok())?
    });
    times.max()
}
