//! Errors of repositories, with stable codes.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// Declares [`ErrorCode`] from its variants and their words.
macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $word:literal),+ $(,)?) => {
        /// The stable code of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])+ #[serde(rename = $word)] $variant),+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word, in kebab case.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

codes! {
    /// The download was cancelled.
    DeliveryCancelled = "delivery-cancelled",
    /// The cache cannot be read or written.
    DeliveryCacheFailed = "delivery-cache-failed",
    /// A link or another file is in the way in the cache.
    DeliveryCacheUnsafe = "delivery-cache-unsafe",
    /// The fetching process ended without an answer, or answered with something else.
    DeliveryProcessFailed = "delivery-process-failed",
    /// An address, token, certificate or other setting cannot be used.
    DeliverySettingInvalid = "delivery-setting-invalid",
    /// A development server is not on this machine.
    DevNotLoopback = "dev-not-loopback",
    /// A development server answers with something else.
    DevInvalid = "dev-invalid",
    /// The address to serve on cannot be used.
    ServeAddress = "serve-address",
    /// No root is trusted for this repository.
    RepoUntrusted = "repo-untrusted",
    /// The repository offers no root with the trusted fingerprint.
    RepoRootMismatch = "repo-root-mismatch",
    /// The server cannot be reached.
    RepoUnreachable = "repo-unreachable",
    /// The server does not answer in time.
    RepoTimeout = "repo-timeout",
    /// The server sends too slowly.
    RepoTooSlow = "repo-too-slow",
    /// The server reports a fault of its own.
    RepoServerError = "repo-server-error",
    /// The server has no such file.
    RepoNotFound = "repo-not-found",
    /// The server wants another token, or denies access.
    RepoDenied = "repo-denied",
    /// A redirect leaves the scheme or is one too many.
    RepoRedirected = "repo-redirected",
    /// The connection cannot be secured.
    RepoTls = "repo-tls",
    /// A file of the repository is not metadata, for example a login page.
    RepoNotMetadata = "repo-not-metadata",
    /// Metadata is larger than allowed.
    RepoTooLarge = "repo-too-large",
    /// The server offers older metadata than it did before.
    RepoRollback = "repo-rollback",
    /// The metadata has expired.
    RepoExpired = "repo-expired",
    /// Files of different states of the repository are mixed.
    RepoMixed = "repo-mixed",
    /// A signature is missing or wrong.
    RepoSignature = "repo-signature",
    /// Fewer keys have signed than the threshold requires.
    RepoThreshold = "repo-threshold",
    /// A key has signed that a newer root or delegation no longer lists.
    RepoKeyRevoked = "repo-key-revoked",
    /// This machine's clock was set back.
    RepoClock = "repo-clock",
    /// The repository has no such remote, version or platform.
    ReleaseUnknown = "release-unknown",
    /// The signed description of a release is invalid or contradicts itself.
    ReleaseInvalid = "release-invalid",
    /// The path of a release is not allowed.
    ReleasePath = "release-path",
    /// A publisher lists a release outside of its paths.
    ReleasePublisher = "release-publisher",
    /// The content has another digest than signed.
    ReleaseDigest = "release-digest",
    /// The content is longer or shorter than signed.
    ReleaseLength = "release-length",
    /// The content unpacks to another size than signed.
    ReleaseUnpacked = "release-unpacked",
    /// A release with this version and other content is published.
    ReleaseExists = "release-exists",
    /// The folder holds no repository.
    SiteMissing = "site-missing",
    /// The folder is not empty.
    SiteOccupied = "site-occupied",
    /// Another process is changing the repository.
    SiteBusy = "site-busy",
    /// The repository's files contradict each other.
    SiteDamaged = "site-damaged",
    /// The repository cannot be read or written.
    SiteFailed = "site-failed",
    /// No key is given, or its file or variable is missing.
    KeyMissing = "key-missing",
    /// A key cannot be read.
    KeyInvalid = "key-invalid",
    /// Other users can read the file of a key.
    KeyExposed = "key-exposed",
    /// The keys given may not sign this.
    KeyUnauthorized = "key-unauthorized",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of a repository, its cache, or a process that fetches.
///
/// `summary` states the event and its place, without control characters or secrets; `advice` states the remedy and may
/// be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{summary}")]
pub struct DeliveryError {
    /// The stable code.
    pub code: ErrorCode,
    /// The event, and the file or address at the end.
    pub summary: String,
    /// The remedy.
    pub advice: Cow<'static, str>,
}

impl DeliveryError {
    /// Makes an error; `summary` may contain foreign text, which is cut and cleaned.
    pub fn new(code: ErrorCode, summary: impl AsRef<str>, advice: impl Into<Cow<'static, str>>) -> Self {
        Self { code, summary: negotiation::text::line(summary.as_ref(), MAX_SUMMARY), advice: advice.into() }
    }
}

/// Maximum length of a summary, in bytes.
const MAX_SUMMARY: usize = 600;
