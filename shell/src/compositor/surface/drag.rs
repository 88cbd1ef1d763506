//! Drag and drop between surfaces, and of files from other programs.
//!
//! A window has at most one [`Drag`], shared by its surfaces in egui's data of the window. Surfaces run one after the
//! other within a frame; each advances the drag by what it knows, without waiting.
//! A drop goes to the surface only if it accepts it at exactly this position: the drag waits for the answer to the
//! last [`EventKind::DRAG_OVER`], however late, and files are withheld from the shell until then.
//!
//! On X11 a window does not learn the position of files held over it: the pointer's last position is used instead,
//! or the centre of the surface if there is none.

use std::{mem, path::Path, sync::Arc};

use abi_stable::std_types::RString;
use egui::{Context, CursorIcon, DroppedFileHandle, Id, Key, Modifiers, Pos2, Rect, Response, Ui};
use plugin_api::{
    abi::{Command, Event, EventKind},
    bridge::{URI_LIST, files_to_uris},
};

use super::{HostedSurface, input::reaches};
use crate::{
    catalogue::Code,
    limits::{DRAGGED, MIME},
};

/// A drag in a window.
#[derive(Clone, Default)]
struct Drag {
    mime: RString,
    data: Arc<[u8]>,
    /// The number of files in the drag.
    count: u32,
    /// Id of the source surface; `None` for files.
    source: Option<u64>,
    /// The pass in which the source, or the files, were last seen.
    seen: u64,
    /// Dropped files.
    files: Vec<DroppedFileHandle>,
    /// Id of the surface below the pointer, and the pass in which it was there.
    target: Option<(u64, u64)>,
    /// The target accepts the drag.
    taken: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    Held,
    /// Released, and not accepted or refused yet.
    Released {
        at: Option<Pos2>,
        pass: u64,
    },
    Over {
        taken: bool,
        pass: u64,
    },
}

/// A surface's view of the drag over it.
#[derive(Default)]
pub(super) struct Hover {
    /// The last position sent to the remote.
    sent: Option<Pos2>,
    /// The remote accepts the drag.
    taken: bool,
}

fn place() -> Id {
    Id::unique("pulse.drag")
}

fn lift(ctx: &Context) -> Option<Drag> {
    ctx.data_mut(|data| data.remove_temp(place()))
}

fn put(ctx: &Context, drag: Drag) {
    ctx.data_mut(|data| data.insert_temp(place(), drag));
}

impl Drag {
    fn over(&mut self, ctx: &Context, taken: bool, pass: u64) {
        self.stage = Stage::Over { taken, pass };
        // For surfaces that have run in this frame already.
        ctx.request_repaint();
    }

    fn event(&self, kind: EventKind, pos: Pos2) -> Event {
        // Data that is only held over a surface is withheld from its remote.
        let data = if kind == EventKind::DROP { self.data.to_vec().into() } else { Vec::new().into() };
        let span = [self.count, 0];
        Event { pos: pos.into(), text: self.mime.clone(), data, span, ..Event::new(kind) }
    }

    /// Returns `true` if a surface other than `id` is below the pointer.
    fn is_over_another(&self, id: u64, pass: u64) -> bool {
        self.target.is_some_and(|(target, seen)| target != id && seen + 1 >= pass)
    }
}

fn ended(taken: bool) -> Event {
    Event { pressed: taken, ..Event::new(EventKind::DRAG_ENDED) }
}

impl HostedSurface {
    /// Starts a drag out of this surface, if a button that was pressed in it is still down.
    pub(super) fn begin_drag(&mut self, ctx: &Context, command: &Command) {
        let length = command.text.len();
        // Receivers trust that files were chosen by the user, in another program.
        let files = command.text.trim().eq_ignore_ascii_case(URI_LIST);
        let odd = length == 0 || length > MIME || command.data.len() > DRAGGED || files;
        if odd && self.may_warn() {
            tracing::warn!(
                remote = self.remote,
                code = Code::DragRefused.as_str(),
                "a drag was refused: it has {} bytes, of at most {DRAGGED}, and a MIME type of {length} bytes, of 1 \
                 to {MIME}, other than {URI_LIST}; report this to the plugin's author",
                command.data.len(),
            );
        }
        let running = ctx.data(|data| data.get_temp::<Drag>(place()).is_some());
        if odd || self.buttons == 0 || running {
            self.pending.push(ended(false));
            return;
        }
        put(
            ctx,
            Drag {
                mime: command.text.clone(),
                data: command.data.as_slice().into(),
                source: Some(self.id),
                seen: ctx.cumulative_pass_nr(),
                ..Drag::default()
            },
        );
        ctx.request_repaint();
    }

    /// Records the remote's answer to a drag over it.
    pub(super) fn note_taken(&mut self, ctx: &Context, taken: bool) {
        self.hover.taken = taken && self.hover.sent.is_some();
        let Some(mut drag) = lift(ctx) else { return };
        if drag.target.is_some_and(|(target, _)| target == self.id) {
            drag.taken = self.hover.taken;
            // The source sets the cursor, and may have run in this frame already.
            ctx.request_repaint();
        }
        put(ctx, drag);
    }

    /// Returns `true` if the remote's answer decides on a drag.
    pub(super) fn is_dragged_over(&self) -> bool {
        self.hover.sent.is_some()
    }

    /// Returns the cursor while something is dragged out of this surface.
    pub(super) fn drag_cursor(&self, ctx: &Context) -> Option<CursorIcon> {
        let drag = ctx.data(|data| data.get_temp::<Drag>(place()))?;
        let held = drag.source == Some(self.id) && !matches!(drag.stage, Stage::Over { .. });
        held.then_some(if drag.taken { CursorIcon::Grabbing } else { CursorIcon::NoDrop })
    }

    /// Advances the window's drag, as far as it concerns this surface.
    pub(super) fn route_drag(&mut self, ui: &Ui, response: &Response, slot: Rect) {
        let ctx = ui.ctx();
        let pass = ctx.cumulative_pass_nr();
        let mut drag = lift(ctx);
        if let Some(Drag { source: None, stage: Stage::Over { pass: ended, .. }, .. }) = &drag
            && *ended < pass
        {
            drag = None;
        }
        if drag.as_ref().is_none_or(|drag| drag.source.is_none()) {
            drag = self.files(ui, response, drag, pass);
        }
        if let Some(drag) = &mut drag
            && drag.source.is_some()
        {
            self.hold(ui, drag, pass);
        }
        let Some(mut held) = drag.filter(|drag| drag.seen + 1 >= pass || drag.source.is_none()) else {
            // The drag was abandoned, or its source has gone.
            self.leave_drag();
            return;
        };
        let origin = slot.min.to_vec2();
        match held.stage {
            Stage::Held => {
                let at = pointer(ctx).or(held.source.is_none().then(|| slot.center()));
                if let Some(at) = at.filter(|at| self.is_below(ui, response, &held, *at, pass)) {
                    self.hover_at(&held, at, at - origin);
                    held.target = Some((self.id, pass));
                    held.taken = self.hover.taken;
                    if held.source.is_none() && held.taken {
                        // The shell itself accepts files that no surface does.
                        ui.input_mut(|input| input.raw.hovered_files.clear());
                    }
                } else {
                    self.leave_drag();
                    if held.target.is_some_and(|(target, _)| target == self.id) {
                        (held.target, held.taken) = (None, false);
                    }
                }
            }
            Stage::Released { at, pass: released } => {
                if let Some(at) = at.filter(|at| self.is_below(ui, response, &held, *at, pass)) {
                    held.target = Some((self.id, pass));
                    let answered = self.hover.sent == Some(at)
                        && self.in_flight.is_none()
                        && !self.pending.iter().any(|event| event.kind == EventKind::DRAG_OVER);
                    if !answered {
                        self.hover_at(&held, at, at - origin);
                    } else if self.hover.taken {
                        self.pending.push(held.event(EventKind::DROP, at - origin));
                        self.hover = Hover::default();
                        held.over(ctx, true, pass);
                    } else {
                        refuse(ui, &mut held, pass);
                    }
                } else {
                    self.leave_drag();
                    held.target = held.target.filter(|(target, _)| *target != self.id);
                    if released < pass && !held.is_over_another(self.id, pass) {
                        refuse(ui, &mut held, pass);
                    }
                }
            }
            Stage::Over { .. } => {}
        }
        if let Stage::Over { taken, .. } = held.stage {
            self.leave_drag();
            if held.source == Some(self.id) {
                self.pending.push(ended(taken));
                return;
            }
        }
        put(ctx, held);
    }

    /// Tracks files that are held or dropped over this surface, and abandons a drag of files that left the window.
    fn files(&self, ui: &Ui, response: &Response, drag: Option<Drag>, pass: u64) -> Option<Drag> {
        let (hovered, dropped) = ui.input(|i| (i.raw.hovered_files.clone(), i.raw.dropped_files.clone()));
        if drag.as_ref().is_some_and(|drag| matches!(drag.stage, Stage::Over { .. })) {
            return drag;
        }
        if hovered.is_empty() && dropped.is_empty() {
            let lasts = |drag: &Drag| drag.seen == pass || matches!(drag.stage, Stage::Released { .. });
            return drag.filter(lasts);
        }
        let at = pointer(ui.ctx()).unwrap_or(response.rect.center());
        let list = |files: &mut dyn Iterator<Item = &Path>| Arc::from(files_to_uris(files).into_bytes());
        let mut drag = drag.unwrap_or_else(|| Drag { mime: URI_LIST.into(), ..Drag::default() });
        drag.seen = pass;
        drag.count = hovered.len().max(drag.files.len() + dropped.len()) as u32;
        let below = self.is_below(ui, response, &drag, at, pass);
        if !dropped.is_empty() && below {
            // Withheld until the remote has accepted or refused them.
            ui.input_mut(|input| input.raw.dropped_files.clear());
            drag.files.extend(dropped);
            drag.data = list(&mut drag.files.iter().map(|file| file.path()));
            drag.stage = Stage::Released { at: Some(at), pass };
            drag.target = Some((self.id, pass));
        }
        (below || drag.target.is_some()).then_some(drag)
    }

    /// Keeps a drag between surfaces alive, ends it on Escape, and releases it once no button is down.
    fn hold(&self, ui: &Ui, drag: &mut Drag, pass: u64) {
        if drag.source == Some(self.id) && self.failure.is_none() {
            drag.seen = pass;
        }
        if matches!(drag.stage, Stage::Over { .. }) {
            return;
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape)) {
            drag.over(ui.ctx(), false, pass);
        } else if matches!(drag.stage, Stage::Held) && !ui.input(|input| input.pointer.any_down()) {
            drag.stage = Stage::Released { at: pointer(ui.ctx()), pass };
            ui.ctx().request_repaint();
        }
    }

    fn is_below(&self, ui: &Ui, response: &Response, drag: &Drag, at: Pos2, pass: u64) -> bool {
        // Files without a position count as over the first surface that runs.
        let known = drag.source.is_some() || pointer(ui.ctx()).is_some();
        self.failure.is_none()
            && reaches(ui, response, &self.overlays, at)
            && (known || !drag.is_over_another(self.id, pass))
    }

    /// Sends the drag's position to the remote, if it has changed.
    fn hover_at(&mut self, drag: &Drag, at: Pos2, local: Pos2) {
        if self.hover.sent.replace(at) != Some(at) {
            self.pending.push(drag.event(EventKind::DRAG_OVER, local));
        }
    }

    fn leave_drag(&mut self) {
        if mem::take(&mut self.hover).sent.is_some() {
            self.pending.push(Event::new(EventKind::DRAG_LEFT));
        }
    }
}

/// Ends a drag that no surface accepts; files go to the shell.
fn refuse(ui: &Ui, drag: &mut Drag, pass: u64) {
    drag.over(ui.ctx(), false, pass);
    let files = mem::take(&mut drag.files);
    ui.input_mut(|input| input.raw.dropped_files.extend(files));
}

fn pointer(ctx: &Context) -> Option<Pos2> {
    ctx.input(|input| input.pointer.latest_pos())
}
