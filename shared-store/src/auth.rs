//! Who is signed in: the first atoms.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Atom;

/// Who is signed in. Written by the host, read by remotes that ask for it.
pub static AUTH: Atom<Auth> = Atom::new("auth", Auth::default);

/// The signed-in user's token; granted apart from [`AUTH`].
pub static AUTH_TOKEN: Atom<Option<Token>> = Atom::new("auth.token", || None);

/// Who is signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// The user, while somebody is signed in.
    pub user: Option<User>,
    /// Whether somebody is signed in.
    pub is_authenticated: bool,
}

/// A person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Stable identity.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// Role to show.
    pub role: String,
    /// Address, where the provider tells it.
    pub email: Option<String>,
}

/// A bearer token. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
