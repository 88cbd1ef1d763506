//! Values that arrive later.

use serde::{Deserialize, Serialize};

/// A value that is loaded: a state of its own, which an atom can hold.
///
/// ```
/// use shared_store::{Atom, Loadable, Store};
/// static RATES: Atom<Loadable<Vec<f64>>> = Atom::new("rates", Loadable::default);
///
/// let store = Store::new();
/// assert!(store.get(&RATES)?.is_loading());
/// store.set(&RATES, &Loadable::Ready(vec![1.5]))?;
/// store.update(&RATES, |rates| rates.clone().into_stale())?; // while it is loaded again
/// assert_eq!(store.get(&RATES)?.value(), Some(&vec![1.5]));
/// store.update(&RATES, |rates| rates.clone().failed("rates-timeout", "no answer"))?;
/// assert_eq!(store.get(&RATES)?.value(), Some(&vec![1.5]), "a failed refresh keeps the value");
/// # Ok::<(), shared_store::StoreError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "data", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Loadable<T> {
    /// The first value is being loaded.
    #[default]
    Loading,
    /// The value is current.
    Ready(T),
    /// No value could be loaded.
    Failed {
        /// Stable code of the failure.
        code: String,
        /// Cause and remedy.
        message: String,
    },
    /// The value is an earlier one: a newer one is being loaded, or could not be loaded.
    Stale {
        /// The earlier value.
        value: T,
        /// Code and message of the failure, if a load failed.
        failure: Option<(String, String)>,
    },
}

impl<T> Loadable<T> {
    /// Returns the value, current or stale.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Ready(value) | Self::Stale { value, .. } => Some(value),
            Self::Loading | Self::Failed { .. } => None,
        }
    }

    /// Returns `true` until there is a value or a failure.
    pub fn is_loading(&self) -> bool {
        matches!(self, Self::Loading)
    }

    /// Returns `true` for a current value.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    /// Returns code and message of the last load, if it failed.
    pub fn failure(&self) -> Option<(&str, &str)> {
        match self {
            Self::Failed { code, message } | Self::Stale { failure: Some((code, message)), .. } => {
                Some((code, message))
            }
            _ => None,
        }
    }

    /// Returns this state while a newer value is loaded.
    #[must_use]
    pub fn into_stale(self) -> Self {
        match self {
            Self::Ready(value) | Self::Stale { value, .. } => Self::Stale { value, failure: None },
            Self::Loading | Self::Failed { .. } => Self::Loading,
        }
    }

    /// Returns this state after a load that failed; a value stays, as a stale one.
    #[must_use]
    pub fn failed(self, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        match self {
            Self::Ready(value) | Self::Stale { value, .. } => {
                Self::Stale { value, failure: Some((code, message)) }
            }
            Self::Loading | Self::Failed { .. } => Self::Failed { code, message },
        }
    }

    /// Returns the state of the result of a load.
    #[must_use]
    pub fn finished(self, result: Result<T, (String, String)>) -> Self {
        match result {
            Ok(value) => Self::Ready(value),
            Err((code, message)) => self.failed(code, message),
        }
    }

    /// Returns this state with `f` of its value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Loadable<U> {
        match self {
            Self::Loading => Loadable::Loading,
            Self::Ready(value) => Loadable::Ready(f(value)),
            Self::Failed { code, message } => Loadable::Failed { code, message },
            Self::Stale { value, failure } => Loadable::Stale { value: f(value), failure },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_encoding() {
        let failure = Some(("timeout".to_owned(), "no answer".to_owned()));
        for state in [
            Loadable::Loading,
            Loadable::Ready(7),
            Loadable::<u32>::Loading.failed("timeout", "no answer"),
            Loadable::Stale { value: 7, failure: None },
            Loadable::Stale { value: 7, failure },
        ] {
            let text = serde_json::to_string(&state).expect("it has a JSON form");
            assert_eq!(serde_json::from_str::<Loadable<u32>>(&text).expect(&text), state);
        }
    }

    #[test]
    fn failure_without_value_is_not_stale() {
        let failed = Loadable::<u32>::Loading.failed("timeout", "no answer");
        assert_eq!((failed.value(), failed.failure()), (None, Some(("timeout", "no answer"))));
        assert!(failed.into_stale().is_loading());
        assert!(Loadable::Ready(1).finished(Err(("a".into(), "b".into()))).value().is_some());
    }
}
