//! Characters that none of the host's fonts has.

use abi_stable::std_types::RStr;
use egui::{FallbackRequest, FontInsert, FontProvider};

use crate::{abi::Services, theme};

/// Asks the host for a font of the system, on the remote's thread; egui remembers what it was told.
pub(super) struct HostFonts(pub(super) Services);

impl FontProvider for HostFonts {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let families = theme::families_of(request.family);
        let found = self.0.font(RStr::from_str(request.cluster), families).into_option()?;
        Some(theme::found_font(&found))
    }
}
