//! egui's memory of a surface, for its next generation: scroll offsets, open headers, places of windows, the text
//! cursor, and the focus.
//!
//! egui stores every value under a hash of its id and of its type's `TypeId`, which differs between compilers.
//! Therefore the names of egui's types are saved with the values, and a reader replaces the writer's `TypeId`s by its
//! own. Values of types without a name are restored unchanged, and egui drops those that it cannot decode.

use std::{collections::BTreeMap, sync::OnceLock};

use egui::{
    Context, Id, Memory, PanelState, Rect, collapsing_header::CollapsingState, scroll_area,
    text_edit::TextEditState, util::IdTypeMap,
};
use serde::{Deserialize, Serialize};

/// Limit of the memory that is carried over, in bytes; far more than the user's actions produce.
const LIMIT: usize = 1 << 20;

/// The saved memory of a surface's egui, ready to be restored.
pub(super) struct SavedMemory {
    memory: Memory,
    scrolled: Vec<Id>,
    focus: Option<Id>,
}

/// The written form. Missing and unknown fields are skipped.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    /// Result of [`probe`] in the writer: egui's hash differs between processors and versions.
    ids: u64,
    /// `TypeId`s by [`kinds`]'s names.
    kinds: BTreeMap<String, u64>,
    data: Vec<(u64, Element)>,
    /// [`Memory`] without its data, in RON, because its maps have keys that JSON does not allow.
    areas: String,
    focus: Option<Id>,
}

/// A value of an [`IdTypeMap`], as egui writes it.
#[derive(Serialize, Deserialize)]
struct Element {
    type_id: u64,
    ron: String,
    generation: usize,
}

/// Returns the memory of `ctx` as text; `None` if it is longer than [`LIMIT`].
pub(super) fn save(ctx: &Context) -> Option<String> {
    let written = ctx.memory_mut(|memory| {
        let data = std::mem::take(&mut memory.data);
        let areas = ron::to_string(memory);
        memory.data = data;
        Written {
            ids: probe(),
            kinds: kinds().iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
            data: elements(&memory.data),
            areas: areas.unwrap_or_default(),
            focus: memory.focused(),
        }
    });
    serde_json::to_string(&written).ok().filter(|text| text.len() <= LIMIT)
}

impl SavedMemory {
    /// Reads the text that [`save`] wrote in this or another build; leaves out unknown parts.
    pub(super) fn read(text: &str) -> Option<Self> {
        let fits = Some(text).filter(|text| text.len() <= LIMIT)?;
        let written: Written = serde_json::from_str(fits).ok()?;
        // With other ids egui would find nothing, and the data would be carried along forever.
        (written.ids == probe()).then(|| Self::translate(written))
    }

    fn translate(written: Written) -> Self {
        let here = kinds();
        let mut scrolled = Vec::new();
        let mut data = written.data;
        for (key, element) in &mut data {
            let name = written.kinds.iter().find(|(_, id)| **id == element.type_id).map(|(name, _)| name);
            let Some((name, id)) = name.and_then(|name| here.get_key_value(name.as_str())) else { continue };
            // egui's key is the id XOR the type's id.
            let widget = *key ^ element.type_id;
            (*key, element.type_id) = (widget ^ id, *id);
            if *name == "scroll" {
                scrolled.extend(id_of(widget));
            }
        }
        let mut memory: Memory = ron::from_str(&written.areas).unwrap_or_default();
        memory.data = serde_json::to_value(data).and_then(serde_json::from_value).unwrap_or_default();
        Self { memory, scrolled, focus: written.focus }
    }

    /// Restores everything in a context that has not drawn yet.
    pub(super) fn put(&self, ctx: &Context) {
        ctx.memory_mut(|memory| {
            let mut restored = self.memory.clone();
            std::mem::swap(&mut restored.options, &mut memory.options);
            *memory = restored;
        });
        self.restore_focus_and_scroll(ctx);
    }

    /// Restores the state that a picture without content resets: scroll offsets and the focus.
    pub(super) fn restore_focus_and_scroll(&self, ctx: &Context) {
        let mut data = self.memory.data.clone();
        for id in &self.scrolled {
            if let Some(state) = data.get_persisted::<scroll_area::State>(*id) {
                state.store(ctx, *id);
            }
        }
        if let Some(id) = self.focus {
            ctx.memory_mut(|memory| memory.request_focus(id));
        }
    }
}

/// Returns every value that egui would write.
fn elements(data: &IdTypeMap) -> Vec<(u64, Element)> {
    serde_json::to_value(data).and_then(serde_json::from_value).unwrap_or_default()
}

/// Returns the `TypeId`s in this build of the types that egui stores, by names that this crate defines.
fn kinds() -> &'static BTreeMap<&'static str, u64> {
    static KINDS: OnceLock<BTreeMap<&'static str, u64>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let kind = |insert: &dyn Fn(&Context)| {
            let ctx = Context::default();
            insert(&ctx);
            ctx.data(elements).first().map(|(_, element)| element.type_id)
        };
        let panel = PanelState { outer_rect: Rect::ZERO };
        let known = [
            (
                "collapsing",
                kind(&|ctx| CollapsingState::load_with_default_open(ctx, Id::NULL, true).store(ctx)),
            ),
            ("panel", kind(&|ctx| ctx.data_mut(|data| data.insert_persisted(Id::NULL, panel)))),
            ("scroll", kind(&|ctx| scroll_area::State::default().store(ctx, Id::NULL))),
            ("text", kind(&|ctx| TextEditState::default().store(ctx, Id::NULL))),
        ];
        known.into_iter().filter_map(|(name, id)| Some((name, id?))).collect()
    })
}

/// Returns the hash of a fixed id, which is equal in builds whose ids are compatible.
fn probe() -> u64 {
    Id::NULL.with("pulse").with(1_u32).value()
}

/// Returns the `Id` with this raw value; `None` for 0.
fn id_of(value: u64) -> Option<Id> {
    serde_json::from_value(value.into()).ok()
}

#[cfg(test)]
mod tests;
