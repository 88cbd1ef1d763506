//! Fonts of the system: one provider for the shell and all remotes.
//!
//! The first look at what is installed takes hundreds of milliseconds, and each new script reads a file.
//! Hence a remote asks on its own thread ([`find`]) and waits there; the window's thread never does
//! (`provide`): its text is drawn once without the characters, and again when a thread has found them.

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

/// Made, and the system asked, when the first character is missing.
static SYSTEM: LazyLock<SystemFontProvider> = LazyLock::new(SystemFontProvider::new);

/// Files that were given out. They stay for as long as the process runs, because a remote may use them at any time:
/// once each, mapped into memory rather than read, and no more than the system has fonts.
static GIVEN: Mutex<Vec<&'static [u8]>> = Mutex::new(Vec::new());

/// A font of the system with the first character of `cluster`; `families` are those that are to have it.
///
/// Waits for the system. `[any thread but the window's]`
pub fn find(cluster: &str, families: u32) -> Option<Font> {
    let family = if families == MONOSPACE { FontFamily::Monospace } else { FontFamily::Proportional };
    let found = SYSTEM.font_for(&FallbackRequest { cluster, family: &family })?;
    let data = given(&found.data);
    // Faces of one family come from several files.
    let name = format!("{}:{:x}", found.name, data.as_ptr().addr());
    Some(Font {
        name: name.into(),
        data: RSlice::from_slice(data),
        index: found.data.index,
        families: families & (PROPORTIONAL | MONOSPACE | STRONG),
        scale: 1.0,
    })
}

/// The bytes of a font, from now on for ever.
fn given(font: &FontData) -> &'static [u8] {
    let mut given = GIVEN.lock();
    let bytes = font.bytes();
    if let Some(known) = given.iter().find(|known| std::ptr::eq(**known, bytes)) {
        return known;
    }
    let kept: &'static FontData = Box::leak(Box::new(font.clone()));
    given.push(kept.bytes());
    kept.bytes()
}

/// Finds fonts of the system for the text of `ctx` from now on.
pub(super) fn provide(ctx: &Context) {
    let later = Later::default();
    ctx.set_font_providers(vec![Arc::new(later.clone())]);
    // Here, because a provider is not told who asks.
    ctx.on_end_pass("system fonts", Arc::new(move |ui| later.search(ui.ctx())));
}

/// The fonts of the system for the window's own text, without ever waiting for them.
#[derive(Clone, Default)]
struct Later(Arc<Mutex<Asked>>);

/// What is known of characters that the window's fonts lack.
#[derive(Default)]
struct Asked {
    found: HashMap<(FontFamily, char), Option<Font>>,
    wanted: Vec<(FontFamily, String)>,
    searching: bool,
}

impl FontProvider for Later {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let first = request.cluster.chars().next()?;
        let mut asked = self.0.lock();
        if let Some(found) = asked.found.get(&(request.family.clone(), first)) {
            return found.as_ref().map(theme::found_font);
        }
        asked.wanted.push((request.family.clone(), request.cluster.to_owned()));
        None
    }
}

impl Later {
    /// Looks for what the pass wanted, on a thread of its own, and has it drawn again.
    fn search(&self, ctx: &Context) {
        let mut asked = self.0.lock();
        if asked.searching || asked.wanted.is_empty() {
            return;
        }
        asked.searching = true;
        let wanted = mem::take(&mut asked.wanted);
        drop(asked);
        let (ctx, later) = (ctx.clone(), self.clone());
        let search = move || {
            let found = wanted.into_iter().filter_map(|(family, cluster)| {
                let font = find(&cluster, theme::families_of(&family));
                Some(((family, cluster.chars().next()?), font))
            });
            let found: Vec<_> = found.collect();
            let any = found.iter().any(|(_, font)| font.is_some());
            let mut asked = later.0.lock();
            asked.searching = false;
            asked.found.extend(found);
            drop(asked);
            if any {
                // egui remembers what it has not found until its providers change.
                ctx.set_font_providers(vec![Arc::new(later)]);
            }
        };
        // Without a thread the characters stay boxes until other ones are missing.
        if spawn("fonts", "look for a font", search).is_err() {
            self.0.lock().searching = false;
        }
    }
}

#[cfg(test)]
mod tests;
