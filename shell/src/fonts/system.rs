//! Fonts of the system: one provider for the shell and all remotes.
//!
//! The first search takes hundreds of milliseconds, and each new script reads a file.
//! A remote therefore calls [`find`] on its own thread and waits there. The window's thread never waits (`provide`):
//! its text is drawn without the characters, and again when a thread has found them.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, LazyLock},
};

use abi_stable::std_types::RSlice;
use egui::{Context, FallbackRequest, FontData, FontFamily, FontInsert, FontProvider};
use egui_system_font_provider::SystemFontProvider;
use parking_lot::Mutex;
use plugin_api::{
    abi::{
        Font,
        families::{MONOSPACE, PROPORTIONAL, STRONG},
    },
    theme,
};

use crate::spawn::spawn;

/// The system's fonts, which are listed when the first character is missing.
static SYSTEM: LazyLock<SystemFontProvider> = LazyLock::new(SystemFontProvider::new);

/// Files that were handed out. They stay mapped while the process runs, because a remote may use them at any time.
/// Each is mapped once, and not read into memory, so their number is limited by the system's fonts.
static HANDED_OUT: Mutex<Vec<&'static [u8]>> = Mutex::new(Vec::new());

/// Finds a font of the system with the first character of `cluster`, for these `families`.
///
/// Waits for the system. `[any thread but the window's]`
pub fn find(cluster: &str, families: u32) -> Option<Font> {
    let family = if families == MONOSPACE { FontFamily::Monospace } else { FontFamily::Proportional };
    let found = SYSTEM.font_for(&FallbackRequest { cluster, family: &family })?;
    let data = handed_out(&found.data);
    // The address makes the name unique, because faces of one family come from several files.
    let name = format!("{}:{:x}", found.name, data.as_ptr().addr());
    Some(Font {
        name: name.into(),
        data: RSlice::from_slice(data),
        index: found.data.index,
        families: families & (PROPORTIONAL | MONOSPACE | STRONG),
        scale: 1.0,
    })
}

/// Returns the bytes of a font, and keeps them permanently.
fn handed_out(font: &FontData) -> &'static [u8] {
    let mut handed_out = HANDED_OUT.lock();
    let bytes = font.bytes();
    if let Some(known) = handed_out.iter().find(|known| std::ptr::eq(**known, bytes)) {
        return known;
    }
    let kept: &'static FontData = Box::leak(Box::new(font.clone()));
    handed_out.push(kept.bytes());
    kept.bytes()
}

/// Makes `ctx` search the system's fonts for missing characters.
pub(super) fn provide(ctx: &Context) {
    let later = Later::default();
    ctx.set_font_providers(vec![Arc::new(later.clone())]);
    // At the end of a pass, because a provider does not get the context.
    ctx.on_end_pass("system fonts", Arc::new(move |ui| later.search(ui.ctx())));
}

/// Provider of the system's fonts for the window's own text, which never waits.
#[derive(Clone, Default)]
struct Later(Arc<Mutex<SearchState>>);

/// Results and requests for characters that the window's fonts lack.
#[derive(Default)]
struct SearchState {
    found: HashMap<(FontFamily, char), Option<Font>>,
    wanted: Vec<(FontFamily, String)>,
    searching: bool,
}

impl FontProvider for Later {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let first = request.cluster.chars().next()?;
        let mut state = self.0.lock();
        if let Some(found) = state.found.get(&(request.family.clone(), first)) {
            return found.as_ref().map(theme::found_font);
        }
        state.wanted.push((request.family.clone(), request.cluster.to_owned()));
        None
    }
}

impl Later {
    /// Searches fonts for the last pass off-thread, and then has it drawn again.
    fn search(&self, ctx: &Context) {
        let mut state = self.0.lock();
        if state.searching || state.wanted.is_empty() {
            return;
        }
        state.searching = true;
        let wanted = mem::take(&mut state.wanted);
        drop(state);
        let (ctx, later) = (ctx.clone(), self.clone());
        let search = move || {
            let found = wanted.into_iter().filter_map(|(family, cluster)| {
                let font = find(&cluster, theme::families_of(&family));
                Some(((family, cluster.chars().next()?), font))
            });
            let found: Vec<_> = found.collect();
            let any = found.iter().any(|(_, font)| font.is_some());
            let mut state = later.0.lock();
            state.searching = false;
            state.found.extend(found);
            drop(state);
            if any {
                // egui caches missing characters until its providers change.
                ctx.set_font_providers(vec![Arc::new(later)]);
            }
        };
        // Without a thread the characters stay boxes until others are missing.
        if spawn("fonts", "look for a font", search).is_err() {
            self.0.lock().searching = false;
        }
    }
}

#[cfg(test)]
mod tests;
