//! The window's graphics device: allows surfaces as large as it can, and its errors never end the shell.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use eframe::{
    WgpuConfiguration,
    egui_wgpu::{RenderState, WgpuSetup, WgpuSetupCreateNew},
};
use egui::{Context, Vec2, ViewportCommand};

use crate::catalogue::Code;

/// The longest side of the shell's own textures, in pixels: egui's first font atlas is as wide as allowed.
const TEXTURE_SIDE: usize = 8192;

/// The number of errors that are logged; each frame can cause one.
const LOGGED: u32 = 3;

/// Returns the configuration of a device that allows windows as large as the adapter can show; egui requests 8192
/// pixels, which three screens exceed.
pub(super) fn configuration() -> WgpuConfiguration {
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    let describe = Arc::clone(&setup.device_descriptor);
    setup.device_descriptor = Arc::new(move |adapter| {
        let mut descriptor = describe(adapter);
        descriptor.required_limits.max_texture_dimension_2d = adapter.limits().max_texture_dimension_2d;
        descriptor
    });
    WgpuConfiguration { wgpu_setup: WgpuSetup::CreateNew(setup), ..Default::default() }
}

/// Keeps errors of the device from ending the process, as they do by default: the frame is lost, a later one may
/// be shown.
pub(super) fn survive_errors(state: &RenderState) {
    let count = AtomicU32::new(0);
    state.device.on_uncaptured_error(Arc::new(move |error| {
        if count.fetch_add(1, Ordering::Relaxed) < LOGGED {
            tracing::error!(
                code = Code::GraphicsFailed.as_str(),
                "a frame of the window could not be drawn ({}); make the window smaller or close other programs, and \
                 report this if it persists",
                negotiation::text::line(&error.to_string(), 1000)
            );
        }
    }));
}

/// Returns the longest side that the device can show, in pixels.
pub(super) fn longest_side(state: &RenderState) -> f32 {
    state.device.limits().max_texture_dimension_2d as f32
}

/// Shrinks a window that is larger than the device can show: it would stay empty.
pub(super) fn limit_window(ctx: &Context, longest: f32) {
    let scale = ctx.pixels_per_point();
    let size = ctx.input(|input| input.content_rect().size());
    if size.is_finite() && (size * scale).max_elem() > longest {
        ctx.send_viewport_cmd(ViewportCommand::InnerSize(size.min(Vec2::splat((longest / scale).floor()))));
    }
}

/// Limits the shell's own textures to a size that every device supports.
pub(super) fn limit_textures(input: &mut egui::RawInput) {
    input.max_texture_side = input.max_texture_side.map(|side| side.min(TEXTURE_SIDE));
}
