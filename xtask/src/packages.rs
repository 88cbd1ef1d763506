//! System packages that the window and the tests need in addition to Rust.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::display;
use crate::tools::in_path;

/// The purpose of the packages.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Purpose {
    /// Opening the window, on an existing display or a virtual one.
    Run,
    /// Tests and benchmarks, which always use their own virtual displays.
    Tests,
}

/// Installs missing packages with apt as root, and otherwise prints which packages to install.
///
/// # Errors
/// Only if nothing can work: no virtual display for the tests, or no C compiler.
pub(crate) fn ensure(purpose: Purpose) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let compiler = || env::var_os("CC").is_some() || in_path("cc");
    let mut wanted = WINDOW.to_vec();
    if purpose == Purpose::Tests || !display::is_there() {
        wanted.push(XVFB);
    }
    if purpose == Purpose::Tests {
        wanted.extend(BUS);
        wanted.extend(SCRIPTS);
        wanted.push(SERVER);
    }
    if !compiler() {
        wanted.extend(COMPILER);
    }
    let manager = Manager::here();
    let missing = manager.missing(&wanted);
    if !missing.is_empty() {
        let may_install = manager == Manager::Apt && output("id", &["-u"]).trim() == "0";
        if !(may_install && apt_install(&missing)) {
            eprintln!("xtask: continuing without some system packages.");
            eprintln!("xtask: {}", manager.advice(&missing));
        }
    }
    if !compiler() {
        bail!("no C compiler, which SQLite and others need: `cc` is not in PATH and CC is not set");
    }
    if purpose == Purpose::Tests {
        for (program, what) in
            [("Xvfb", "open windows under Xvfb"), ("dbus-daemon", "start a bus for AT-SPI with dbus-daemon")]
        {
            if !in_path(program) {
                bail!("the end-to-end tests {what}, which is not in PATH");
            }
        }
    }
    Ok(())
}

/// A package: its names for apt, dnf and pacman, and the library or program that proves it on systems without dpkg
/// (empty if the window opens without it).
type Need = (&'static str, &'static str, &'static str, &'static str);

const XVFB: Need = ("xvfb", "xorg-x11-server-Xvfb", "xorg-server-xvfb", "Xvfb");

/// The bus between screen readers and programs; a test acts as a screen reader.
const BUS: [Need; 2] = [
    ("dbus-daemon", "dbus-daemon", "dbus", "dbus-daemon"),
    ("at-spi2-core", "at-spi2-core", "at-spi2-core", ""),
];

/// The web server of the tests of delivery, without a service: each test starts its own.
const SERVER: Need = ("nginx-light", "nginx-core", "nginx", "nginx");

/// `rusqlite` and `ring` compile C.
const COMPILER: [Need; 2] = [("gcc", "gcc", "gcc", "cc"), ("libc6-dev", "glibc-devel", "glibc", "")];

/// Libraries that winit and wgpu open at run time: a missing one causes no linker error, but the window does not
/// open. The Vulkan drivers include one that renders on the CPU.
const WINDOW: [Need; 11] = [
    ("mesa-vulkan-drivers", "mesa-vulkan-drivers", "vulkan-swrast", ""),
    ("libvulkan1", "vulkan-loader", "vulkan-icd-loader", "libvulkan.so.1"),
    ("libgl1-mesa-dri", "mesa-dri-drivers", "mesa", ""),
    ("libegl1", "libglvnd-egl", "libglvnd", "libEGL.so.1"),
    ("libgl1", "libglvnd-glx", "libglvnd", "libGL.so.1"),
    ("libxkbcommon-x11-0", "libxkbcommon-x11", "libxkbcommon-x11", "libxkbcommon-x11.so.0"),
    ("libxcursor1", "libXcursor", "libxcursor", "libXcursor.so.1"),
    ("libxi6", "libXi", "libxi", "libXi.so.6"),
    ("libxrandr2", "libXrandr", "libxrandr", "libXrandr.so.2"),
    ("libx11-xcb1", "libX11-xcb", "libx11", "libX11-xcb.so.1"),
    ("fonts-dejavu-core", "dejavu-sans-fonts", "ttf-dejavu", ""),
];

/// Fonts with the characters that the shell's own fonts lack: Han, kana, emoji.
const SCRIPTS: [Need; 2] = [
    ("fonts-droid-fallback", "google-droid-sans-fonts", "ttf-droid", ""),
    ("fonts-noto-color-emoji", "google-noto-color-emoji-fonts", "noto-fonts-emoji", ""),
];

#[derive(Clone, Copy, PartialEq)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Unknown,
}

impl Manager {
    fn here() -> Self {
        match in_path {
            has if has("dpkg-query") && has("apt-get") => Self::Apt,
            has if has("dnf") => Self::Dnf,
            has if has("pacman") => Self::Pacman,
            _ => Self::Unknown,
        }
    }

    fn missing(self, wanted: &[Need]) -> Vec<Need> {
        let (list, libraries);
        let missing: &dyn Fn(&Need) -> bool = if self == Self::Apt {
            let mut query = vec!["-W", "-f", "${Package} ${db:Status-Status}\n"];
            query.extend(wanted.iter().map(|need| need.0));
            // Names unknown to dpkg make the query fail; it lists the others anyway.
            list = output("dpkg-query", &query);
            &|need| !is_installed(&list, need.0)
        } else {
            let everywhere = env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
            libraries = output("env", &[&format!("PATH={everywhere}"), "ldconfig", "-p"]);
            &|&(.., name)| !name.is_empty() && !in_path(name) && !libraries.contains(name)
        };
        wanted.iter().copied().filter(missing).collect()
    }

    /// Returns one line of advice, with a command to copy.
    fn advice(self, needs: &[Need]) -> String {
        let (intro, name): (_, fn(&Need) -> &'static str) = match self {
            Self::Apt => ("run `sudo apt-get install --no-install-recommends ", |need| need.0),
            Self::Dnf => ("run `sudo dnf install ", |need| need.1),
            Self::Pacman => ("run `sudo pacman -S --needed ", |need| need.2),
            Self::Unknown => ("install what provides `", |need| need.3),
        };
        let mut names: Vec<_> = needs.iter().map(name).collect();
        names.dedup();
        format!("{intro}{}`", names.join(" "))
    }
}

fn apt_install(needs: &[Need]) -> bool {
    let names: Vec<_> = needs.iter().map(|need| need.0).collect();
    eprintln!("xtask: installing system packages: {}", names.join(" "));
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-o", "DPkg::Lock::Timeout=120"]).args(args).stdin(Stdio::null());
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
        // No package starts its service, such as nginx.
        apt.envs([("RUNLEVEL", "1"), ("SYSTEMD_OFFLINE", "1")]);
        apt.status().is_ok_and(|status| status.success())
    };
    // A failed update may not matter: the existing lists may be sufficient.
    apt(&["update"]);
    apt(&[&["install", "-y", "--no-install-recommends"], &names[..]].concat())
}

fn is_installed(dpkg_list: &str, package: &str) -> bool {
    dpkg_list.lines().any(|line| line.split_once(' ') == Some((package, "installed")))
}

/// Returns the output of a command, empty if it cannot be run.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_package_is_missing() {
        let list = "libegl1 installed\nlibgl1 config-files\nlibxi6-dev installed\n";
        assert!(is_installed(list, "libegl1"));
        assert!(["libgl1", "libxi6", "xvfb"].iter().all(|name| !is_installed(list, name)));
    }

    #[test]
    fn advice_uses_the_package_managers_names() {
        let check = |manager: Manager, expected| {
            assert_eq!(manager.advice(&[XVFB, WINDOW[3], WINDOW[4]]), expected);
        };
        check(Manager::Apt, "run `sudo apt-get install --no-install-recommends xvfb libegl1 libgl1`");
        check(Manager::Dnf, "run `sudo dnf install xorg-x11-server-Xvfb libglvnd-egl libglvnd-glx`");
        check(Manager::Pacman, "run `sudo pacman -S --needed xorg-server-xvfb libglvnd`");
        check(Manager::Unknown, "install what provides `Xvfb libEGL.so.1 libGL.so.1`");
    }
}
