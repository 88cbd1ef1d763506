//! Scrolling by keyboard, in every panel and without code of its author.
//!
//! egui scrolls only by wheel and bar, and does not expose the scroll area of a control.
//! But it keeps the state of each area, and lists the elements of a pass in order: the content of an area follows its
//! beginning and precedes its bars.

use egui::{
    Context, Event, Id, Key, LayerId, Modifiers, Order, PlatformOutput, Rect, Vec2, output::OutputEvent,
    scroll_area::State, text_edit::TextEditState,
};
use serde_json::Value;

/// Scroll distance of an arrow key, in points, and the overlap of two pages.
const LINE: f32 = 40.0;

/// Distance between an element that is scrolled into view and the edge, in points.
const MARGIN: f32 = 8.0;

/// The state of scrolling by keyboard in a surface.
#[derive(Default)]
pub(super) struct Scrolling {
    /// Keys of this frame that the author's code has not consumed.
    keys: Vec<(Key, Modifiers)>,
    /// Element that had the focus before the frame.
    before: Option<Id>,
    /// Set if keyboard or assistive technology moved the focus last.
    by_keys: bool,
    /// Element in focus if arrow keys do not change its value. After arrow keys have moved the focus, egui does not
    /// report its element.
    plain: Option<Id>,
}

/// A scroll area of the last pass whose content is larger than it.
struct Area {
    id: Id,
    state: Value,
    /// The visible part of the content.
    view: Rect,
    /// The rectangle of the content without clipping.
    content: Rect,
    layer: LayerId,
    /// Indices of its content among the elements of the layer.
    elements: std::ops::Range<usize>,
}

/// An element of the last pass.
struct Element {
    rect: Rect,
    layer: LayerId,
    at: usize,
}

impl Scrolling {
    /// Prepares a frame with these events.
    pub(super) fn begin(&mut self, ctx: &Context, events: &[Event]) {
        self.keys.clear();
        self.before = ctx.memory(egui::Memory::focused);
        for event in events {
            match event {
                Event::Key { pressed: true, .. } | Event::AccessKitActionRequest(_) => self.by_keys = true,
                Event::PointerButton { pressed: true, .. } | Event::Touch { .. } => self.by_keys = false,
                _ => {}
            }
        }
    }

    /// Records the keys that are not consumed; called at the end of each pass.
    pub(super) fn note_keys(&mut self, ctx: &Context) {
        ctx.input(|input| {
            self.keys.extend(input.events.iter().filter_map(|event| match event {
                Event::Key { key, pressed: true, modifiers, .. } => Some((*key, *modifiers)),
                _ => None,
            }));
        });
    }

    /// Scrolls after a frame; returns `true` if that needs another frame.
    pub(super) fn end(&mut self, ctx: &Context, output: &PlatformOutput) -> bool {
        let focused = ctx.memory(egui::Memory::focused);
        for event in &output.events {
            if let OutputEvent::FocusGained(info) = event {
                #[cfg(not(feature = "egui-0-36"))]
                let slides = [egui::Role::Slider, egui::Role::SpinButton].contains(&info.role);
                #[cfg(feature = "egui-0-36")]
                let slides = [egui::WidgetType::Slider, egui::WidgetType::DragValue].contains(&info.typ);
                self.plain = focused.filter(|_| !slides);
            }
        }
        let moved = focused != self.before;
        let keys = std::mem::take(&mut self.keys);
        let wanted = keys.into_iter().filter(|key| !moved && !self.is_wanted(ctx, focused, *key));
        let wanted: Vec<(usize, Step)> = wanted.filter_map(step).collect();
        let show = focused.filter(|_| moved && self.by_keys);
        if show.is_none() && wanted.is_empty() {
            return false;
        }
        let mut areas = areas(ctx);
        let element = focused.and_then(|id| element(ctx, id));
        let mut changed = false;
        if let (Some(_), Some(element)) = (show, &element) {
            changed |= bring_into_view(ctx, &mut areas, element);
        }
        for (axis, step) in wanted {
            changed |= scroll(ctx, &mut areas, element.as_ref(), axis, step);
        }
        changed
    }

    /// Returns `true` if the element in focus uses the key itself.
    fn is_wanted(&self, ctx: &Context, focused: Option<Id>, (key, _): (Key, Modifiers)) -> bool {
        let Some(focused) = focused else { return false };
        let turns_pages = matches!(key, Key::PageUp | Key::PageDown);
        // Space presses the element in focus.
        key == Key::Space
            || !turns_pages && (self.plain != Some(focused) || TextEditState::load(ctx, focused).is_some())
    }
}

/// Scroll distance of a key.
#[derive(Clone, Copy)]
enum Step {
    Lines(f32),
    Pages(f32),
    /// To the beginning (`false`) or the end (`true`).
    End(bool),
}

/// Returns the axis and the distance of a key.
fn step((key, modifiers): (Key, Modifiers)) -> Option<(usize, Step)> {
    let plain = modifiers == Modifiers::NONE;
    Some(match key {
        Key::Space if plain => (1, Step::Pages(1.0)),
        Key::Space if modifiers == Modifiers::SHIFT => (1, Step::Pages(-1.0)),
        _ if !plain => return None,
        Key::PageUp => (1, Step::Pages(-1.0)),
        Key::PageDown => (1, Step::Pages(1.0)),
        Key::Home => (1, Step::End(false)),
        Key::End => (1, Step::End(true)),
        Key::ArrowUp => (1, Step::Lines(-1.0)),
        Key::ArrowDown => (1, Step::Lines(1.0)),
        Key::ArrowLeft => (0, Step::Lines(-1.0)),
        Key::ArrowRight => (0, Step::Lines(1.0)),
        _ => return None,
    })
}

/// Scrolls every area around `element` until it is visible, from the innermost area outwards.
fn bring_into_view(ctx: &Context, areas: &mut [Area], element: &Element) -> bool {
    let mut rect = element.rect;
    let mut changed = false;
    for area in areas.iter_mut().filter(|area| area.contains(element)) {
        let mut by = Vec2::ZERO;
        for axis in 0..2 {
            let (before, behind) =
                (rect.min[axis] - MARGIN - area.view.min[axis], rect.max[axis] + MARGIN - area.view.max[axis]);
            // Of an element that is larger than the area, shows the beginning.
            by[axis] = if before < 0.0 { before } else { behind.clamp(0.0, before.max(0.0)) };
        }
        let by = area.scroll_by(ctx, area.view.min - area.content.min, by);
        changed |= by != Vec2::ZERO;
        rect = rect.translate(-by).intersect(area.view);
    }
    changed
}

/// Scrolls the area around the focus, else the one under the pointer, else the largest one.
///
/// Of nested areas, scrolls the innermost one that can scroll further.
fn scroll(ctx: &Context, areas: &mut [Area], focus: Option<&Element>, axis: usize, step: Step) -> bool {
    let popup = egui::Popup::is_any_open(ctx);
    let reachable = |area: &Area| {
        (!popup || area.layer.order == Order::Foreground)
            && ctx.memory(|memory| memory.allows_interaction(area.layer))
            // Pages and ends apply to the other axis if only that can scroll.
            && (area.room(axis) > 0.0 || !matches!(step, Step::Lines(_)))
    };
    let pointer = ctx.pointer_latest_pos().map(|pos| (pos, ctx.layer_id_at(pos)));
    let below = |area: &Area| {
        pointer.is_some_and(|(pos, layer)| {
            area.view.contains(pos) && layer.unwrap_or(LayerId::background()) == area.layer
        })
    };
    let found = |wanted: &dyn Fn(&Area) -> bool| -> Vec<usize> {
        (0..areas.len()).filter(|at| reachable(&areas[*at]) && wanted(&areas[*at])).collect()
    };
    let mut chosen = found(&|area| focus.is_some_and(|element| area.contains(element)));
    if chosen.is_empty() {
        chosen = found(&below);
    }
    if chosen.is_empty() {
        chosen = found(&|_| true);
        chosen.sort_by(|a, b| areas[*b].view.area().total_cmp(&areas[*a].view.area()));
        chosen.truncate(1);
    }
    chosen.into_iter().any(|at| areas[at].step(ctx, axis, step))
}

impl Area {
    fn contains(&self, element: &Element) -> bool {
        self.layer == element.layer
            && self.elements.contains(&element.at)
            // Without bars the order does not show the end of the content.
            && (self.elements.end < usize::MAX || self.content.expand(1.0).contains_rect(element.rect))
    }

    /// Returns the scroll range, in points.
    fn room(&self, axis: usize) -> f32 {
        (self.content.size() - self.view.size())[axis]
    }

    fn offset(&self) -> Vec2 {
        serde_json::from_value(self.state["offset"].clone()).unwrap_or_default()
    }

    fn step(&mut self, ctx: &Context, axis: usize, step: Step) -> bool {
        let axis = if self.room(axis) > 0.0 { axis } else { 1 - axis };
        let size = self.view.size()[axis];
        let mut by = Vec2::ZERO;
        by[axis] = match step {
            Step::Lines(lines) => lines * LINE,
            Step::Pages(pages) => pages * (size - LINE).max(size / 2.0),
            Step::End(end) => {
                if end {
                    self.room(axis)
                } else {
                    -self.room(axis)
                }
            }
        };
        self.scroll_by(ctx, self.offset(), by) != Vec2::ZERO
    }

    /// Scrolls from the offset `from` and returns the distance, which the range may limit.
    fn scroll_by(&mut self, ctx: &Context, from: Vec2, by: Vec2) -> Vec2 {
        let mut to = from;
        for axis in 0..2 {
            // In egui, less than a point separates a bar from a margin.
            if self.room(axis) > 0.0 {
                to[axis] = (from[axis] + by[axis]).clamp(0.0, self.room(axis));
            }
        }
        if (to - from).length() < 0.5 {
            return Vec2::ZERO;
        }
        self.state["offset"] = serde_json::to_value(to).unwrap_or_default();
        self.state["offset_target"] = serde_json::json!([null, null]);
        self.state["scroll_stuck_to_end"] = serde_json::to_value(egui::Vec2b::FALSE).unwrap_or_default();
        let Ok(state) = serde_json::from_value::<State>(self.state.clone()) else { return Vec2::ZERO };
        state.store(ctx, self.id);
        to - from
    }
}

/// Returns the element with this id in the last pass.
fn element(ctx: &Context, id: Id) -> Option<Element> {
    ctx.viewport(|viewport| {
        let widgets = &viewport.prev_pass.widgets;
        let (layer, at) = widgets.order(id)?;
        Some(Element { rect: widgets.get(id)?.rect, layer, at })
    })
}

/// Returns the scroll areas of the last pass whose content is larger than they are, inner areas first.
fn areas(ctx: &Context) -> Vec<Area> {
    let used: Vec<Id> = ctx.viewport(|viewport| viewport.prev_pass.used_ids.keys().copied().collect());
    let states = used.into_iter().filter_map(|id| Some((id, State::load(ctx, id)?)));
    let mut areas: Vec<Area> = states.filter_map(|(id, state)| area(ctx, id, state)).collect();
    areas.sort_by_key(|area| std::cmp::Reverse(area.elements.start));
    areas
}

fn area(ctx: &Context, id: Id, state: State) -> Option<Area> {
    let state = serde_json::to_value(state).ok()?;
    let view: Rect = serde_json::from_value(state["interact_rect"].clone()).ok()?;
    ctx.viewport(|viewport| {
        let widgets = &viewport.prev_pass.widgets;
        let bars = [id.with(0_usize), id.with(1_usize)].into_iter().filter_map(|bar| widgets.order(bar));
        let bar = bars.max_by_key(|(_, at)| *at);
        let mut layers = widgets.layer_ids().filter(|layer| bar.is_none_or(|(of, _)| of == *layer));
        layers.find_map(|layer| {
            let end = bar.map_or(usize::MAX, |(_, at)| at);
            // The content is the first element that is larger than the visible part and visible only there.
            let mut elements = widgets.get_layer(layer).enumerate().take(end);
            let (start, content) = elements.find(|(_, element)| {
                let (size, seen) = (element.rect.size(), element.interact_rect);
                element.rect.is_finite()
                    && (size.x > view.width() + 0.5 || size.y > view.height() + 0.5)
                    && (!seen.is_positive() || view.expand(1.0).contains_rect(seen))
                    && element.rect.expand(1.0).intersects(view)
            })?;
            Some(Area { id, state: state.clone(), view, content: content.rect, layer, elements: start..end })
        })
    })
}
