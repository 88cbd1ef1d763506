//! Participants' copies of shared crates, and their binding for other participants.

use std::sync::{Arc, Weak};

use abi_stable::{StableAbi, type_layout::TypeLayout};
use negotiation::text;
use plugin_api::{
    abi::SharedModule,
    layout,
    shared::{Consumer, Interface, SharedCrate},
};

use super::loader::Image;
use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
};

/// Maximum length of a crate's name or version in a message, in bytes.
const NAMED: usize = 80;

/// A shared crate that is linked into a participant's image.
///
/// A remote's module is read and called only while its library is mapped.
#[derive(Clone)]
pub struct Module {
    /// Key in the share scope.
    pub(crate) key: String,
    /// Version of the copy.
    pub(crate) version: String,
    layout: &'static TypeLayout,
    /// The library that contains it; `None` for the host's.
    image: Option<Weak<Image>>,
    bind: Arc<dyn Fn(Consumer) -> Result<Interface, Failure> + Send + Sync>,
}

impl Module {
    /// Wraps the host's copy of `C`.
    pub(crate) fn of_host<C: SharedCrate>(
        bind: impl Fn(Consumer) -> C::Interface + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: C::NAME.to_owned(),
            version: C::VERSION.to_owned(),
            layout: <C::Interface as StableAbi>::LAYOUT,
            image: None,
            bind: Arc::new(move |consumer| Ok(Interface::new(C::NAME, C::VERSION, bind(consumer)))),
        }
    }

    /// Wraps a copy in a remote's library.
    pub(crate) fn of_remote(module: &SharedModule, image: &Arc<Image>) -> Self {
        let bind = module.bind;
        Self {
            key: module.key.to_string(),
            version: module.version.to_string(),
            layout: module.layout,
            image: Some(Arc::downgrade(image)),
            bind: Arc::new(move |consumer| {
                bind(consumer).into_result().map_err(|error| Failure::from_remote(Stage::Init, &error))
            }),
        }
    }

    /// Binds this copy, which is `provider`'s, for `consumer`.
    ///
    /// # Errors
    /// Fails if the provider's code panics, its library is being unloaded, or it hands over another copy than this:
    /// the data that a consumer keeps in a crate is for the provider that the plan names.
    pub(crate) fn bind(&self, provider: &str, consumer: Consumer) -> Result<Bound, Failure> {
        let image = self.image.as_ref().map(|image| {
            Image::hold(image).ok_or_else(|| {
                let text = format!("the library that provides `{}` was unloaded meanwhile", self.key);
                Failure::new(Stage::Init, Code::SharedMissing, text, "retry")
            })
        });
        // Held before its code is called.
        let image = image.transpose()?;
        let interface = (self.bind)(consumer)?;
        let Self { key, version, layout, .. } = self;
        let other = if interface.key() != key || interface.version() != version {
            format!("`{}` {}", text::line(interface.key(), NAMED), text::line(interface.version(), NAMED))
        } else if let Err(difference) = layout::check(layout, interface.layout()) {
            format!("an interface that differs from the one that it states: {difference}")
        } else {
            return Ok(Bound { interface: interface.provided_by(provider), image });
        };
        let text = format!(
            "`{provider}` was asked for `{key}` {version} and handed over {other}; its copy is not used"
        );
        let advice = "report this to the plugin's author";
        Err(Failure::new(Stage::Init, Code::SharedForged, text, advice))
    }

    /// Checks that an image that was built with this module can use `provided`.
    ///
    /// # Errors
    /// Returns the innermost difference between the two interfaces, as a part of a sentence.
    pub(crate) fn can_use(&self, provided: &Self) -> Result<(), String> {
        layout::check(self.layout, provided.layout)
    }
}

/// A copy that is bound for a consumer.
pub struct Bound {
    /// Interface that the consumer uses.
    pub(crate) interface: Interface,
    /// The provider's library, to be held while the consumer may call it; `None` for the host's copy.
    pub(crate) image: Option<Arc<Image>>,
}
