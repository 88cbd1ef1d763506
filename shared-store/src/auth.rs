//! The signed-in user: the first atoms.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Atom;

/// The signed-in user. The host writes it; remotes that ask for it read it.
pub static AUTH: Atom<Auth> = Atom::new("auth", Auth::default);

/// The signed-in user's token, a secret; granted separately from [`AUTH`].
pub static AUTH_TOKEN: Atom<Option<Token>> = Atom::<Option<Token>>::new("auth.token", || None).secret();

/// The state of sign-in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// The signed-in user.
    pub user: Option<User>,
    /// `true` while a user is signed in.
    pub is_authenticated: bool,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Stable identity.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Displayed role.
    pub role: String,
    /// E-mail address, if the identity provider states it.
    pub email: Option<String>,
}

/// A bearer token. Its `Debug` form does not show it, and its memory is overwritten when it is dropped.
///
/// ```
/// # use shared_store::Token;
/// assert_eq!(format!("{:?}", Token::new("s3cret")), "Token(…)");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Creates a token with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself; not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
