//! The fetching process.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, BufRead, Read, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
};

use zeroize::Zeroizing;

use super::{FetchEvent, Request, Task};
use crate::{
    address::Address,
    client::Client,
    error::{DeliveryError, ErrorCode},
    link::Report,
    sandbox::{self, Confinement, Reach},
};

/// The longest request, in bytes; certificates take the most of it.
const MAX_REQUEST: u64 = 8 << 20;
/// The largest file of certificates, in bytes, and the largest number of them in a folder.
const MAX_CERTIFICATES: u64 = 2 << 20;
const MAX_FILES: usize = 1_000;

/// Serves the request on standard input, prints events on standard output, and returns once the task has ended.
///
/// Call it at the start of `main`, before any thread is started: the sandbox holds for the calling thread and for those
/// that it starts. The process ends when standard input is closed, at any moment.
pub fn run() -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        // Standard input is closed, too, when the parent ends; this helps if another process has inherited its pipe.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    let report: Report = Arc::new(|event| print(&event));
    let end = match prepare() {
        Ok(request) => serve(&request, &report),
        Err(error) => FetchEvent::Failed(error),
    };
    let has_failed = matches!(end, FetchEvent::Failed(_));
    report(end);
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Serves a request in this process, without a sandbox, and returns its last event.
pub(crate) fn serve(request: &Request, report: &Report) -> FetchEvent {
    let client = || Client::open(request, report);
    let served = match &request.task {
        Task::Offer => client().and_then(|client| client.offer()),
        Task::Check { root, wanted } => client().and_then(|client| client.check(*root, wanted)),
        Task::Download { wanted, version } => client().and_then(|client| client.download(wanted, version)),
        Task::Mirror { to } => client().and_then(|client| client.mirror(to)),
        Task::Follow => {
            let followed = crate::follow::run(request, &mut |event| report(event));
            followed.and_then(|()| {
                let summary = format!("the development server is not followed any more: {}", request.address);
                Err(DeliveryError::new(ErrorCode::DeliveryCancelled, summary, ""))
            })
        }
    };
    served.unwrap_or_else(FetchEvent::Failed)
}

/// Reads the request, and confines the process.
fn prepare() -> Result<Request, DeliveryError> {
    let invalid = |reason: String| {
        DeliveryError::new(
            ErrorCode::DeliveryProcessFailed,
            format!("the fetching process cannot read its request ({reason})"),
            "report this to the maintainers of Pulse",
        )
    };
    let mut line = Zeroizing::new(Vec::new());
    let read = io::stdin().lock().take(MAX_REQUEST).read_until(b'\n', &mut line);
    read.map_err(|error| invalid(error.to_string()))?;
    let mut request: Request = serde_json::from_slice(&line).map_err(|error| invalid(error.to_string()))?;
    // Afterwards these files are out of reach.
    request.network.certificates.extend(certificates(env::var_os));
    let access = access(&request);
    match sandbox::confine(&access)? {
        Confinement::Full => {}
        confinement => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "pulse fetch: the sandbox is not complete here ({confinement:?})");
        }
    }
    let watch = thread::Builder::new().name("standard input".to_owned()).spawn(end_with_parent);
    watch.map_err(|error| invalid(error.to_string()))?;
    Ok(request)
}

/// Returns the folders that a request needs.
fn access(request: &Request) -> Reach {
    let mut access = Reach { read: Vec::new(), write: vec![request.cache.clone()] };
    if let Task::Mirror { to } = &request.task {
        access.write.push(to.clone());
    }
    let address = Address::parse(&request.address).ok();
    access.read.extend(address.and_then(|address| Some(address.folder()?.to_owned())));
    access
}

/// Ends the process when standard input is closed.
#[expect(clippy::disallowed_methods, reason = "no destructor is needed: files in the cache are complete")]
fn end_with_parent() {
    let mut piece = [0; 256];
    while io::stdin().lock().read(&mut piece).is_ok_and(|read| read > 0) {}
    std::process::exit(1);
}

/// Prints an event; ends the process if its parent is gone.
#[expect(clippy::disallowed_methods, reason = "no destructor is needed: files in the cache are complete")]
fn print(event: &FetchEvent) {
    let Ok(mut line) = serde_json::to_vec(event) else { return };
    line.push(b'\n');
    let mut output = io::stdout().lock();
    if output.write_all(&line).and_then(|()| output.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Returns the certificates of the variables that TLS libraries know; files that cannot be read are ignored.
fn certificates(variable: impl Fn(&'static str) -> Option<std::ffi::OsString>) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(file) = variable("SSL_CERT_FILE") {
        texts.extend(certificate(Path::new(&file)));
    }
    for folder in variable("SSL_CERT_DIR").iter().flat_map(|folders| env::split_paths(OsStr::new(folders))) {
        let files = folder.read_dir().into_iter().flatten().flatten();
        texts.extend(files.take(MAX_FILES).filter_map(|file| certificate(&file.path())));
    }
    texts
}

fn certificate(path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok()?;
    let text = (about.is_file() && about.len() <= MAX_CERTIFICATES).then(|| fs::read_to_string(path));
    text?.ok().filter(|text| text.contains("-----BEGIN CERTIFICATE-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_from_variables() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        fs::write(folder.path().join("a.pem"), certificate).expect("file is written");
        fs::write(folder.path().join("b.key"), "-----BEGIN PRIVATE KEY-----\n").expect("file is written");
        let found = certificates(|name| (name == "SSL_CERT_DIR").then(|| folder.path().into()));
        assert_eq!(found, [certificate]);
        let found = certificates(|name| (name == "SSL_CERT_FILE").then(|| folder.path().join("a.pem").into()));
        assert_eq!(found, [certificate]);
        let found = certificates(|name| (name == "SSL_CERT_FILE").then(|| folder.path().join("none").into()));
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn request_grants_its_folders() {
        let request = |task| Request {
            task,
            address: "file:///media/usb".to_owned(),
            cache: "/cache".into(),
            network: super::super::Network::default(),
        };
        let access = access(&request(Task::Mirror { to: "/mirror".into() }));
        assert_eq!(access.write, [Path::new("/cache"), Path::new("/mirror")]);
        if cfg!(unix) {
            assert_eq!(access.read, [Path::new("/media/usb")]);
        }
        assert_eq!(super::access(&request(Task::Follow)).write, [Path::new("/cache")]);
    }
}
