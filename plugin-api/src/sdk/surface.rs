//! Runs an author's egui code behind the contract's surface.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use abi_stable::std_types::{ROption, RResult, RVec};
use egui::{Context, Pos2, RawInput, Rect, UiBuilder, Vec2, ViewportId};

use super::{
    Cx, Expose, Look,
    memory::{self, SavedMemory},
    state::{self, Saved},
};
use crate::{
    abi::{
        Command, CommandKind, Font, Frame, FrameInput, NEVER, RemoteError, Surface, SurfaceBox, SurfaceContext,
    },
    entry,
    guard::guard,
    theme,
};

mod focus;
mod input;
mod picture;
mod platform;
mod scroll;

use focus::{Edges, PendingEvents};
use input::{is_user_action, raw_input};
use picture::{Pictures, floats, inside_shapes, keep_windows_in, overlays, texture_updates};
use platform::platform;
use scroll::Scrolling;

/// Makes a surface of `E`.
pub fn open<E: Expose>(cx: Cx, context: &SurfaceContext, fonts: &[Font]) -> Result<SurfaceBox, RemoteError> {
    let (saved, mut problem) = match context.state.as_ref().map(|state| Saved::read(state)) {
        ROption::RNone => (None, None),
        ROption::RSome(Ok(saved)) => (Some(saved), None),
        ROption::RSome(Err(error)) => (None, Some(state::failed(&error, "", cx.version()))),
    };
    let carried = saved.as_ref().and_then(|saved| SavedMemory::read(saved.memory()?));
    let ctx = Context::default();
    ctx.set_embed_viewports(true);
    ctx.options_mut(|o| o.zoom_with_keyboard = false);
    // Before the fonts, which wait in the memory that this replaces.
    if let Some(carried) = &carried {
        carried.put(&ctx);
    }
    theme::set_fonts(&ctx, fonts);
    #[cfg(not(feature = "egui-0-36"))]
    ctx.add_font_provider(Arc::new(super::fonts::HostFonts(cx.services.clone())));
    let wake = Arc::new(Wake::default());
    ctx.set_request_repaint_callback({
        let (wake, services, id) = (Arc::clone(&wake), cx.services.clone(), context.id);
        move |info| {
            // A running frame itself states when it wants the next one.
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
    let surface = EguiSurface {
        ctx,
        expose: Some(expose),
        cx,
        wake,
        turns: PendingEvents::default(),
        scrolling: Scrolling::default(),
        pictures: Pictures::default(),
        resumes: carried.is_some(),
        carried,
    };
    Ok(entry::surface(surface))
}

/// Requests of egui for a repaint.
#[derive(Default)]
struct Wake {
    /// Set while a frame runs.
    running: AtomicBool,
    /// Set if an immediate repaint was requested while the frame ran.
    asked: AtomicBool,
}

struct EguiSurface<E> {
    ctx: Context,
    /// `None` once it panicked or was closed.
    expose: Option<E>,
    cx: Cx,
    wake: Arc<Wake>,
    turns: PendingEvents,
    scrolling: Scrolling,
    pictures: Pictures,
    /// Memory of the earlier generation's egui, until there is a picture with content.
    carried: Option<SavedMemory>,
    /// Set while no picture with content has followed those of an earlier generation.
    resumes: bool,
}

impl<E: Expose> Surface for EguiSurface<E> {
    fn frame(&mut self, mut input: FrameInput) -> RResult<Frame, RemoteError> {
        input.events = self.turns.next(mem::take(&mut input.events));
        self.wake.running.store(true, Ordering::Release);
        let mut result = guard(|| self.run(&input));
        self.wake.running.store(false, Ordering::Release);
        let asked = self.wake.asked.swap(false, Ordering::AcqRel);
        match &mut result {
            // Another thread requested it while the frame ran, and egui ignored it.
            Ok(frame) if asked && frame.repaint_after == NEVER => frame.repaint_after = 0,
            Ok(frame) if self.turns.remain() => frame.repaint_after = 0,
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
    /// Drops the author's value after a panic, and ignores a second panic.
    fn drop_expose(&mut self) {
        let expose = self.expose.take();
        let _ = guard(|| {
            drop(expose);
            Ok(())
        });
    }

    fn run(&mut self, input: &FrameInput) -> Result<Frame, RemoteError> {
        let Self { ctx, expose, cx, turns, scrolling, pictures, carried, resumes, .. } = self;
        let expose = expose.as_mut().ok_or_else(|| {
            RemoteError::new(
                RemoteError::FAILED,
                "the surface has failed before or is closed; press Retry to open a new one",
            )
        })?;
        match E::look() {
            Look::Host => theme::apply(ctx, &input.tokens),
            Look::Own => theme::remember(ctx, &input.tokens),
        }
        if input.accessibility {
            ctx.enable_accesskit();
        } else {
            ctx.disable_accesskit();
        }
        let slot = Rect::from_min_size(Pos2::ZERO, Vec2::from(input.size));
        let mut inside = 0;
        *carried = carried.take().filter(|_| !input.events.iter().any(is_user_action));
        if let Some(carried) = carried {
            carried.restore_focus_and_scroll(ctx);
        }
        let mut raw = raw_input(ctx, input);
        cx.drags.borrow_mut().on_events(&input.events, &mut raw);
        let edges = Edges::new();
        edges.enter(ctx, input);
        scrolling.begin(ctx, &raw.events);
        let mut pass = |raw| {
            ctx.run_ui(raw, |ui| {
                ui.scope_builder(UiBuilder::new().max_rect(slot), |ui| {
                    ui.set_clip_rect(slot);
                    // egui may discard a pass and run it again.
                    cx.loading.set(false);
                    edges.begin(ui.ctx());
                    expose.ui(ui, cx);
                    edges.end(ui.ctx());
                    scrolling.note_keys(ui.ctx());
                });
                keep_windows_in(ui.ctx(), slot);
                inside = inside_shapes(ui.ctx());
            })
        };
        let mut output = if *resumes {
            // egui measures a window before it shows it, and then fades it in, but the user sees it already.
            // So it is measured a second earlier.
            let now = RawInput { events: Vec::new(), ..raw.clone() };
            raw.time = raw.time.map(|time| time - 1.0);
            let mut output = pass(raw);
            *resumes = cx.loading.get();
            if !*resumes && floats(ctx) {
                output.append(pass(now));
            }
            output
        } else {
            pass(raw)
        };
        let shapes = mem::take(&mut output.shapes);
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
        if scrolling.end(ctx, &output.platform_output) {
            frame.repaint_after = 0;
        }
        if let Some(flag) = edges.left(ctx) {
            turns.leave();
            frame.commands.push(Command { flag, ..Command::new(CommandKind::FOCUS_LEFT) });
        }
        frame.meshes = pictures.draw(ctx, shapes, inside, ppp);
        if pictures.take_callback_warning() {
            cx.services.log(
                2,
                module_path!().into(),
                "a paint callback is not drawn, because a panel is drawn by the shell; draw it with egui's shapes, or as \
                 a texture"
                    .into(),
            );
        }
        cx.drags.borrow_mut().send_commands(&mut frame.commands);
        platform(&mut frame, ctx, output);
        Ok(frame)
    }
}

fn nanoseconds(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
pub(super) mod tests;
