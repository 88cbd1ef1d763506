//! The HTTP client.

use std::{env, sync::OnceLock};

use ureq::{
    Agent, Proxy, RequestBuilder,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
    typestate::WithoutBody,
};
use url::Url;

use super::{AttemptError, Limits, fault};
use crate::{
    error::{DeliveryError, ErrorCode},
    fetch::Network,
};

/// The variables that name a proxy; the HTTP client reads them.
const PROXIES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// A client with the public certificates, and another with the additional ones.
///
/// The HTTP client takes one list of certificates. A server's is accepted if one of the two accepts it; the second is
/// made when the first refuses it.
pub(super) struct Agents {
    public: Agent,
    additional: OnceLock<Agent>,
    certificates: Vec<String>,
    limits: Limits,
    proxy: Option<Proxy>,
}

impl Agents {
    pub(super) fn new(network: &Network, limits: Limits, is_loopback: bool) -> Result<Self, DeliveryError> {
        // A proxy would look for the server on its own machine.
        let proxy = if is_loopback { None } else { proxy()? };
        Ok(Self {
            public: agent(limits, proxy.clone(), RootCerts::WebPki),
            additional: OnceLock::new(),
            certificates: network.certificates.clone(),
            limits,
            proxy,
        })
    }

    /// Sends a GET request.
    pub(super) fn send(
        &self,
        url: &Url,
        prepare: impl Fn(RequestBuilder<WithoutBody>) -> RequestBuilder<WithoutBody>,
    ) -> Result<Response<ureq::Body>, AttemptError> {
        let send = |agent: &Agent| prepare(agent.get(url.as_str())).call();
        let result = match self.additional.get() {
            Some(agent) => send(agent),
            None => send(&self.public),
        };
        let is_refused = result.as_ref().is_err_and(fault::is_tls) && self.additional.get().is_none();
        let result = if is_refused && !self.certificates.is_empty() {
            let roots = RootCerts::new_with_certs(&certificates(&self.certificates)?);
            let agent = agent(self.limits, self.proxy.clone(), roots);
            let result = send(&agent);
            if result.is_ok() {
                self.additional.get_or_init(|| agent);
            }
            result
        } else {
            result
        };
        result.map_err(|error| fault::of_request(&error, url))
    }
}

fn agent(limits: Limits, proxy: Option<Proxy>, roots: RootCerts) -> Agent {
    let config = Agent::config_builder()
        .user_agent(concat!("pulse/", env!("CARGO_PKG_VERSION")))
        // Compressed transfers would need limits of their own, and ranges of other bytes.
        .accept_encoding("identity")
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .timeout_resolve(Some(limits.timeout))
        .timeout_connect(Some(limits.timeout))
        .timeout_send_request(Some(limits.timeout))
        .timeout_recv_response(Some(limits.timeout))
        .timeout_per_read(Some(limits.stall))
        .max_response_header_size(32 << 10)
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    Agent::new_with_config(config.build())
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
