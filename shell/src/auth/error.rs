use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::catalogue::Code;

/// The reason why a sign-in failed.
///
/// No variant carries a token, an answer's body or the credentials part of an address.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The `auth` settings are invalid.
    #[error("the `auth` settings cannot be used: {reason}")]
    ConfigInvalid {
        /// The setting and its fault.
        reason: String,
    },
    /// The profile file is not valid JSON of a profile; it is not changed.
    #[error("the profile is not valid at line {line}, column {column}: {reason}: {}", .path.display())]
    ProfileInvalid {
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 is the end of the line before.
        column: usize,
        /// The parser's message.
        reason: String,
        /// The profile file.
        path: PathBuf,
    },
    /// The profile file could not be read or created.
    #[error("could not {action} the profile: {source}: {}", .path.display())]
    ProfileIo {
        /// The action that failed, as a verb.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// The bearer token that the settings name is missing.
    #[error("the bearer token could not be read: {reason}: {place}")]
    TokenMissing {
        /// The reason why it could not be read.
        reason: String,
        /// The file, or the environment variable, that should hold it.
        place: String,
    },
    /// The bearer token was found but cannot be sent.
    #[error("the bearer token cannot be used: {reason}: {place}")]
    TokenInvalid {
        /// The token's fault, without its text.
        reason: &'static str,
        /// The file, or the environment variable, that holds it.
        place: String,
    },
    /// The bearer token would be readable in transit.
    #[error("the bearer token was not sent, because http:// does not encrypt it: {url}")]
    TokenInClear {
        /// The address of the request that was not sent.
        url: String,
    },
    /// The operating system returned no random bytes for a session token.
    #[error("the operating system returned no random bytes for a session token: {reason}")]
    Random {
        /// The system's answer.
        reason: String,
    },
    /// 401: the provider does not accept the bearer token, or requires one.
    #[error("the identity provider does not accept these credentials (401): {url}")]
    Unauthorized {
        /// The address that was asked.
        url: String,
    },
    /// 403: the provider knows the caller and refuses.
    #[error("the identity provider refuses access (403): {url}")]
    Forbidden {
        /// The address that was asked.
        url: String,
    },
    /// 404: the provider has no such address.
    #[error("the identity provider has no such address (404): {url}")]
    NotFound {
        /// The address that was asked.
        url: String,
    },
    /// Any other status that is neither a success nor transient.
    #[error("the identity provider answered with status {status}: {url}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The address that was asked.
        url: String,
    },
    /// A redirect that was not followed: to another origin, or one too many.
    ///
    /// Only the origin in the settings names the user, and only that origin gets the bearer token.
    #[error("the identity provider redirects to {target}, which was not followed: {url}")]
    Redirected {
        /// The target, without its query.
        target: String,
        /// The address that was asked.
        url: String,
    },
    /// 429, after the last try.
    #[error("the identity provider asks to slow down (429, tries: {tries}): {url}")]
    RateLimited {
        /// The number of requests.
        tries: u32,
        /// The address that was asked.
        url: String,
    },
    /// 5xx, after the last try.
    #[error("the identity provider failed with status {status} (tries: {tries}): {url}")]
    ServerError {
        /// The HTTP status.
        status: u16,
        /// The number of requests.
        tries: u32,
        /// The address that was asked.
        url: String,
    },
    /// No complete answer in time, after the last try.
    #[error("the identity provider did not answer within {} s (tries: {tries}): {url}", .limit.as_secs_f32())]
    Timeout {
        /// The time limit of each try.
        limit: Duration,
        /// The number of requests.
        tries: u32,
        /// The address that was asked.
        url: String,
    },
    /// No connection, or one that broke, after the last try.
    #[error("the identity provider could not be reached: {reason} (tries: {tries}): {url}")]
    Unreachable {
        /// The system's answer.
        reason: String,
        /// The number of tries.
        tries: u32,
        /// The address that was asked.
        url: String,
    },
    /// The secure connection could not be established.
    #[error("no secure connection to the identity provider: {reason}: {url}")]
    Tls {
        /// The message of the handshake.
        reason: String,
        /// The address that was asked.
        url: String,
    },
    /// The answer is not a user as the protocol defines it.
    #[error("the identity provider's answer is not a user: {reason}: {url}")]
    Malformed {
        /// The answer's fault.
        reason: String,
        /// The address that was asked.
        url: String,
    },
    /// The sign-in worker failed: a fault of the shell, not of the settings.
    #[error("the sign-in worker failed: {reason}")]
    Worker {
        /// The reason.
        reason: String,
    },
}

crate::failure::advise!(AuthError);

impl AuthError {
    /// Returns the stable code by which scripts and documentation name this failure.
    pub fn code(&self) -> Code {
        match self {
            Self::ConfigInvalid { .. } => Code::AuthConfigInvalid,
            Self::ProfileInvalid { .. } => Code::AuthProfileInvalid,
            Self::ProfileIo { .. } => Code::AuthProfileIo,
            Self::TokenMissing { .. } => Code::AuthTokenMissing,
            Self::TokenInvalid { .. } => Code::AuthTokenInvalid,
            Self::TokenInClear { .. } => Code::AuthTokenInClear,
            Self::Random { .. } => Code::AuthRandomUnavailable,
            Self::Unauthorized { .. } => Code::AuthUnauthorized,
            Self::Forbidden { .. } => Code::AuthForbidden,
            Self::NotFound { .. } => Code::AuthNotFound,
            Self::Rejected { .. } => Code::AuthRejected,
            Self::Redirected { .. } => Code::AuthRedirected,
            Self::RateLimited { .. } => Code::AuthRateLimited,
            Self::ServerError { .. } => Code::AuthServerError,
            Self::Timeout { .. } => Code::AuthTimeout,
            Self::Unreachable { .. } => Code::AuthUnreachable,
            Self::Tls { .. } => Code::AuthTls,
            Self::Malformed { .. } => Code::AuthMalformed,
            Self::Worker { .. } => Code::AuthWorkerFailed,
        }
    }

    /// Returns the advice.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::ConfigInvalid { .. } => "correct them in the host's manifest, then retry",
            Self::ProfileInvalid { .. } => "correct the file, or delete it to get a new one, then retry",
            Self::ProfileIo { .. } => "check the permissions of the file and its folder, then retry",
            Self::TokenMissing { .. } => "create it, or change `auth.tokenFile` or `auth.tokenEnv`, then retry",
            Self::TokenInvalid { .. } => "write the bare token there, then retry",
            Self::TokenInClear { .. } => {
                "write https:// in `auth.base`, or add `\"insecure\": true` to `auth` on a network that you trust, \
                 then retry"
            }
            Self::Random { .. } => "retry",
            Self::Unauthorized { .. } => {
                "renew the token that `auth.tokenFile` or `auth.tokenEnv` names, then retry"
            }
            Self::Forbidden { .. } => "ask its administrator for access, then retry",
            Self::NotFound { .. } | Self::Rejected { .. } => "check `auth.base`, then retry",
            Self::Redirected { .. } => "if the target is correct, write it in `auth.base`, then retry",
            Self::RateLimited { .. } | Self::ServerError { .. } => "retry later",
            Self::Timeout { .. } => "check the network, then retry",
            Self::Unreachable { .. } => "check the network and `auth.base`, then retry",
            Self::Tls { .. } => "check its certificate and `auth.base`, then retry",
            Self::Malformed { .. } => "check that `auth.base` points to it, then retry",
            Self::Worker { .. } => "retry, or restart the shell",
        }
    }

    /// Returns `true` if the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::ServerError { .. }
                | Self::Timeout { .. }
                | Self::Unreachable { .. }
        )
    }
}
