//! The address of a development server, and requests to it, which reach this machine only.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ureq::{
    Agent, BodyReader,
    config::Config,
    http::{Uri, header},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{NextTimeout, TcpConnector},
    },
};
use url::{Host, Url};

use super::Pace;
use crate::error::{DeliveryError, ErrorCode};

/// Slowest transfer of a file that is accepted, in bytes a second; one on the same machine is far above.
const SLOWEST: u64 = 1 << 20;

/// The address of a development server.
pub(super) struct DevAddress {
    base: Url,
    agent: Agent,
    pace: Pace,
}

/// A resolver with a fixed answer: no name leads to another machine.
#[derive(Debug)]
struct Loopback(Vec<SocketAddr>);

impl Resolver for Loopback {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        self.0.iter().for_each(|address| found.push(*address));
        Ok(found)
    }
}

impl DevAddress {
    /// Parses an address.
    ///
    /// # Errors
    /// Fails with `dev-not-loopback` for another machine's, and with `delivery-setting-invalid` for anything but plain
    /// `http://` with a host, a port and a path.
    pub(super) fn parse(text: &str, pace: Pace) -> Result<Self, DeliveryError> {
        let invalid = |reason: &str| {
            let text = format!("the address of the development server {reason}: {text}");
            DeliveryError::new(
                ErrorCode::DeliverySettingInvalid,
                text,
                "write it as `pulse serve` prints it, such as http://localhost:3001/",
            )
        };
        let mut base = Url::parse(text).map_err(|error| invalid(&format!("is invalid ({error})")))?;
        if base.scheme() != "http" {
            return Err(invalid("must begin with http://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            // The message does not repeat a password.
            return Err(DeliveryError::new(
                ErrorCode::DeliverySettingInvalid,
                "the address of a development server cannot contain a user or password",
                "remove them",
            ));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(invalid("cannot have a query or a fragment"));
        }
        let port = base.port_or_known_default().unwrap_or(80);
        let ips: Vec<IpAddr> = match base.host() {
            // Not looked up: the answer of a name server could lead anywhere.
            Some(Host::Domain("localhost")) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Some(Host::Ipv4(ip)) if ip.is_loopback() => vec![ip.into()],
            Some(Host::Ipv6(ip)) if ip.is_loopback() => vec![ip.into()],
            _ => {
                let text = format!("a development server on another machine is not accepted: {base}");
                let advice = "start `pulse serve` on this machine, or publish a signed release";
                return Err(DeliveryError::new(ErrorCode::DevNotLoopback, text, advice));
            }
        };
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            // A server that was restarted has closed its connections.
            .max_idle_connections(0)
            .user_agent(concat!("pulse/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(pace.answer))
            .timeout_recv_response(Some(pace.answer))
            .timeout_per_read(Some(pace.silence))
            .build();
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let agent = Agent::with_parts(config, TcpConnector::default(), Loopback(addresses));
        Ok(Self { base, agent, pace })
    }

    /// Requests a file, and returns a reader of its content.
    ///
    /// `kind` is the media type that the answer must have; an empty one permits any. With a `length`, the whole transfer
    /// has a time limit.
    pub(super) fn get(
        &self,
        path: &str,
        kind: &str,
        length: Option<u64>,
    ) -> Result<BodyReader<'static>, DeliveryError> {
        let url = self.base.join(path).ok().filter(|url| url.origin() == self.base.origin());
        let url = url.ok_or_else(|| self.invalid("it names a file of another server"))?;
        let request = self.agent.get(url.as_str());
        let request = if kind.is_empty() { request } else { request.header(header::ACCEPT, kind) };
        let limit = length.map(|length| self.pace.answer + Duration::from_secs(length / SLOWEST));
        let answer = request.config().timeout_recv_body(limit).build().call();
        let answer = answer.map_err(|error| self.failed(error))?;
        let status = answer.status().as_u16();
        let found = answer.headers().get(header::CONTENT_TYPE).map_or(&[] as &[u8], |found| found.as_bytes());
        match status {
            200 if found.starts_with(kind.as_bytes()) => Ok(answer.into_body().into_reader()),
            200 => Err(self.invalid("it answers with something else")),
            503 => Err(DeliveryError::new(
                ErrorCode::RepoServerError,
                format!("the development server has too many clients: {self}"),
                "close other shells, or start a second `pulse serve` on another port",
            )),
            404 if length.is_some() => Err(DeliveryError::new(
                ErrorCode::RepoNotFound,
                format!("the development server has replaced this build: {url}"),
                "",
            )),
            status => Err(self.invalid(&format!("it answers with status {status} to {}", url.path()))),
        }
    }

    /// Returns the error for an answer that a development server does not give.
    pub(super) fn invalid(&self, reason: &str) -> DeliveryError {
        let text = format!("this is no development server of this version of Pulse ({reason}): {self}");
        let advice = "check the port, and start `pulse serve` of the same version";
        DeliveryError::new(ErrorCode::DevInvalid, text, advice)
    }

    /// Returns the error for a server that closed its events.
    pub(super) fn ended(&self) -> DeliveryError {
        self.unreachable("it has ended")
    }

    /// Returns the error for a body that cannot be read to its end.
    pub(super) fn interrupted(&self, error: io::Error) -> DeliveryError {
        self.failed(error.into())
    }

    fn failed(&self, error: ureq::Error) -> DeliveryError {
        use ureq::Error as E;
        match error {
            E::Timeout(limit) => DeliveryError::new(
                ErrorCode::RepoTimeout,
                format!("the development server does not answer in time ({limit}): {self}"),
                "restart `pulse serve`",
            ),
            E::Protocol(_) | E::Http(_) | E::LargeResponseHeader(..) => self.invalid(&error.to_string()),
            error => self.unreachable(&error.to_string()),
        }
    }

    fn unreachable(&self, reason: &str) -> DeliveryError {
        DeliveryError::new(
            ErrorCode::RepoUnreachable,
            format!("the development server cannot be reached ({reason}): {self}"),
            "start it with `pulse serve target/release`, with the port of this address",
        )
    }
}

impl fmt::Display for DevAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_accepted() {
        for good in [
            "http://localhost:3001/",
            "http://LOCALHOST:3001",
            "http://127.0.0.1:1",
            "http://127.9.9.9:1/",
            "http://127.1/",
            "http://[::1]:3001/x",
        ] {
            let address = DevAddress::parse(good, Pace::REAL);
            assert!(address.is_ok_and(|address| address.base.path().ends_with('/')), "{good}");
        }
        for (bad, code) in [
            ("http://example.org/", ErrorCode::DevNotLoopback),
            ("http://localhost.example.org:3001/", ErrorCode::DevNotLoopback),
            ("http://localhost.:3001/", ErrorCode::DevNotLoopback),
            ("http://0.0.0.0:3001/", ErrorCode::DevNotLoopback),
            ("http://[::]:3001/", ErrorCode::DevNotLoopback),
            ("http://[::ffff:10.0.0.1]:3001/", ErrorCode::DevNotLoopback),
            ("http://10.0.0.1:3001/", ErrorCode::DevNotLoopback),
            ("http://2130706433.example/", ErrorCode::DevNotLoopback),
            ("http://localhost@10.0.0.1/", ErrorCode::DeliverySettingInvalid),
            ("http://user:secret@localhost/", ErrorCode::DeliverySettingInvalid),
            ("https://localhost:3001/", ErrorCode::DeliverySettingInvalid),
            ("http://localhost:3001/?x", ErrorCode::DeliverySettingInvalid),
            ("localhost:3001", ErrorCode::DeliverySettingInvalid),
            ("", ErrorCode::DeliverySettingInvalid),
        ] {
            let error = DevAddress::parse(bad, Pace::REAL).err().expect(bad);
            assert_eq!(error.code, code, "{bad}");
            assert!(!error.summary.contains("secret"));
        }
    }

    #[test]
    fn files_of_other_servers_are_refused() {
        let address = DevAddress::parse("http://localhost:3001/", Pace::REAL).expect("an address");
        for path in ["http://localhost:3002/x", "//example.org/x", "https://localhost:3001/x", "file:///x"] {
            let error = address.get(path, "", Some(1)).err().expect(path);
            assert_eq!(error.code, ErrorCode::DevInvalid, "{path}");
        }
    }
}
