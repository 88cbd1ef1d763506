//! Fonts of the system for characters that the host's fonts lack.

use abi_stable::std_types::RStr;
use egui::{FallbackRequest, FontInsert, FontProvider};

use crate::{abi::Services, theme};

/// Provider that asks the host for a font of the system, on the remote's thread; egui caches the answers.
pub(super) struct HostFonts(pub(super) Services);

impl FontProvider for HostFonts {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let families = theme::families_of(request.family);
        let found = self.0.font(RStr::from_str(request.cluster), families).into_option()?;
        Some(theme::found_font(&found))
    }
}
