//! Keys of a repository: read from files, variables or standard input, never from a command line.

use std::{
    env, fmt, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    pin::pin,
    task::{Context, Poll, Waker},
};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use tough::{
    schema::{
        decoded::{Decoded, Hex},
        key::Key,
    },
    sign::{Sign, parse_keypair},
};
use zeroize::Zeroizing;

use crate::{
    Secret,
    error::{DeliveryError, ErrorCode},
};

/// Maximum length of a key source, in bytes: several RSA keys.
const MAX_KEYS: u64 = 64 << 10;

/// The beginning of an Ed25519 public key in DER (RFC 8410); the key's 32 bytes follow.
const ED25519_PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The place of one or more keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file in PEM.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// Standard input.
    Input,
}

impl KeySource {
    /// Parses `file:PATH`, `env:NAME`, `-` or a path.
    ///
    /// # Errors
    /// Fails with `key-invalid` for a key itself, which is not repeated in the message.
    pub fn parse(text: &str) -> Result<Self, DeliveryError> {
        let is_key = text.contains("-----BEGIN") || text.contains('\n');
        let is_variable = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match (text.strip_prefix("env:"), text) {
            _ if is_key => Err(invalid(
                "a key itself is given instead of its place",
                "other users can read a command line: give `file:PATH`, `env:NAME` or `-`, and replace this key",
            )),
            (Some(name), _) if is_variable(name) => Ok(Self::Variable(name.to_owned())),
            (Some(_), _) => Err(invalid(
                "the name of a key's variable has other characters than letters, digits and `_`",
                "write the name behind `env:`, without `$`",
            )),
            (None, "-") => Ok(Self::Input),
            (None, path) => Ok(Self::File(path.strip_prefix("file:").unwrap_or(path).into())),
        }
    }

    /// Reads the text, and the error for a private key in it if other users can read the file.
    fn read(&self) -> Result<(Secret, Option<DeliveryError>), DeliveryError> {
        let mut exposed = None;
        let text = match self {
            Self::File(path) => {
                let (text, error) = read_file(path)?;
                exposed = error;
                text
            }
            Self::Variable(name) => match env::var(name) {
                Ok(text) => Zeroizing::new(text),
                Err(env::VarError::NotPresent) => {
                    return Err(self.missing("the variable of the key is not set"));
                }
                Err(env::VarError::NotUnicode(_)) => return Err(self.not_a_key("is not text")),
            },
            Self::Input => {
                let mut text = Zeroizing::new(String::new());
                match io::stdin().lock().take(MAX_KEYS + 1).read_to_string(&mut text) {
                    Ok(_) => text,
                    Err(error) => return Err(self.not_a_key(&format!("cannot be read ({error})"))),
                }
            }
        };
        if text.trim().is_empty() {
            return Err(self.missing("the source of the key is empty"));
        }
        if text.len() as u64 > MAX_KEYS {
            return Err(self.not_a_key("is too long for keys"));
        }
        Ok((Secret::new(text.to_string()), exposed))
    }

    fn missing(&self, text: &str) -> DeliveryError {
        let advice = "name the key's file, the variable that holds it, or `-` for standard input";
        DeliveryError::new(ErrorCode::KeyMissing, format!("{text}: {self}"), advice)
    }

    fn not_a_key(&self, text: &str) -> DeliveryError {
        let advice = "give a private key in PEM, as `pulse repo init` or `openssl genpkey` writes it";
        DeliveryError::new(ErrorCode::KeyInvalid, format!("the source of the key {text}: {self}"), advice)
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::Input => f.write_str("standard input"),
        }
    }
}

fn invalid(text: &str, advice: &'static str) -> DeliveryError {
    DeliveryError::new(ErrorCode::KeyInvalid, text, advice)
}

/// Reads the file of a key, and the error for a private one if other users can read it.
fn read_file(path: &Path) -> Result<(Zeroizing<String>, Option<DeliveryError>), DeliveryError> {
    let source = KeySource::File(path.to_owned());
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            source.missing("the file of the key is missing")
        }
        _ => source.not_a_key(&format!("cannot be read ({error})")),
    };
    // Before it is opened, because a pipe would wait for its writer.
    if !fs::metadata(path).map_err(|error| unreadable(&error))?.is_file() {
        let text = format!("the key is not in a regular file: {source}");
        return Err(DeliveryError::new(ErrorCode::KeyInvalid, text, "use `-` to pass a key through a pipe"));
    }
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    let exposed = exposure(&file, &source).map_err(|error| unreadable(&error))?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_KEYS + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok((text, exposed))
}

/// Returns the error for a private key in this file if other users can read or change it.
#[cfg(unix)]
fn exposure(file: &fs::File, source: &KeySource) -> io::Result<Option<DeliveryError>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    let text = format!("other users may read the key (mode {:o}): {source}", mode & 0o777);
    let advice = "run `chmod 600` on it, and replace the key if the machine has other users";
    let error = || DeliveryError::new(ErrorCode::KeyExposed, text, advice);
    Ok((mode & 0o077 != 0).then(error))
}

/// Returns `None`: the folders of a user are private there.
#[cfg(not(unix))]
fn exposure(_file: &fs::File, _source: &KeySource) -> io::Result<Option<DeliveryError>> {
    Ok(None)
}

/// The identifier of a key, as The Update Framework computes it.
pub(crate) type KeyId = Decoded<Hex>;

/// Returns an identifier in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The public half of a key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    pub(crate) id: KeyId,
    pub(crate) key: Key,
}

impl PublicKey {
    fn new(key: Key) -> Option<Self> {
        Some(Self { id: key.key_id().ok()?, key })
    }

    /// Returns the identifier, in hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// Parses a public key in PEM.
    fn parse(pem: &pem::Pem) -> Option<Self> {
        let key = match pem.contents().strip_prefix(&ED25519_PUBLIC) {
            Some(bytes) if bytes.len() == 32 => hex(bytes).parse(),
            _ => pem::encode(pem).parse(),
        };
        // The identifier is that of the text, so that line breaks would make another key of it.
        let mut key = key.ok()?;
        match &mut key {
            Key::Rsa { keyval, .. } => keyval.public = keyval.public.to_vec().into(),
            Key::Ecdsa { keyval, .. } => keyval.public = keyval.public.to_vec().into(),
            _ => {}
        }
        Self::new(key)
    }
}

/// A key that signs.
pub(crate) struct SigningKey {
    pub(crate) public: PublicKey,
    pair: Box<dyn Sign>,
}

impl SigningKey {
    /// Parses a private key: PKCS#8 with an Ed25519 or P-256 key, or an RSA key.
    fn parse(pem: &pem::Pem) -> Option<Self> {
        let pair: Box<dyn Sign> = match parse_keypair(pem.contents()) {
            Ok(pair) => Box::new(pair),
            // The library reads RSA keys in PEM, the others without.
            Err(_) => Box::new(parse_keypair(Zeroizing::new(pem::encode(pem)).as_bytes()).ok()?),
        };
        Some(Self { public: PublicKey::new(pair.tuf_key())?, pair })
    }

    /// Signs `message`; `None` if the key does not work.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        // A key in memory signs without waiting.
        match pin!(self.pair.sign(message, &random)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(signature) => signature.ok(),
            Poll::Pending => None,
        }
    }
}

/// Private keys, and public ones where those suffice.
#[derive(Default)]
pub struct KeyRing {
    pub(crate) private: Vec<SigningKey>,
    pub(crate) public: Vec<PublicKey>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys().map(PublicKey::id)).finish()
    }
}

impl KeyRing {
    /// Reads private keys from all sources; each may hold several.
    ///
    /// # Errors
    /// Fails with `key-missing` without a source, for a missing file, an unset variable and an empty source; with
    /// `key-exposed` if other users can read the file; with `key-invalid` for anything else that is no private key.
    pub fn read(sources: &[KeySource]) -> Result<Self, DeliveryError> {
        let ring = Self::read_any(sources)?;
        match ring.public.first() {
            None => Ok(ring),
            Some(key) => Err(invalid(
                &format!("the public key {} is given, which cannot sign", short(&key.id)),
                "give the private key, as `pulse repo init` or `openssl genpkey` writes it",
            )),
        }
    }

    /// Reads private and public keys from all sources, for keys that a repository shall trust.
    ///
    /// # Errors
    /// Fails as [`Self::read`] does, and accepts public keys too.
    pub fn read_any(sources: &[KeySource]) -> Result<Self, DeliveryError> {
        let mut ring = Self::default();
        if sources.is_empty() {
            let advice = "name it with `--key file:PATH`, `--key env:NAME` or `--key -`";
            return Err(DeliveryError::new(ErrorCode::KeyMissing, "no key is given", advice));
        }
        for source in sources {
            let (text, exposed) = source.read()?;
            let blocks = pem::parse_many(text.expose()).map_err(|_| source.not_a_key("is not in PEM"))?;
            for block in &blocks {
                if let Some(key) = SigningKey::parse(block) {
                    if let Some(error) = exposed {
                        return Err(error);
                    }
                    ring.private.push(key);
                } else if let Some(key) = PublicKey::parse(block) {
                    ring.public.push(key);
                } else {
                    return Err(source.not_a_key("holds something else than a key"));
                }
            }
            if blocks.is_empty() {
                return Err(source.not_a_key("is not in PEM"));
            }
        }
        Ok(ring)
    }

    /// Generates an Ed25519 key, and writes it to a new file that only this user can read. Returns the file as a
    /// source.
    ///
    /// # Errors
    /// Fails with `site-occupied` if the file exists, and with `site-failed` if it cannot be written.
    pub fn generate(path: &Path) -> Result<KeySource, DeliveryError> {
        generate(path)?;
        Ok(KeySource::File(path.to_owned()))
    }

    /// Returns every key's public half.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.private.iter().map(|key| &key.public).chain(&self.public)
    }

    /// Returns the private keys among `ids`, each once.
    pub(crate) fn signers(&self, ids: &[KeyId]) -> Vec<&SigningKey> {
        let mut found: Vec<&SigningKey> = Vec::new();
        for key in self.private.iter().filter(|key| ids.contains(&key.public.id)) {
            if found.iter().all(|other| other.public.id != key.public.id) {
                found.push(key);
            }
        }
        found
    }

    /// Adds the keys of another ring.
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.private.extend(other.private);
        self.public.extend(other.public);
        self
    }
}

/// Returns the first digits of an identifier, which are enough to compare by eye.
pub(crate) fn short(id: &[u8]) -> String {
    let mut text = hex(id);
    text.truncate(12);
    text
}

/// Generates an Ed25519 key, and writes it to a new file that only this user can read.
///
/// # Errors
/// Fails with `site-occupied` if the file exists, and with `site-failed` if it cannot be written.
pub(crate) fn generate(path: &Path) -> Result<SigningKey, DeliveryError> {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => DeliveryError::new(
            ErrorCode::SiteOccupied,
            format!("a key exists already, and is never replaced: {}", path.display()),
            "name another place for keys; give this key with `--new`, or remove it if no repository uses it",
        ),
        _ => DeliveryError::new(
            ErrorCode::SiteFailed,
            format!("the key cannot be written ({error}): {}", path.display()),
            "name a folder for the keys that you can write to",
        ),
    };
    let unable = || failed(&io::Error::other("the system has no random numbers"));
    let random = SystemRandom::new();
    // Version 1, which OpenSSL reads.
    let document = Ed25519KeyPair::generate_pkcs8v1(&random).map_err(|_| unable())?;
    let block = pem::Pem::new("PRIVATE KEY", document.as_ref());
    let key = SigningKey::parse(&block).ok_or_else(unable)?;
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = Zeroizing::new(pem::encode_config(&block, config));
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| failed(&error))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half of a key is of no use, and would be in the way of the next attempt.
        let _ = fs::remove_file(path);
        failed(&error)
    })?;
    Ok(key)
}

#[cfg(test)]
mod tests;
