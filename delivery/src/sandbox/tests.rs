use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use super::*;

/// Returns `true` if the system can confine threads.
pub(crate) fn is_supported() -> bool {
    let thread = thread::Builder::new().spawn(|| confine(&Reach::default()));
    let confined = thread.expect("thread is spawned").join().expect("thread ends");
    confined.expect("thread is confined") != Confinement::Missing
}

/// Runs `test` on a confined thread; the rest of the process is not confined.
fn confined(access: Reach, test: impl FnOnce(Confinement) + Send + 'static) {
    let thread = thread::Builder::new().spawn(move || test(confine(&access).expect("thread is confined")));
    thread.expect("thread is spawned").join().expect("test succeeds");
}

fn is_denied<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

#[test]
fn process_reaches_its_folders_alone() {
    let folders = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folders.path().join(name);
    for name in ["cache", "site", "home"] {
        fs::create_dir(path(name)).expect("folder is created");
        fs::write(path(name).join("a"), "1").expect("file is written");
    }
    let access = Reach { read: vec![path("site")], write: vec![path("cache")] };
    let path = folders.path().to_owned();
    confined(access, move |confinement| {
        let path = |name: &str| path.join(name);
        fs::read(path("site/a")).expect("the repository is readable");
        fs::write(path("cache/a"), "2").expect("the cache is writable");
        fs::create_dir(path("cache/part")).expect("the cache is writable");
        fs::rename(path("cache/a"), path("cache/part/a")).expect("files move inside of the cache");
        fs::remove_file(path("cache/part/a")).expect("the cache is writable");
        fs::read("/etc/hosts").expect("host names can be resolved");
        if confinement == Confinement::Missing {
            return;
        }
        assert!(is_denied(fs::read(path("home/a"))), "another folder is read");
        assert!(is_denied(fs::read_dir(path("home"))), "another folder is listed");
        assert!(is_denied(fs::write(path("home/b"), "2")), "another folder is written");
        assert!(is_denied(fs::write(path("site/a"), "2")), "the repository is written");
        assert!(is_denied(fs::remove_file(path("site/a"))), "the repository is changed");
        assert!(is_denied(fs::read("/etc/passwd")), "a file of the system is read");
        assert!(is_denied(fs::read("/proc/self/environ")), "the environment is read");
        let link = std::os::unix::fs::symlink(path("home"), path("cache/home"));
        assert!(is_denied(link), "a link is created");
        assert!(is_denied(Command::new("/bin/true").status()), "a program is started");
    });
}

#[test]
fn process_connects_and_does_not_listen() {
    let server = TcpListener::bind("127.0.0.1:0").expect("port is free");
    let address = server.local_addr().expect("address is known");
    confined(Reach::default(), move |confinement| {
        TcpStream::connect(address).expect("connecting is allowed");
        if confinement == Confinement::Full {
            assert!(is_denied(TcpListener::bind("127.0.0.1:0")), "a port is opened");
        }
    });
}

#[test]
fn missing_folder_is_no_error() {
    let access = Reach { read: vec![Path::new("/none/such").to_owned()], ..Reach::default() };
    confined(access, |_| ());
}
