//! The list of Pulse's codes.

use std::fmt;

use negotiation::{manifest::ManifestError, resolver};
use plugin_api::shared::InstallError;

/// Declares [`Code`] from its variants and their words.
macro_rules! codes {
    ($($variant:ident = $word:literal),+ $(,)?) => {
        /// A code that Pulse reports; `docs/codes.md` explains it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $word, "`.")] $variant),+
        }

        impl Code {
            /// Every code, by word.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word, in kebab case, which never changes its meaning.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Returns the code with this word.
            pub fn find(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

codes! {
    AbiLayout = "abi-layout", AbiRevision = "abi-revision", AliasDuplicate = "alias-duplicate",
    ArchiveIndexDamaged = "archive-index-damaged", ArchiveUnavailable = "archive-unavailable",
    AtomConflict = "atom-conflict", AtomCycle = "atom-cycle", AtomDecode = "atom-decode",
    AtomEncode = "atom-encode", AtomFileDamaged = "atom-file-damaged", AtomFileFailed = "atom-file-failed",
    AtomFileNewer = "atom-file-newer", AtomNotGranted = "atom-not-granted", AtomPanicked = "atom-panicked",
    AtomPath = "atom-path", AtomRefused = "atom-refused", AtomSecret = "atom-secret",
    AuthConfigInvalid = "auth-config-invalid", AuthForbidden = "auth-forbidden",
    AuthMalformed = "auth-malformed", AuthNotFound = "auth-not-found",
    AuthProfileInvalid = "auth-profile-invalid", AuthProfileIo = "auth-profile-io",
    AuthRandomUnavailable = "auth-random-unavailable", AuthRateLimited = "auth-rate-limited",
    AuthRedirected = "auth-redirected", AuthRejected = "auth-rejected", AuthServerError = "auth-server-error",
    AuthTimeout = "auth-timeout", AuthTls = "auth-tls", AuthTokenInClear = "auth-token-in-clear",
    AuthTokenInvalid = "auth-token-invalid", AuthTokenMissing = "auth-token-missing",
    AuthTokenWithheld = "auth-token-withheld", AuthUnauthorized = "auth-unauthorized",
    AuthUnreachable = "auth-unreachable", AuthWorkerFailed = "auth-worker-failed", CheckLost = "check-lost",
    ChoicesDamaged = "choices-damaged", ChoicesUnreadable = "choices-unreadable",
    ChoicesUnwritable = "choices-unwritable", ClipboardRefused = "clipboard-refused",
    CodeUnknown = "code-unknown", ConfigMissing = "config-missing", ConfigNoHome = "config-no-home",
    ConfigUnreadable = "config-unreadable", ConfigUntrusted = "config-untrusted", Conflict = "conflict",
    CopyFailed = "copy-failed", CrateUnknown = "crate-unknown", DataDir = "data-dir", DataInUse = "data-in-use",
    DataNotTaken = "data-not-taken", DecisionsUnknown = "decisions-unknown",
    DeliveryCacheFailed = "delivery-cache-failed", DeliveryCacheUnsafe = "delivery-cache-unsafe",
    DeliveryCancelled = "delivery-cancelled", DeliveryListDamaged = "delivery-list-damaged",
    DeliveryListUnreadable = "delivery-list-unreadable", DeliveryProcessFailed = "delivery-process-failed",
    DeliverySettingInvalid = "delivery-setting-invalid", DescriptorMismatch = "descriptor-mismatch",
    DevInvalid = "dev-invalid", DevNotLoopback = "dev-not-loopback", DigestMismatch = "digest-mismatch",
    DragRefused = "drag-refused", DropFolderSilent = "drop-folder-silent", DuplicateName = "duplicate-name",
    ExposeUnknown = "expose-unknown", FolderUnreadable = "folder-unreadable", FrameFailed = "frame-failed",
    FrameHung = "frame-hung", FrameInvalid = "frame-invalid", FrameKept = "frame-kept",
    FramePanicked = "frame-panicked", FrameQuota = "frame-quota", FrameTexture = "frame-texture",
    GenerationDamaged = "generation-damaged", GenerationNoneOlder = "generation-none-older",
    GenerationUnknown = "generation-unknown", GraphicsFailed = "graphics-failed",
    HostSharedUnknown = "host-shared-unknown", HostSharedVersion = "host-shared-version",
    HostUnsatisfied = "host-unsatisfied", InitFailed = "init-failed", InitHung = "init-hung",
    InitPanicked = "init-panicked", InspectionNotLocal = "inspection-not-local",
    InstallFailed = "install-failed", InstallOccupied = "install-occupied", KeyExposed = "key-exposed",
    KeyInvalid = "key-invalid", KeyMissing = "key-missing", KeyUnauthorized = "key-unauthorized",
    LibraryDamaged = "library-damaged", LibraryDescriptors = "library-descriptors",
    LibraryLent = "library-lent", LibraryMapped = "library-mapped", LibraryMemory = "library-memory",
    LibraryMissing = "library-missing", LibraryNoexec = "library-noexec",
    LibraryNotALibrary = "library-not-a-library", LibraryNotAPlugin = "library-not-a-plugin",
    LibraryOtherPlatform = "library-other-platform", LibraryPinned = "library-pinned",
    LibraryRefused = "library-refused", LibrarySignals = "library-signals", LibrarySymbol = "library-symbol",
    LibraryThreads = "library-threads", LibraryTooLarge = "library-too-large",
    LibraryUnreadable = "library-unreadable", LibraryVersion = "library-version", LinkFailed = "link-failed",
    LinkRefused = "link-refused", LoadHung = "load-hung", LocationUnsupported = "location-unsupported",
    LockUnsupported = "lock-unsupported", LogFilterInvalid = "log-filter-invalid",
    LogSuppressed = "log-suppressed", ManifestInvalid = "manifest-invalid",
    ManifestMissing = "manifest-missing", ManifestName = "manifest-name", ManifestNotJson = "manifest-not-json",
    ManifestOfHost = "manifest-of-host", ManifestTooLarge = "manifest-too-large",
    ManifestUnreadable = "manifest-unreadable", ManifestVersion = "manifest-version",
    NameReserved = "name-reserved", NewFailed = "new-failed", NewHung = "new-hung",
    NewPanicked = "new-panicked", NoProvider = "no-provider", NoThread = "no-thread",
    NotResponding = "not-responding", NotShared = "not-shared", NotSingleton = "not-singleton",
    Output = "output", OwnCopy = "own-copy", PanicAbort = "panic-abort", PasteRefused = "paste-refused",
    PeersFolderUnsafe = "peers-folder-unsafe", PeersUnavailable = "peers-unavailable",
    PictureTooLarge = "picture-too-large", PreflightCancelled = "preflight-cancelled",
    PreflightCrashed = "preflight-crashed", PreflightExited = "preflight-exited",
    PreflightForged = "preflight-forged", PreflightHung = "preflight-hung",
    PreflightProvider = "preflight-provider", PreflightUnavailable = "preflight-unavailable",
    ProviderNotGranted = "provider-not-granted", ProviderRefused = "provider-refused",
    ProviderSlow = "provider-slow", RangeAlternatives = "range-alternatives",
    RangeBareVersion = "range-bare-version", RangeSyntax = "range-syntax", RangeTooLong = "range-too-long",
    ReleaseDigest = "release-digest", ReleaseExists = "release-exists", ReleaseInvalid = "release-invalid",
    ReleaseLength = "release-length", ReleaseNotFetched = "release-not-fetched", ReleasePath = "release-path",
    ReleasePublisher = "release-publisher", ReleaseUnknown = "release-unknown",
    ReleaseUnpacked = "release-unpacked", ReleaseWithdrawn = "release-withdrawn",
    RemoteDisabled = "remote-disabled", RemoteFailing = "remote-failing",
    RemoteNotEnabled = "remote-not-enabled", RemoteUnknown = "remote-unknown",
    RemoteUntrusted = "remote-untrusted", RepoClock = "repo-clock", RepoDenied = "repo-denied",
    RepoExpired = "repo-expired", RepoKeyRevoked = "repo-key-revoked", RepoMixed = "repo-mixed",
    RepoNotFound = "repo-not-found", RepoNotMetadata = "repo-not-metadata", RepoRedirected = "repo-redirected",
    RepoRollback = "repo-rollback", RepoRootMismatch = "repo-root-mismatch",
    RepoServerError = "repo-server-error", RepoSignature = "repo-signature", RepoThreshold = "repo-threshold",
    RepoTimeout = "repo-timeout", RepoTls = "repo-tls", RepoTooLarge = "repo-too-large",
    RepoTooSlow = "repo-too-slow", RepoUnreachable = "repo-unreachable", RepoUntrusted = "repo-untrusted",
    RestoreFailed = "restore-failed", RestorePanicked = "restore-panicked", RetireFailed = "retire-failed",
    RetireHung = "retire-hung", RetirePanicked = "retire-panicked", SafeMode = "safe-mode",
    SaveFailed = "save-failed", SaveHung = "save-hung", SavePanicked = "save-panicked",
    ScopeUnknown = "scope-unknown", SeparateScopes = "separate-scopes", ServeAddress = "serve-address",
    SessionDamaged = "session-damaged", SessionUnwritable = "session-unwritable",
    SharedForged = "shared-forged", SharedKeySimilar = "shared-key-similar", SharedLayout = "shared-layout",
    SharedMissing = "shared-missing", SharedUsed = "shared-used", SignalsUnavailable = "signals-unavailable",
    SiteBusy = "site-busy", SiteDamaged = "site-damaged", SiteFailed = "site-failed",
    SiteMissing = "site-missing", SiteOccupied = "site-occupied", StateDamaged = "state-damaged",
    StateDropped = "state-dropped", StateTooLarge = "state-too-large", StateUnwritable = "state-unwritable",
    StaticTls = "static-tls", StoreBusy = "store-busy", StoreClosed = "store-closed",
    StoreNotShared = "store-not-shared", SurfaceFailing = "surface-failing",
    TreeUnreadable = "tree-unreadable", UsedBeforeNegotiation = "used-before-negotiation",
    UserActionMissing = "user-action-missing", VariableFormer = "variable-former",
    VersionMismatch = "version-mismatch", VersionMismatchStrict = "version-mismatch-strict",
    WatchLimited = "watch-limited", WindowGone = "window-gone", WindowLibrary = "window-library",
    WindowNoDisplay = "window-no-display", WindowRefused = "window-refused", WindowScale = "window-scale",
    WindowSlow = "window-slow", WindowStateUnreadable = "window-state-unreadable",
    WindowStateUnwritable = "window-state-unwritable", WindowWayland = "window-wayland",
    WindowWaylandStale = "window-wayland-stale",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<resolver::DiagnosticCode> for Code {
    fn from(code: resolver::DiagnosticCode) -> Self {
        match code {
            resolver::DiagnosticCode::Conflict => Self::Conflict,
            resolver::DiagnosticCode::DuplicateName => Self::DuplicateName,
            resolver::DiagnosticCode::HostUnsatisfied => Self::HostUnsatisfied,
            resolver::DiagnosticCode::NameReserved => Self::NameReserved,
            resolver::DiagnosticCode::NoProvider => Self::NoProvider,
            resolver::DiagnosticCode::NotShared => Self::NotShared,
            resolver::DiagnosticCode::NotSingleton => Self::NotSingleton,
            resolver::DiagnosticCode::OwnCopy => Self::OwnCopy,
            resolver::DiagnosticCode::ProviderNotGranted => Self::ProviderNotGranted,
            resolver::DiagnosticCode::ProviderRefused => Self::ProviderRefused,
            resolver::DiagnosticCode::SeparateScopes => Self::SeparateScopes,
            resolver::DiagnosticCode::SharedKeySimilar => Self::SharedKeySimilar,
            resolver::DiagnosticCode::VersionMismatch => Self::VersionMismatch,
            resolver::DiagnosticCode::VersionMismatchStrict => Self::VersionMismatchStrict,
        }
    }
}

impl From<delivery::ErrorCode> for Code {
    fn from(code: delivery::ErrorCode) -> Self {
        match code {
            delivery::ErrorCode::DeliveryCancelled => Self::DeliveryCancelled,
            delivery::ErrorCode::DeliveryCacheFailed => Self::DeliveryCacheFailed,
            delivery::ErrorCode::DeliveryCacheUnsafe => Self::DeliveryCacheUnsafe,
            delivery::ErrorCode::DeliveryProcessFailed => Self::DeliveryProcessFailed,
            delivery::ErrorCode::DeliverySettingInvalid => Self::DeliverySettingInvalid,
            delivery::ErrorCode::DevNotLoopback => Self::DevNotLoopback,
            delivery::ErrorCode::DevInvalid => Self::DevInvalid,
            delivery::ErrorCode::ServeAddress => Self::ServeAddress,
            delivery::ErrorCode::RepoUntrusted => Self::RepoUntrusted,
            delivery::ErrorCode::RepoRootMismatch => Self::RepoRootMismatch,
            delivery::ErrorCode::RepoUnreachable => Self::RepoUnreachable,
            delivery::ErrorCode::RepoTimeout => Self::RepoTimeout,
            delivery::ErrorCode::RepoTooSlow => Self::RepoTooSlow,
            delivery::ErrorCode::RepoServerError => Self::RepoServerError,
            delivery::ErrorCode::RepoNotFound => Self::RepoNotFound,
            delivery::ErrorCode::RepoDenied => Self::RepoDenied,
            delivery::ErrorCode::RepoRedirected => Self::RepoRedirected,
            delivery::ErrorCode::RepoTls => Self::RepoTls,
            delivery::ErrorCode::RepoNotMetadata => Self::RepoNotMetadata,
            delivery::ErrorCode::RepoTooLarge => Self::RepoTooLarge,
            delivery::ErrorCode::RepoRollback => Self::RepoRollback,
            delivery::ErrorCode::RepoExpired => Self::RepoExpired,
            delivery::ErrorCode::RepoMixed => Self::RepoMixed,
            delivery::ErrorCode::RepoSignature => Self::RepoSignature,
            delivery::ErrorCode::RepoThreshold => Self::RepoThreshold,
            delivery::ErrorCode::RepoKeyRevoked => Self::RepoKeyRevoked,
            delivery::ErrorCode::RepoClock => Self::RepoClock,
            delivery::ErrorCode::ReleaseUnknown => Self::ReleaseUnknown,
            delivery::ErrorCode::ReleaseInvalid => Self::ReleaseInvalid,
            delivery::ErrorCode::ReleasePath => Self::ReleasePath,
            delivery::ErrorCode::ReleasePublisher => Self::ReleasePublisher,
            delivery::ErrorCode::ReleaseDigest => Self::ReleaseDigest,
            delivery::ErrorCode::ReleaseLength => Self::ReleaseLength,
            delivery::ErrorCode::ReleaseUnpacked => Self::ReleaseUnpacked,
            delivery::ErrorCode::ReleaseExists => Self::ReleaseExists,
            delivery::ErrorCode::SiteMissing => Self::SiteMissing,
            delivery::ErrorCode::SiteOccupied => Self::SiteOccupied,
            delivery::ErrorCode::SiteBusy => Self::SiteBusy,
            delivery::ErrorCode::SiteDamaged => Self::SiteDamaged,
            delivery::ErrorCode::SiteFailed => Self::SiteFailed,
            delivery::ErrorCode::KeyMissing => Self::KeyMissing,
            delivery::ErrorCode::KeyInvalid => Self::KeyInvalid,
            delivery::ErrorCode::KeyExposed => Self::KeyExposed,
            delivery::ErrorCode::KeyUnauthorized => Self::KeyUnauthorized,
        }
    }
}

impl From<&ManifestError> for Code {
    fn from(error: &ManifestError) -> Self {
        match error {
            ManifestError::TooLarge { .. } => Self::ManifestTooLarge,
            ManifestError::NotJson { .. } => Self::ManifestNotJson,
            ManifestError::Version { .. } => Self::ManifestVersion,
            ManifestError::Invalid { .. } => Self::ManifestInvalid,
        }
    }
}

impl From<&InstallError> for Code {
    fn from(error: &InstallError) -> Self {
        // The contract may get further variants; each has a word of its own.
        Self::find(error.code()).unwrap_or(Self::InitFailed)
    }
}
