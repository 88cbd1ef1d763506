//! Runs an author's egui code behind the contract's surface.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{ROption, RResult, RVec},
};
use egui::{
    Context, FullOutput, LayerId, Order, OutputCommand, Pos2, RawInput, Rect, TextureId, UiBuilder, Vec2,
    ViewportId,
    epaint::{ClippedPrimitive, ClippedShape, ImageData, Primitive, textures::TextureFilter},
};

use super::{
    Cx, Expose,
    memory::{self, Remembered},
    state::{self, Saved},
};
use crate::{
    abi::{
        ClippedMesh, Command, CommandKind, Event, EventKind, Fonts, Frame, FrameInput, Ime, NEVER, RemoteError,
        Surface, Surface_TO, SurfaceBox, SurfaceContext, TextureUpdate, Vertex, modifiers,
    },
    bridge,
    guard::guard,
    theme,
};

/// Makes a surface of `E`.
pub fn open<E: Expose>(cx: Cx, context: &SurfaceContext, fonts: Fonts) -> Result<SurfaceBox, RemoteError> {
    let (saved, mut problem) = match context.state.as_ref().map(|state| Saved::read(state)) {
        ROption::RNone => (None, None),
        ROption::RSome(Ok(saved)) => (Some(saved), None),
        ROption::RSome(Err(error)) => (None, Some(state::failed(&error, "", cx.version()))),
    };
    let carried = saved.as_ref().and_then(|saved| Remembered::read(saved.memory()?));
    let ctx = Context::default();
    ctx.set_embed_viewports(true);
    ctx.options_mut(|o| o.zoom_with_keyboard = false);
    // Before the fonts: they wait in the memory that this replaces.
    if let Some(carried) = &carried {
        carried.put(&ctx);
    }
    theme::set_fonts(&ctx, fonts.regular.as_slice(), fonts.strong.as_slice());
    let wake = Arc::new(Wake::default());
    ctx.set_request_repaint_callback({
        let (wake, services, id) = (Arc::clone(&wake), cx.services.clone(), context.id);
        move |info| {
            // Inside of a frame, the frame itself says when it wants the next.
            if wake.running.load(Ordering::Acquire) {
                wake.asked.fetch_or(info.delay.is_zero(), Ordering::AcqRel);
            } else {
                services.request_repaint(id, nanoseconds(info.delay));
            }
        }
    });
    let expose = match saved {
        Some(saved) => {
            let (expose, refused) = saved.restore(&cx)?;
            problem = refused;
            expose
        }
        None => E::new(&cx).map_err(|e| e.0)?,
    };
    if let Some(problem) = problem {
        cx.services.report(context.id, problem);
    }
    let surface = EguiSurface { ctx, expose: Some(expose), cx, wake, resumes: carried.is_some(), carried };
    Ok(Surface_TO::from_value(surface, TD_Opaque))
}

/// Whether a repaint was asked for, and by whom.
#[derive(Default)]
struct Wake {
    running: AtomicBool,
    asked: AtomicBool,
}

struct EguiSurface<E> {
    ctx: Context,
    /// `None` once it panicked or was closed.
    expose: Option<E>,
    cx: Cx,
    wake: Arc<Wake>,
    /// What the earlier generation's egui remembered, until there is a picture that it is for.
    carried: Option<Remembered>,
    /// Whether the next frame follows on one of an earlier generation, with nothing but stand-ins between them.
    resumes: bool,
}

impl<E: Expose> Surface for EguiSurface<E> {
    fn frame(&mut self, input: FrameInput) -> RResult<Frame, RemoteError> {
        self.wake.running.store(true, Ordering::Release);
        let mut result = guard(|| self.run(&input));
        self.wake.running.store(false, Ordering::Release);
        let asked = self.wake.asked.swap(false, Ordering::AcqRel);
        match &mut result {
            // Another thread asked while the frame ran, and egui took no notice.
            Ok(frame) if asked && frame.repaint_after == NEVER => frame.repaint_after = 0,
            Ok(_) => {}
            Err(_) => self.drop_expose(),
        }
        result.into()
    }

    fn save(&mut self) -> RResult<RVec<u8>, RemoteError> {
        guard(|| {
            let state = self.expose.as_ref().map(E::save).unwrap_or_default();
            Ok(Saved::new(self.cx.version(), state, memory::save(&self.ctx)).to_bytes().into())
        })
        .into()
    }

    fn close(&mut self) -> RResult<(), RemoteError> {
        self.cx.watches.borrow_mut().retain(|w| w.surface != self.cx.surface);
        guard(|| {
            drop(self.expose.take());
            Ok(())
        })
        .into()
    }
}

impl<E: Expose> EguiSurface<E> {
    /// After a panic: the author's value is not run again, and its own panic on drop changes nothing.
    fn drop_expose(&mut self) {
        let expose = self.expose.take();
        let _ = guard(|| {
            drop(expose);
            Ok(())
        });
    }

    fn run(&mut self, input: &FrameInput) -> Result<Frame, RemoteError> {
        let Self { ctx, expose, cx, carried, resumes, .. } = self;
        let expose = expose.as_mut().ok_or_else(|| {
            RemoteError::new(
                RemoteError::FAILED,
                "the surface has failed before or is closed; press Retry to open a new one",
            )
        })?;
        theme::apply(ctx, &input.tokens);
        if input.accessibility {
            ctx.enable_accesskit();
        } else {
            ctx.disable_accesskit();
        }
        let slot = Rect::from_min_size(Pos2::ZERO, Vec2::from(input.size));
        let mut background = 0;
        *carried = carried.take().filter(|_| !input.events.iter().any(is_deed));
        if let Some(carried) = carried {
            carried.put_again(ctx);
        }
        let mut raw = raw_input(ctx, input);
        let left = tab_leads_out(ctx, input);
        if left.is_some() {
            raw.events.retain(|e| !matches!(e, egui::Event::Key { key: egui::Key::Tab, .. }));
            ctx.memory_mut(|m| m.focused().into_iter().for_each(|id| m.surrender_focus(id)));
        }
        let mut pass = |raw| {
            ctx.run_ui(raw, |ui| {
                ui.scope_builder(UiBuilder::new().max_rect(slot), |ui| {
                    ui.set_clip_rect(slot);
                    // A pass may be thrown away and run again.
                    cx.loading.set(false);
                    expose.ui(ui, cx);
                });
                background = background_shapes(ui.ctx());
            })
        };
        let mut output = if *resumes {
            // egui measures a window before it shows it, and then fades it in; but people have it before their
            // eyes already. So it was measured a second ago.
            let now = RawInput { events: Vec::new(), ..raw.clone() };
            raw.time = raw.time.map(|time| time - 1.0);
            let mut output = pass(raw);
            *resumes = cx.loading.get();
            if !*resumes && !overlays(ctx).is_empty() {
                output.append(pass(now));
            }
            output
        } else {
            pass(raw)
        };
        let mut shapes = mem::take(&mut output.shapes);
        let above = shapes.split_off(background.min(shapes.len()));
        let ppp = output.pixels_per_point;
        let mut frame = Frame {
            overlays: overlays(ctx),
            textures: texture_updates(&mut output),
            repaint_after: output
                .viewport_output
                .get(&ViewportId::ROOT)
                .map_or(NEVER, |v| nanoseconds(v.repaint_delay)),
            placeholder: cx.loading.get(),
            ..Frame::default()
        };
        *carried = carried.take().filter(|_| frame.placeholder);
        if let Some(flag) = left {
            frame.commands.push(Command { kind: CommandKind::FOCUS_LEFT, flag, text: "".into() });
        }
        push_meshes(&mut frame.meshes, ctx, shapes, ppp, false);
        if !above.is_empty() {
            push_meshes(&mut frame.meshes, ctx, above, ppp, true);
        }
        platform(&mut frame, ctx, output);
        Ok(frame)
    }
}

/// Whether an event says where to look, or what has the focus, from now on.
fn is_deed(event: &Event) -> bool {
    let idle = [EventKind::POINTER_MOVED, EventKind::POINTER_GONE, EventKind::FOCUS, EventKind::IME_ENABLED];
    !idle.contains(&event.kind)
}

/// Whether Tab leads out of the last control (true) or, with Shift, out of the first (false).
///
/// Decided before the pass: egui itself would go round to the other end.
fn tab_leads_out(ctx: &Context, input: &FrameInput) -> Option<bool> {
    let tab = input.events.iter().find(|e| e.kind == EventKind::KEY && e.pressed && e.text == "Tab")?;
    let forward = tab.modifiers & modifiers::SHIFT == 0;
    let focused = ctx.memory(egui::Memory::focused)?;
    let edge = ctx.viewport(|v| {
        let widgets = v.prev_pass.widgets.get_layer(LayerId::background());
        let mut controls = widgets.filter(|w| w.enabled && w.sense.is_focusable()).map(|w| w.id);
        if forward { controls.last() } else { controls.next() }
    });
    (edge == Some(focused)).then_some(forward)
}

fn nanoseconds(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos()).unwrap_or(NEVER)
}

fn raw_input(ctx: &Context, input: &FrameInput) -> RawInput {
    let [left, top, right, bottom] = input.window;
    let mut raw = RawInput {
        screen_rect: Some(Rect::from_min_max(Pos2::new(left, top), Pos2::new(right, bottom))),
        max_texture_side: Some(input.max_texture_side as usize),
        time: Some(input.time),
        predicted_dt: input.predicted_dt,
        focused: input.focused,
        system_theme: Some(if input.tokens.dark { egui::Theme::Dark } else { egui::Theme::Light }),
        events: input.events.iter().filter_map(bridge::event_from_abi).collect(),
        ..RawInput::default()
    };
    // egui takes the modifiers from events; after a click elsewhere there may be none.
    // Only a change of them: egui draws another frame after every event.
    let modifiers = bridge::modifiers_from_bits(input.modifiers);
    if ctx.input(|i| i.modifiers) != modifiers {
        raw.events.insert(0, egui::Event::ModifiersChanged(modifiers));
    }
    if let Some(viewport) = raw.viewports.get_mut(&ViewportId::ROOT) {
        viewport.native_pixels_per_point = Some(input.pixels_per_point);
        viewport.focused = Some(input.focused);
    }
    raw
}

/// How many shapes lie in background layers: egui paints them first.
fn background_shapes(ctx: &Context) -> usize {
    let mut layers: Vec<LayerId> =
        ctx.memory(|m| m.layer_ids().filter(|l| l.order == Order::Background).collect());
    if !layers.contains(&LayerId::background()) {
        layers.push(LayerId::background());
    }
    ctx.graphics(|g| layers.iter().filter_map(|l| g.get(*l)).map(|list| list.all_entries().len()).sum())
}

/// Rectangles of visible layers above the background that take the pointer.
fn overlays(ctx: &Context) -> RVec<crate::abi::Rect> {
    ctx.memory(|m| {
        m.layer_ids()
            .filter(|l| matches!(l.order, Order::Middle | Order::Foreground) && m.areas().is_visible(l))
            .filter_map(|l| m.area_rect(l.id))
            .map(rect)
            .collect()
    })
}

fn rect(r: Rect) -> crate::abi::Rect {
    [r.min.x, r.min.y, r.max.x, r.max.y]
}

fn push_meshes(out: &mut RVec<ClippedMesh>, ctx: &Context, shapes: Vec<ClippedShape>, ppp: f32, overlay: bool) {
    for ClippedPrimitive { clip_rect, primitive } in ctx.tessellate(shapes, ppp) {
        // Paint callbacks are code of this image; they do not cross.
        let Primitive::Mesh(mesh) = primitive else { continue };
        let TextureId::Managed(texture) = mesh.texture_id else { continue };
        out.push(ClippedMesh {
            clip: rect(clip_rect),
            texture,
            overlay,
            indices: mesh.indices.into(),
            vertices: bytemuck::cast_vec::<_, Vertex>(mesh.vertices).into(),
        });
    }
}

fn texture_updates(output: &mut FullOutput) -> RVec<TextureUpdate> {
    let delta = &mut output.textures_delta;
    let mut updates = RVec::new();
    // The order between textures is of no consequence; the order within one is kept.
    #[expect(clippy::iter_over_hash_type)]
    for (id, deltas) in delta.set.drain() {
        let TextureId::Managed(texture) = id else { continue };
        for delta in deltas {
            let ImageData::Color(image) = &delta.image;
            let [x, y] = delta.pos.unwrap_or_default();
            updates.push(TextureUpdate {
                texture,
                free: false,
                partial: delta.pos.is_some(),
                nearest: delta.options.magnification == TextureFilter::Nearest,
                pos: [x as u32, y as u32],
                size: image.size.map(|side| side as u32),
                pixels: bytemuck::cast_slice(&image.pixels).to_vec().into(),
            });
        }
    }
    #[expect(clippy::iter_over_hash_type)]
    for id in delta.free.drain() {
        let TextureId::Managed(texture) = id else { continue };
        updates.push(TextureUpdate {
            texture,
            free: true,
            partial: false,
            nearest: false,
            pos: [0; 2],
            size: [0; 2],
            pixels: RVec::new(),
        });
    }
    updates
}

fn platform(frame: &mut Frame, ctx: &Context, output: FullOutput) {
    let platform = output.platform_output;
    frame.cursor = bridge::cursor_name(platform.cursor_icon).into();
    frame.wants_keyboard = ctx.egui_wants_keyboard_input();
    frame.ime = platform.ime.map(|ime| Ime { field: rect(ime.rect), cursor: rect(ime.cursor_rect) }).into();
    let commands = platform.commands.into_iter().filter_map(|command| {
        let (kind, flag, text) = match command {
            OutputCommand::CopyText(text) => (CommandKind::COPY_TEXT, false, text),
            OutputCommand::OpenUrl(url) => (CommandKind::OPEN_URL, url.new_tab, url.url),
            OutputCommand::TextSelectionSettled(text) => (CommandKind::SELECTION, false, text),
            OutputCommand::CopyImage(_) => return None,
        };
        Some(Command { kind, flag, text: text.into() })
    });
    frame.commands.extend(commands);
    if let Some(update) = platform.accesskit_update {
        // Serialising a tree of plain values does not fail; without it the surface is merely not accessible.
        frame.access = serde_json::to_string(&update).unwrap_or_default().into();
    }
}

#[cfg(test)]
pub(super) mod tests;
