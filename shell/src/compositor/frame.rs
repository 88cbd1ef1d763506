//! Frames of remotes, checked once, on entry.
//!
//! A frame is untrusted data: every index, number, size and rectangle is checked here. The result is owned by the
//! shell, so that it outlives the library that it came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use egui::{Color32, ColorImage, Pos2, Rect, TextureFilter, TextureOptions, TextureWrapMode, epaint};
use plugin_api::{abi, theme::color, tokens::LIGHT};

use crate::limits;

mod held;
mod tree;

pub use held::Held;
use held::{Amounts, Share};

/// Largest absolute coordinate of a vertex, in points: beyond any screen, and small enough that all computations
/// with it stay finite, here and on the GPU. Vertices beyond this are clamped, not rejected: a chart may be zoomed
/// in far.
pub const FAR: f32 = 1e9;

/// Longest delay of a repaint, short enough that no sum of times overflows.
const LONGEST: Duration = Duration::from_hours(24);

/// Limits on the frames of one surface; the limits on texels, vertices, indices and nodes hold for all surfaces of a
/// remote together. The reasons are with the values, in `limits`.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Vertices in a frame.
    pub vertices: usize,
    /// Indices in a frame.
    pub indices: usize,
    /// Meshes in a frame.
    pub meshes: usize,
    /// Layers that take the pointer outside of the slot; the topmost are kept.
    pub overlays: usize,
    /// Textures alive at once.
    pub textures: usize,
    /// Texels of all textures together, and of all changes in a frame.
    pub texels: u64,
    /// Changes of textures in a frame.
    pub updates: usize,
    /// Commands in a frame.
    pub commands: usize,
    /// Bytes of all commands of a frame together, text and data.
    pub data: usize,
    /// Bytes of the accessibility tree, and of a cursor's name.
    pub text: usize,
    /// Accessibility nodes; excess nodes are left out.
    pub nodes: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            vertices: limits::VERTICES,
            indices: limits::INDICES,
            meshes: limits::MESHES,
            overlays: limits::OVERLAYS,
            textures: limits::TEXTURES,
            texels: limits::TEXELS,
            updates: limits::TEXTURE_CHANGES,
            commands: limits::COMMANDS,
            data: limits::COMMAND_BYTES,
            text: limits::TREE,
            nodes: limits::NODES,
        }
    }
}

/// The reason why a frame is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the frame is not valid and was not shown: {what}")]
pub struct FrameError {
    pub(super) rule: FrameRule,
    what: String,
}

/// The rule that a frame breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameRule {
    Form,
    Kept,
    Quota,
    Texture,
}

fn bad<T>(rule: FrameRule, what: impl Into<String>) -> Result<T, FrameError> {
    Err(FrameError { rule, what: what.into() })
}

/// A checked frame, in slot coordinates.
#[derive(Debug, Default)]
pub struct CheckedFrame {
    /// Meshes, back to front.
    pub meshes: Vec<Mesh>,
    /// Rectangles of overlays, as far as something is painted in them.
    pub overlays: Vec<Rect>,
    /// Changes of textures, in order.
    pub textures: Vec<TextureChange>,
    /// Requests to the platform.
    pub commands: Vec<abi::Command>,
    /// The pointer's cursor.
    pub cursor: egui::CursorIcon,
    /// Position of the input method, while text is edited.
    pub ime: Option<egui::output::IMEOutput>,
    /// A control wants the keyboard.
    pub wants_keyboard: bool,
    /// The frame is a placeholder for content that is still loading.
    pub placeholder: bool,
    /// Delay until the surface wants to run again by itself.
    pub repaint_after: Option<Duration>,
    /// Accessibility nodes, if they have changed; or the reason why they cannot be used.
    pub access: Option<Result<egui::accesskit::TreeUpdate, String>>,
    /// The picture in the frame that is not shown, and its limit.
    pub refused: Option<String>,
    /// Time that the remote took.
    pub took: Duration,
}

/// Triangles under one texture and clip rectangle.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Clip rectangle.
    pub clip: Rect,
    /// The surface's id of the texture.
    pub texture: u64,
    /// The mesh may leave the slot.
    pub overlay: bool,
    /// The same allocation as in the previous frame for a kept mesh.
    pub triangles: Arc<Triangles>,
}

/// Triangles as indices into vertices.
#[derive(Debug)]
pub struct Triangles {
    /// Indices into `vertices`, each in range.
    pub indices: Vec<u32>,
    /// Positions and texture coordinates within [`FAR`].
    pub vertices: Vec<epaint::Vertex>,
}

/// A change of a texture that fits the surface's textures.
#[derive(Debug)]
pub enum TextureChange {
    /// A full image, or a part at a position.
    Set {
        /// The surface's id of the texture.
        texture: u64,
        /// Left and top of a part; `None` for a full image.
        pos: Option<[usize; 2]>,
        /// The texels.
        image: ColorImage,
        /// Sampling.
        options: TextureOptions,
    },
    /// Frees the texture once this frame is no longer shown.
    Free(u64),
}

/// Checks the frames of one surface, whose textures it tracks. `[remote's thread]`
#[derive(Debug, Default)]
pub struct Validator {
    quota: Quota,
    sizes: BTreeMap<u64, [u32; 2]>,
    /// Textures that are too large, and replaced by a single texel.
    blanks: BTreeSet<u64>,
    share: Share,
    /// Meshes of the last frame that have an id.
    named: BTreeMap<u64, Mesh>,
    max_side: u32,
}

/// Changes of a frame's textures, the freed textures, and the reason why a picture was refused.
type Textures = (Vec<TextureChange>, Vec<u64>, Option<String>);

impl Validator {
    /// Creates a validator for textures of at most `max_side` texels a side.
    pub fn new(quota: Quota, max_side: u32) -> Self {
        Self { quota, max_side, ..Self::default() }
    }

    /// Makes the limits hold for all surfaces that share `held` together.
    #[must_use]
    pub fn sharing(self, held: &Held) -> Self {
        Self { share: Share::of(held), ..self }
    }

    /// Checks `frame`, and copies it into the shell's memory.
    ///
    /// # Errors
    /// Fails if anything in it is not valid; nothing of it is then used.
    pub fn accept(&mut self, frame: abi::Frame) -> Result<CheckedFrame, FrameError> {
        let others = self.share.others();
        let (mut sizes, mut blanks) = (self.sizes.clone(), self.blanks.clone());
        let (textures, freed, refused) = self.textures(&mut sizes, &mut blanks, others, frame.textures)?;
        let (meshes, named) = self.meshes(&sizes, others, frame.meshes)?;
        for id in freed {
            sizes.remove(&id);
            blanks.remove(&id);
        }
        self.commands(&frame.commands)?;
        if let Some(length) =
            [frame.access.len(), frame.cursor.len()].into_iter().find(|l| *l > self.quota.text)
        {
            return bad(FrameRule::Quota, format!("a text of {length} bytes, more than {}", self.quota.text));
        }
        let overlays: Vec<_> = frame.overlays.iter().map(rect).collect::<Result<_, _>>()?;
        let overlays = &overlays[overlays.len().saturating_sub(self.quota.overlays)..];
        let overlays = painted(overlays, &meshes);
        let ime = match frame.ime.into_option() {
            Some(ime) => Some(egui::output::IMEOutput {
                purpose: plugin_api::bridge::purpose_from_abi(ime.purpose),
                rect: rect(&ime.field)?,
                cursor_rect: rect(&ime.cursor)?,
                should_interrupt_composition: ime.interrupt,
            }),
            None => None,
        };
        // A remote's AccessKit may be newer than this one; its picture is shown anyway.
        let room = self.quota.nodes.saturating_sub(others.nodes);
        let access = (!frame.access.is_empty()).then(|| tree::read(&frame.access, room));
        let count = |of: fn(&Triangles) -> usize| meshes.iter().map(|mesh| of(&mesh.triangles)).sum::<usize>();
        self.share.set(Amounts {
            texels: texels(&sizes, &blanks),
            vertices: count(|triangles| triangles.vertices.len()),
            indices: count(|triangles| triangles.indices.len()),
            nodes: match &access {
                None => self.share.own().nodes,
                Some(tree) => tree.as_ref().map_or(0, |tree| tree.nodes.len()),
            },
        });
        (self.sizes, self.blanks, self.named) = (sizes, blanks, named);
        Ok(CheckedFrame {
            meshes,
            overlays,
            textures,
            // Copies: the originals belong to the remote's allocator.
            commands: frame
                .commands
                .iter()
                .map(|c| abi::Command {
                    kind: c.kind,
                    flag: c.flag,
                    text: c.text.as_str().into(),
                    size: c.size,
                    data: c.data.to_vec().into(),
                })
                .collect(),
            cursor: plugin_api::bridge::cursor_icon(&frame.cursor),
            ime,
            wants_keyboard: frame.wants_keyboard,
            placeholder: frame.placeholder,
            repaint_after: (frame.repaint_after != abi::NEVER)
                .then(|| Duration::from_nanos(frame.repaint_after).min(LONGEST)),
            access,
            refused,
            took: Duration::ZERO,
        })
    }

    fn commands(&self, commands: &[abi::Command]) -> Result<(), FrameError> {
        if commands.len() > self.quota.commands {
            return bad(
                FrameRule::Quota,
                format!("{} commands, more than {}", commands.len(), self.quota.commands),
            );
        }
        let bytes: usize = commands.iter().map(|c| c.text.len() + c.data.len()).sum();
        if bytes > self.quota.data {
            return bad(FrameRule::Quota, format!("commands of {bytes} bytes, more than {}", self.quota.data));
        }
        for command in commands.iter().filter(|c| c.kind == abi::CommandKind::COPY_IMAGE) {
            let [width, height] = command.size;
            let texels = u64::from(width) * u64::from(height);
            if texels == 0 || texels.checked_mul(4) != Some(command.data.len() as u64) {
                let length = command.data.len();
                return bad(
                    FrameRule::Form,
                    format!("an image of {width}×{height} texels with {length} bytes"),
                );
            }
        }
        Ok(())
    }

    fn textures(
        &self,
        sizes: &mut BTreeMap<u64, [u32; 2]>,
        blanks: &mut BTreeSet<u64>,
        others: Amounts,
        updates: impl IntoIterator<Item = abi::TextureUpdate>,
    ) -> Result<Textures, FrameError> {
        let mut out = Vec::new();
        let mut freed = Vec::new();
        let mut refused = None;
        let mut changed = 0;
        for (count, update) in updates.into_iter().enumerate() {
            if count >= self.quota.updates {
                return bad(
                    FrameRule::Quota,
                    format!("too many changes of textures, more than {}", self.quota.updates),
                );
            }
            let id = update.texture;
            if update.free {
                if !sizes.contains_key(&id) || freed.contains(&id) {
                    return bad(FrameRule::Texture, format!("it frees texture {id}, which does not exist"));
                }
                freed.push(id);
                out.push(TextureChange::Free(id));
                continue;
            }
            let [width, height] = update.size;
            let texels = u64::from(width) * u64::from(height);
            if texels.checked_mul(4) != Some(update.pixels.len() as u64) {
                return bad(
                    FrameRule::Texture,
                    format!("texture {id} of {width}×{height} with {} bytes", update.pixels.len()),
                );
            }
            if texels == 0 {
                return bad(FrameRule::Texture, format!("texture {id} without texels"));
            }
            // A picture that the device cannot show is dropped, not the surface.
            let blank = if update.partial { blanks.contains(&id) } else { width.max(height) > self.max_side };
            changed += if blank { 0 } else { texels };
            if changed > self.quota.texels {
                return bad(
                    FrameRule::Quota,
                    format!("changes of {changed} texels in all, more than {}", self.quota.texels),
                );
            }
            let pos = if update.partial {
                let Some(whole) = sizes.get(&id).filter(|_| !freed.contains(&id)) else {
                    return bad(FrameRule::Texture, format!("a part of texture {id}, which does not exist"));
                };
                let fits = |axis: usize| {
                    update.pos[axis].checked_add(update.size[axis]).is_some_and(|end| end <= whole[axis])
                };
                if !fits(0) || !fits(1) {
                    return bad(FrameRule::Texture, format!("a part of texture {id} outside of it"));
                }
                Some([update.pos[0] as usize, update.pos[1] as usize])
            } else {
                freed.retain(|f| *f != id);
                sizes.insert(id, update.size);
                if blank {
                    blanks.insert(id);
                } else {
                    blanks.remove(&id);
                }
                if sizes.len() > self.quota.textures {
                    return bad(
                        FrameRule::Quota,
                        format!("{} textures, more than {}", sizes.len(), self.quota.textures),
                    );
                }
                None
            };
            if blank && update.partial {
                continue;
            }
            let options = options(&update);
            let image = if blank {
                let most = self.max_side;
                refused = Some(format!("a picture of {width}×{height} texels, of at most {most} a side"));
                ColorImage::filled([1, 1], color(LIGHT.border_strong))
            } else {
                let pixels: Vec<Color32> = bytemuck::cast_slice(&update.pixels).to_vec();
                ColorImage::new([width as usize, height as usize], pixels)
            };
            out.push(TextureChange::Set { texture: id, pos, image, options });
        }
        let texels = texels(sizes, blanks) + others.texels;
        if texels > self.quota.texels {
            return bad(
                FrameRule::Quota,
                format!(
                    "textures of {texels} texels in all panels of the remote, more than {}",
                    self.quota.texels
                ),
            );
        }
        Ok((out, freed, refused))
    }

    fn meshes(
        &self,
        sizes: &BTreeMap<u64, [u32; 2]>,
        others: Amounts,
        meshes: impl IntoIterator<Item = abi::ClippedMesh>,
    ) -> Result<(Vec<Mesh>, BTreeMap<u64, Mesh>), FrameError> {
        let (mut vertices, mut indices) = (others.vertices, others.indices);
        let mut out = Vec::new();
        let mut named = BTreeMap::new();
        for mesh in meshes {
            let clip = rect(&mesh.clip)?;
            let before = self.named.get(&mesh.id).filter(|_| mesh.kept);
            if mesh.kept && before.is_none() {
                return bad(
                    FrameRule::Kept,
                    format!("it keeps mesh {}, which the previous frame did not have", mesh.id),
                );
            }
            let (v, i) = before.map_or((mesh.vertices.len(), mesh.indices.len()), |before| {
                (before.triangles.vertices.len(), before.triangles.indices.len())
            });
            vertices += v;
            indices += i;
            // Checked before anything is copied.
            if vertices > self.quota.vertices || indices > self.quota.indices || out.len() >= self.quota.meshes
            {
                return bad(
                    FrameRule::Quota,
                    format!("{vertices} vertices and {indices} indices in {} meshes", out.len() + 1),
                );
            }
            let checked = match before {
                Some(before) => Mesh { clip, overlay: mesh.overlay, ..before.clone() },
                None => Mesh {
                    clip,
                    texture: mesh.texture,
                    overlay: mesh.overlay,
                    triangles: Arc::new(triangles(&mesh)?),
                },
            };
            if !sizes.contains_key(&checked.texture) {
                return bad(
                    FrameRule::Texture,
                    format!("a mesh with texture {}, which does not exist", checked.texture),
                );
            }
            if mesh.id != 0 && named.insert(mesh.id, checked.clone()).is_some() {
                return bad(FrameRule::Form, format!("two meshes with the id {}", mesh.id));
            }
            out.push(checked);
        }
        Ok((out, named))
    }
}

/// Returns the sampling of a texture.
fn options(update: &abi::TextureUpdate) -> TextureOptions {
    let filter = |nearest| if nearest { TextureFilter::Nearest } else { TextureFilter::Linear };
    TextureOptions {
        magnification: filter(update.nearest),
        minification: filter(update.nearest_small),
        wrap_mode: match update.wrap {
            1 => TextureWrapMode::Repeat,
            2 => TextureWrapMode::MirroredRepeat,
            // Modes of newer contracts fall back to the simplest.
            _ => TextureWrapMode::ClampToEdge,
        },
        mipmap_mode: None,
    }
}

/// Returns the number of texels of all textures on the device.
fn texels(sizes: &BTreeMap<u64, [u32; 2]>, blanks: &BTreeSet<u64>) -> u64 {
    let shown = sizes.iter().filter(|(id, _)| !blanks.contains(id));
    shown.map(|(_, [width, height])| u64::from(*width) * u64::from(*height)).sum()
}

/// Returns the parts of `places` in which an overlay is painted: the pointer stays the shell's over invisible ones.
fn painted(places: &[Rect], meshes: &[Mesh]) -> Vec<Rect> {
    if places.is_empty() {
        return Vec::new();
    }
    let bounds = |mesh: &Mesh| {
        let vertices = &mesh.triangles.vertices;
        let seen = vertices.iter().any(|vertex| vertex.color != Color32::TRANSPARENT);
        let bounds = Rect::from_points(&vertices.iter().map(|vertex| vertex.pos).collect::<Vec<_>>());
        (seen && !mesh.triangles.indices.is_empty()).then_some(bounds.intersect(mesh.clip))
    };
    let painted: Vec<Rect> = meshes.iter().filter(|mesh| mesh.overlay).filter_map(bounds).collect();
    let part = |place: &Rect| {
        let parts = painted.iter().map(|bounds| bounds.intersect(*place)).filter(Rect::is_positive);
        parts.reduce(Rect::union)
    };
    places.iter().filter_map(part).collect()
}

/// Checks and copies the triangles of a mesh.
fn triangles(mesh: &abi::ClippedMesh) -> Result<Triangles, FrameError> {
    if !mesh.indices.len().is_multiple_of(3) {
        return bad(FrameRule::Form, format!("{} indices do not make triangles", mesh.indices.len()));
    }
    let count = mesh.vertices.len();
    if let Some(index) = mesh.indices.iter().copied().max().filter(|i| *i as usize >= count) {
        return bad(FrameRule::Form, format!("index {index} of {count} vertices"));
    }
    let mut vertices: Vec<epaint::Vertex> = bytemuck::cast_slice(&mesh.vertices).to_vec();
    // A single pass without branches accepts every good mesh; NaN fails it too.
    let within = |v: &epaint::Vertex| {
        (v.pos.x.abs() <= FAR) & (v.pos.y.abs() <= FAR) & (v.uv.x.abs() <= FAR) & (v.uv.y.abs() <= FAR)
    };
    if !vertices.iter().fold(true, |all, v| all & within(v)) {
        if !vertices.iter().all(|v| v.pos.is_finite() && v.uv.is_finite()) {
            return bad(FrameRule::Form, "a vertex that is not a finite number");
        }
        for v in &mut vertices {
            for n in [&mut v.pos.x, &mut v.pos.y, &mut v.uv.x, &mut v.uv.y] {
                *n = n.clamp(-FAR, FAR);
            }
        }
    }
    Ok(Triangles { indices: mesh.indices.to_vec(), vertices })
}

/// Converts a rectangle, and rejects NaN. Infinite sides are valid: they clip nothing.
fn rect(r: &abi::Rect) -> Result<Rect, FrameError> {
    if r.iter().any(|n| n.is_nan()) {
        return bad(FrameRule::Form, "a rectangle that is not a number");
    }
    // Beyond any screen, and far from the limits of floats.
    let side = |n: f32| n.clamp(-1e6, 1e6);
    Ok(Rect::from_min_max(Pos2::new(side(r[0]), side(r[1])), Pos2::new(side(r[2]), side(r[3]))))
}

#[cfg(test)]
mod tests;
