//! Frames of remotes, checked once, on entry.
//!
//! A frame is untrusted data: every index, number, size and rectangle is looked at here, and what comes out is
//! owned by the shell, so that it outlives the library that it came from.

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

/// How far away a vertex may be, in points: beyond any screen, and what is computed with it stays finite, here
/// and on the GPU. What is further away is brought to here, as a chart that is zoomed in too far is no misdeed.
pub const FAR: f32 = 1e9;

/// A day is as good as for ever, and no sum of times overflows.
const LONGEST: Duration = Duration::from_hours(24);

/// Limits on the frames of one surface; those on texels, vertices, indices and nodes hold for all surfaces of a remote
/// together. The reasons are with the values, in `limits`.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Vertices in a frame.
    pub vertices: usize,
    /// Indices in a frame.
    pub indices: usize,
    /// Meshes in a frame.
    pub meshes: usize,
    /// Layers that take the pointer outside of the slot; those on top are kept.
    pub overlays: usize,
    /// Textures alive at once.
    pub textures: usize,
    /// Texels of all textures together, and of all changes in a frame.
    pub texels: u64,
    /// Changes of textures in a frame.
    pub updates: usize,
    /// Commands in a frame.
    pub commands: usize,
    /// Bytes of all commands of a frame together, texts and data.
    pub data: usize,
    /// Bytes of the accessibility tree, and of a cursor's name.
    pub text: usize,
    /// Accessibility nodes; those beyond are left out.
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

/// Why a frame is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the frame is not valid and was not shown: {what}")]
pub struct FrameError {
    pub(super) rule: Rule,
    what: String,
}

/// What a frame breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Form,
    Kept,
    Quota,
    Texture,
}

fn bad<T>(rule: Rule, what: impl Into<String>) -> Result<T, FrameError> {
    Err(FrameError { rule, what: what.into() })
}

/// A checked frame, in slot coordinates.
#[derive(Debug, Default)]
pub struct Frame {
    /// What is painted, back to front.
    pub meshes: Vec<Mesh>,
    /// Rectangles above the background, as far as something is painted in them.
    pub overlays: Vec<Rect>,
    /// Changes of textures, in order.
    pub textures: Vec<TextureUpdate>,
    /// What the platform is asked to do.
    pub commands: Vec<abi::Command>,
    /// The pointer's cursor.
    pub cursor: egui::CursorIcon,
    /// Where text is edited, while it is.
    pub ime: Option<egui::output::IMEOutput>,
    /// Whether a control wants the keyboard.
    pub wants_keyboard: bool,
    /// Stands in for a picture that is still being made.
    pub placeholder: bool,
    /// When the surface wants to run again by itself.
    pub repaint_after: Option<Duration>,
    /// Accessibility nodes, where they are other ones than before; or why there are none to be had.
    pub access: Option<Result<egui::accesskit::TreeUpdate, String>>,
    /// Why a picture in it is not shown.
    pub refused: Option<String>,
    /// How long the remote took.
    pub took: Duration,
}

/// Triangles under one texture and clip rectangle.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Clip rectangle.
    pub clip: Rect,
    /// The surface's name of the texture.
    pub texture: u64,
    /// May leave the slot.
    pub overlay: bool,
    /// The same value as in the frame before for a mesh that was kept.
    pub triangles: Arc<Triangles>,
}

/// What is drawn.
#[derive(Debug)]
pub struct Triangles {
    /// Indices into `vertices`, each in range.
    pub indices: Vec<u32>,
    /// Positions and texture coordinates within [`FAR`].
    pub vertices: Vec<epaint::Vertex>,
}

/// A change of a texture that fits the textures that there are.
#[derive(Debug)]
pub enum TextureUpdate {
    /// A whole image, or a part at a position.
    Set {
        /// The surface's name of the texture.
        texture: u64,
        /// Left and top of the part.
        pos: Option<[usize; 2]>,
        /// The texels.
        image: ColorImage,
        /// Sampling.
        options: TextureOptions,
    },
    /// Not needed once this frame is gone.
    Free(u64),
}

/// Checks the frames of one surface; knows which textures it has. `[remote's thread]`
#[derive(Debug, Default)]
pub struct Validator {
    quota: Quota,
    sizes: BTreeMap<u64, [u32; 2]>,
    /// Textures that are too large, and shown as one texel.
    blanks: BTreeSet<u64>,
    share: Share,
    /// Meshes of the last frame that have a name.
    named: BTreeMap<u64, Mesh>,
    max_side: u32,
}

/// The changes of a frame's textures, those that are freed, and why a picture was refused.
type Textures = (Vec<TextureUpdate>, Vec<u64>, Option<String>);

impl Validator {
    /// A validator for textures of at most `max_side` texels a side.
    pub fn new(quota: Quota, max_side: u32) -> Self {
        Self { quota, max_side, ..Self::default() }
    }

    /// Makes the limits hold for all surfaces together that share `held`.
    #[must_use]
    pub fn sharing(self, held: &Held) -> Self {
        Self { share: Share::of(held), ..self }
    }

    /// Checks `frame` and takes it over.
    ///
    /// # Errors
    /// When anything in it cannot be shown as it is; nothing of it is then used.
    pub fn accept(&mut self, frame: abi::Frame) -> Result<Frame, FrameError> {
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
            return bad(Rule::Quota, format!("a text of {length} bytes, more than {}", self.quota.text));
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
        // A remote's AccessKit may be newer than this one; its picture is good all the same.
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
        Ok(Frame {
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
            return bad(Rule::Quota, format!("{} commands, more than {}", commands.len(), self.quota.commands));
        }
        let bytes: usize = commands.iter().map(|c| c.text.len() + c.data.len()).sum();
        if bytes > self.quota.data {
            return bad(Rule::Quota, format!("commands of {bytes} bytes, more than {}", self.quota.data));
        }
        for command in commands.iter().filter(|c| c.kind == abi::CommandKind::COPY_IMAGE) {
            let [width, height] = command.size;
            let texels = u64::from(width) * u64::from(height);
            if texels == 0 || texels.checked_mul(4) != Some(command.data.len() as u64) {
                let length = command.data.len();
                return bad(Rule::Form, format!("an image of {width}×{height} texels with {length} bytes"));
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
                    Rule::Quota,
                    format!("changes of textures without end, more than {}", self.quota.updates),
                );
            }
            let id = update.texture;
            if update.free {
                if !sizes.contains_key(&id) || freed.contains(&id) {
                    return bad(Rule::Texture, format!("it frees texture {id}, which there is not"));
                }
                freed.push(id);
                out.push(TextureUpdate::Free(id));
                continue;
            }
            let [width, height] = update.size;
            let texels = u64::from(width) * u64::from(height);
            if texels.checked_mul(4) != Some(update.pixels.len() as u64) {
                return bad(
                    Rule::Texture,
                    format!("texture {id} of {width}×{height} with {} bytes", update.pixels.len()),
                );
            }
            if texels == 0 {
                return bad(Rule::Texture, format!("texture {id} without texels"));
            }
            // A picture that the device cannot show costs that picture, not the surface.
            let blank = if update.partial { blanks.contains(&id) } else { width.max(height) > self.max_side };
            changed += if blank { 0 } else { texels };
            if changed > self.quota.texels {
                return bad(
                    Rule::Quota,
                    format!("changes of {changed} texels in all, more than {}", self.quota.texels),
                );
            }
            let pos = if update.partial {
                let Some(whole) = sizes.get(&id).filter(|_| !freed.contains(&id)) else {
                    return bad(Rule::Texture, format!("a part of texture {id}, which there is not"));
                };
                let fits = |axis: usize| {
                    update.pos[axis].checked_add(update.size[axis]).is_some_and(|end| end <= whole[axis])
                };
                if !fits(0) || !fits(1) {
                    return bad(Rule::Texture, format!("a part of texture {id} outside of it"));
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
                        Rule::Quota,
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
            out.push(TextureUpdate::Set { texture: id, pos, image, options });
        }
        let texels = texels(sizes, blanks) + others.texels;
        if texels > self.quota.texels {
            return bad(
                Rule::Quota,
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
                    Rule::Kept,
                    format!("it keeps mesh {}, which the frame before did not have", mesh.id),
                );
            }
            let (v, i) = before.map_or((mesh.vertices.len(), mesh.indices.len()), |before| {
                (before.triangles.vertices.len(), before.triangles.indices.len())
            });
            vertices += v;
            indices += i;
            // Before anything is copied.
            if vertices > self.quota.vertices || indices > self.quota.indices || out.len() >= self.quota.meshes
            {
                return bad(
                    Rule::Quota,
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
                    Rule::Texture,
                    format!("a mesh with texture {}, which there is not", checked.texture),
                );
            }
            if mesh.id != 0 && named.insert(mesh.id, checked.clone()).is_some() {
                return bad(Rule::Form, format!("two meshes with the name {}", mesh.id));
            }
            out.push(checked);
        }
        Ok((out, named))
    }
}

/// Returns how a texture is sampled.
fn options(update: &abi::TextureUpdate) -> TextureOptions {
    let filter = |nearest| if nearest { TextureFilter::Nearest } else { TextureFilter::Linear };
    TextureOptions {
        magnification: filter(update.nearest),
        minification: filter(update.nearest_small),
        wrap_mode: match update.wrap {
            1 => TextureWrapMode::Repeat,
            2 => TextureWrapMode::MirroredRepeat,
            // What is not known yet is shown as the simplest.
            _ => TextureWrapMode::ClampToEdge,
        },
        mipmap_mode: None,
    }
}

/// Returns the number of texels that textures have on the device.
fn texels(sizes: &BTreeMap<u64, [u32; 2]>, blanks: &BTreeSet<u64>) -> u64 {
    let shown = sizes.iter().filter(|(id, _)| !blanks.contains(id));
    shown.map(|(_, [width, height])| u64::from(*width) * u64::from(*height)).sum()
}

/// Returns the parts of `places` in which an overlay is painted: where nothing is seen, the pointer is the shell's.
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

/// Copies the triangles of a mesh.
fn triangles(mesh: &abi::ClippedMesh) -> Result<Triangles, FrameError> {
    if !mesh.indices.len().is_multiple_of(3) {
        return bad(Rule::Form, format!("{} indices do not make triangles", mesh.indices.len()));
    }
    let count = mesh.vertices.len();
    if let Some(index) = mesh.indices.iter().copied().max().filter(|i| *i as usize >= count) {
        return bad(Rule::Form, format!("index {index} of {count} vertices"));
    }
    let mut vertices: Vec<epaint::Vertex> = bytemuck::cast_slice(&mesh.vertices).to_vec();
    // One pass without branches for what every good mesh is; NaN is not within either.
    let within = |v: &epaint::Vertex| {
        (v.pos.x.abs() <= FAR) & (v.pos.y.abs() <= FAR) & (v.uv.x.abs() <= FAR) & (v.uv.y.abs() <= FAR)
    };
    if !vertices.iter().fold(true, |all, v| all & within(v)) {
        if !vertices.iter().all(|v| v.pos.is_finite() && v.uv.is_finite()) {
            return bad(Rule::Form, "a vertex that is not a finite number");
        }
        for v in &mut vertices {
            for n in [&mut v.pos.x, &mut v.pos.y, &mut v.uv.x, &mut v.uv.y] {
                *n = n.clamp(-FAR, FAR);
            }
        }
    }
    Ok(Triangles { indices: mesh.indices.to_vec(), vertices })
}

/// A rectangle without NaN. Infinite sides are well-defined: they clip nothing.
fn rect(r: &abi::Rect) -> Result<Rect, FrameError> {
    if r.iter().any(|n| n.is_nan()) {
        return bad(Rule::Form, "a rectangle that is not a number");
    }
    // Beyond any screen, and still far from where floats run out.
    let side = |n: f32| n.clamp(-1e6, 1e6);
    Ok(Rect::from_min_max(Pos2::new(side(r[0]), side(r[1])), Pos2::new(side(r[2]), side(r[3]))))
}

#[cfg(test)]
mod tests;
