//! egui's memory of a surface, for the next generation of it: where things are scrolled to, what is open, where
//! windows lie, where the text cursor stands, and what has the focus.
//!
//! egui files every value under a hash of its id and of its type's `TypeId`, and the latter is another one in
//! the build of another compiler.
//! So the types that egui keeps are named beside the values, and a reader puts its own `TypeId` in the place of
//! the writer's; values of types without a name are taken over as they are, and egui drops what it cannot
//! decode.

use std::{collections::BTreeMap, sync::OnceLock};

use egui::{
    Context, Id, Memory, PanelState, Rect, collapsing_header::CollapsingState, scroll_area,
    text_edit::TextEditState, util::IdTypeMap,
};
use serde::{Deserialize, Serialize};

/// The longest memory that is handed over, in bytes: what is longer was not made by people's clicks.
const LIMIT: usize = 1 << 20;

/// What a surface's egui remembers, ready to be put back.
pub(super) struct Remembered {
    memory: Memory,
    scrolled: Vec<Id>,
    focus: Option<Id>,
}

/// The written form. Fields that are missing or that nobody knows are skipped.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    /// What an id of a known name is here: egui's hash differs between processors and versions.
    ids: u64,
    /// `TypeId`s by [`kinds`]'s names.
    kinds: BTreeMap<String, u64>,
    data: Vec<(u64, Element)>,
    /// [`Memory`] without its data, in RON, because its maps have keys that JSON does not know.
    areas: String,
    focus: Option<Id>,
}

/// One value of an [`IdTypeMap`], as egui writes it.
#[derive(Serialize, Deserialize)]
struct Element {
    type_id: u64,
    ron: String,
    generation: usize,
}

/// What `ctx` remembers, as text; `None` when that is too much to be handed over.
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

impl Remembered {
    /// Reads what [`save`] wrote in this or another build; what is not understood is left out.
    pub(super) fn read(text: &str) -> Option<Self> {
        let fits = Some(text).filter(|text| text.len() <= LIMIT)?;
        let written: Written = serde_json::from_str(fits).ok()?;
        // With other ids nothing would be found, and all of it would be carried along for ever.
        (written.ids == probe()).then(|| Self::translate(written))
    }

    fn translate(written: Written) -> Self {
        let here = kinds();
        let mut scrolled = Vec::new();
        let mut data = written.data;
        for (key, element) in &mut data {
            let name = written.kinds.iter().find(|(_, id)| **id == element.type_id).map(|(name, _)| name);
            let Some((name, id)) = name.and_then(|name| here.get_key_value(name.as_str())) else { continue };
            // egui's key is the id and the type's, one upon the other.
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

    /// Puts all of it into a context that has not drawn yet.
    pub(super) fn put(&self, ctx: &Context) {
        ctx.memory_mut(|memory| {
            let mut restored = self.memory.clone();
            std::mem::swap(&mut restored.options, &mut memory.options);
            *memory = restored;
        });
        self.put_again(ctx);
    }

    /// Puts back what a picture without the content takes away: how far it is scrolled, and the focus.
    pub(super) fn put_again(&self, ctx: &Context) {
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

/// Every value that egui would write.
fn elements(data: &IdTypeMap) -> Vec<(u64, Element)> {
    serde_json::to_value(data).and_then(serde_json::from_value).unwrap_or_default()
}

/// The types that egui keeps values of, by names of our own, and their `TypeId`s in this build.
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

fn probe() -> u64 {
    Id::NULL.with("pulse").with(1_u32).value()
}

/// The id with this value; there is none of 0.
fn id_of(value: u64) -> Option<Id> {
    serde_json::from_value(value.into()).ok()
}

#[cfg(test)]
mod tests;
