//! The HTTP client.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use ureq::{
    Agent, Proxy, RequestBuilder,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
    typestate::WithoutBody,
};
use url::Url;

use super::{Limits, LinkFault, fault};
use crate::{
    error::{DeliveryError, ErrorCode},
    fetch::Network,
};

/// The variables that name a proxy; the HTTP client reads them.
const PROXIES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// The client that knows the public certificates, and the client that knows the additional ones.
///
/// The HTTP client takes either its own list or another one, and a server's certificate is accepted by one of the two.
pub(super) struct Agents {
    agents: Vec<Agent>,
    /// The client that has reached the server.
    fitting: AtomicUsize,
}

impl Agents {
    pub(super) fn new(network: &Network, limits: &Limits, is_loopback: bool) -> Result<Self, DeliveryError> {
        // A proxy would look for the server on its own machine.
        let proxy = if is_loopback { None } else { proxy()? };
        let agent = |roots| {
            let config = Agent::config_builder()
                .user_agent(concat!("pulse/", env!("CARGO_PKG_VERSION")))
                // Compressed transfers would need limits of their own, and ranges of other bytes.
                .accept_encoding("identity")
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(proxy.clone())
                .timeout_resolve(Some(limits.timeout))
                .timeout_connect(Some(limits.timeout))
                .timeout_send_request(Some(limits.timeout))
                .timeout_recv_response(Some(limits.timeout))
                .timeout_per_read(Some(limits.stall))
                .max_response_header_size(32 << 10)
                .tls_config(TlsConfig::builder().root_certs(roots).build());
            Agent::new_with_config(config.build())
        };
        let mut agents = vec![agent(RootCerts::WebPki)];
        let certificates = certificates(&network.certificates)?;
        if !certificates.is_empty() {
            agents.push(agent(RootCerts::new_with_certs(&certificates)));
        }
        Ok(Self { agents, fitting: AtomicUsize::new(0) })
    }

    /// Sends a GET request.
    pub(super) fn send(
        &self,
        url: &Url,
        prepare: impl Fn(RequestBuilder<WithoutBody>) -> RequestBuilder<WithoutBody>,
    ) -> Result<Response<ureq::Body>, LinkFault> {
        let first = self.fitting.load(Relaxed);
        let mut result = prepare(self.agents[first].get(url.as_str())).call();
        for (at, agent) in self.agents.iter().enumerate() {
            if at == first || !result.as_ref().is_err_and(fault::is_tls) {
                continue;
            }
            result = prepare(agent.get(url.as_str())).call();
            if result.is_ok() {
                self.fitting.store(at, Relaxed);
            }
        }
        result.map_err(|error| fault::of_request(error, url))
    }
}

/// Returns the proxy of the environment.
fn proxy() -> Result<Option<Proxy>, DeliveryError> {
    let named = PROXIES.iter().find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    match (Proxy::try_from_env(), named) {
        // A proxy that is ignored would send requests past it.
        (None, Some(name)) => Err(DeliveryError::new(
            ErrorCode::DeliverySettingInvalid,
            format!("the proxy cannot be used: variable {name}"),
            "write it as http://proxy.example.org:3128",
        )),
        (proxy, _) => Ok(proxy),
    }
}

fn certificates(texts: &[String]) -> Result<Vec<Certificate<'static>>, DeliveryError> {
    let mut certificates = Vec::new();
    for text in texts {
        let before = certificates.len();
        for item in parse_pem(text.as_bytes()).flatten() {
            if let PemItem::Certificate(certificate) = item {
                certificates.push(certificate);
            }
        }
        if certificates.len() == before {
            return Err(DeliveryError::new(
                ErrorCode::DeliverySettingInvalid,
                "an additional root certificate cannot be read",
                "give a file in PEM format with BEGIN CERTIFICATE",
            ));
        }
    }
    Ok(certificates)
}
