//! Invariants of frames for arbitrary results of a remote: the body of the fuzz target `frame`, which the tests run
//! on its seeds. It compares the validator with a slow and plain model of the contract's rules.

use std::collections::{BTreeMap, BTreeSet};

use egui::Rect;
use plugin_api::abi::{self, ClippedMesh, Command, CommandKind, Ime, NEVER, TextureUpdate, Vertex};

use crate::compositor::frame::{self, CheckedFrame, FAR, Quota, Validator};

/// A quota so small that few bytes reach each limit.
pub const QUOTA: Quota = Quota {
    vertices: 64,
    indices: 96,
    meshes: 8,
    overlays: 6,
    textures: 4,
    texels: 400,
    updates: 6,
    commands: 4,
    data: 100,
    text: 64,
    nodes: 16,
};

/// Largest side of a texture, in texels.
pub const SIDE: u32 = 16;

/// Counts of a sequence of frames.
#[derive(Debug, Default)]
pub struct Seen {
    /// Accepted frames.
    pub accepted: usize,
    /// Refused frames.
    pub refused: usize,
    /// Meshes of accepted frames.
    pub meshes: usize,
    /// Meshes of these that the remote had marked as kept.
    pub kept: usize,
}

/// Checks that the validator accepts exactly the frames that the rules allow, without changing them, and that a
/// refusal does not change its state.
pub fn frame(bytes: &[u8]) -> Seen {
    let mut choices = Choices(bytes);
    let mut validator = Validator::new(QUOTA, SIDE);
    let (mut model, mut seen) = (Model::default(), Seen::default());
    for _ in 0..8 {
        if choices.0.is_empty() {
            break;
        }
        let mut given = choices.frame();
        if seen.accepted + seen.refused == 0 {
            // Most surfaces begin with textures.
            let atlas = (0..2).map(|texture| TextureUpdate { texture, ..choices.texture_of(0, [8, 8]) });
            given.textures = atlas.chain(given.textures).collect();
        }
        let allowed = model.judge(&given);
        match (validator.accept(given.clone()), allowed) {
            (Ok(taken), Some((next, meshes))) => {
                is_as_given(&taken, &meshes, &given);
                next.has(&taken);
                seen.accepted += 1;
                seen.meshes += meshes.len();
                seen.kept += given.meshes.iter().filter(|mesh| mesh.kept).count();
                model = next.after();
            }
            (Err(error), None) => {
                let text = error.to_string();
                assert!(text.len() < 500, "{text}");
                seen.refused += 1;
            }
            (Ok(_), None) => panic!("accepted against the rules: {given:?}"),
            (Err(error), Some(_)) => panic!("refused without a broken rule ({error}): {given:?}"),
        }
    }
    seen
}

/// Checks that the accepted frame is the given one, with coordinates clamped and overlays limited.
fn is_as_given(taken: &CheckedFrame, meshes: &[ClippedMesh], given: &abi::Frame) {
    assert_eq!(taken.meshes.len(), meshes.len());
    for (mesh, given) in taken.meshes.iter().zip(meshes) {
        assert_eq!((mesh.texture, mesh.overlay), (given.texture, given.overlay));
        assert!(mesh.clip.min.is_finite() && mesh.clip.max.is_finite());
        let frame::Triangles { indices, vertices, .. } = &*mesh.triangles;
        assert_eq!(indices[..], given.indices[..]);
        assert!(indices.len() % 3 == 0 && indices.iter().all(|index| (*index as usize) < vertices.len()));
        assert_eq!(vertices.len(), given.vertices.len());
        for (vertex, given) in vertices.iter().zip(&given.vertices) {
            let taken = [vertex.pos.x, vertex.pos.y, vertex.uv.x, vertex.uv.y];
            let given = [given.pos[0], given.pos[1], given.uv[0], given.uv[1]];
            assert!(taken.iter().all(|n| n.abs() <= FAR));
            let near = given.map(|n| n.clamp(-FAR, FAR).to_bits());
            assert_eq!(taken.map(f32::to_bits), near);
        }
    }
    let rectangles = taken.overlays.iter().copied();
    assert!(rectangles.into_iter().all(|r: Rect| r.min.is_finite() && r.max.is_finite()));
    assert!(taken.overlays.len() <= given.overlays.len().min(QUOTA.overlays));
    assert_eq!(taken.commands.len(), given.commands.len());
    assert!(taken.repaint_after.is_none_or(|delay| delay.as_secs() <= 24 * 60 * 60));
    let vertices: usize = taken.meshes.iter().map(|mesh| mesh.triangles.vertices.len()).sum();
    let indices: usize = taken.meshes.iter().map(|mesh| mesh.triangles.indices.len()).sum();
    assert!(vertices <= QUOTA.vertices && indices <= QUOTA.indices && taken.meshes.len() <= QUOTA.meshes);
}

/// The host's state of a surface.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Size of each texture, and `true` if this frame frees it.
    textures: BTreeMap<u64, ([u32; 2], bool)>,
    /// Textures that are too large to be shown; they are blank.
    blanks: BTreeSet<u64>,
    /// The last frame's meshes with an id, in full.
    named: BTreeMap<u64, ClippedMesh>,
}

impl Model {
    /// Returns the state with `frame`, and its meshes in full; `None` if it breaks a rule.
    fn judge(&self, frame: &abi::Frame) -> Option<(Self, Vec<ClippedMesh>)> {
        let (textures, blanks) = (self.textures.clone(), self.blanks.clone());
        let mut next = Self { textures, blanks, named: BTreeMap::new() };
        let mut changed = 0;
        for update in &frame.textures {
            changed += next.change(update)?;
        }
        let shown = next.textures.iter().filter(|(texture, _)| !next.blanks.contains(texture));
        let held: u64 = shown.map(|(_, ([w, h], _))| u64::from(*w) * u64::from(*h)).sum();
        let mut meshes = Vec::new();
        for given in &frame.meshes {
            let mut mesh = given.clone();
            if given.kept {
                let before = self.named.get(&given.id)?;
                mesh = ClippedMesh { clip: given.clip, overlay: given.overlay, ..before.clone() };
            }
            let numbers = |v: &Vertex| v.pos.iter().chain(&v.uv).all(|n| n.is_finite());
            let good = mesh.indices.len() % 3 == 0
                && mesh.indices.iter().all(|index| (*index as usize) < mesh.vertices.len())
                && mesh.vertices.iter().all(numbers)
                && is_rect(&given.clip)
                && next.textures.contains_key(&mesh.texture)
                && (given.id == 0 || next.named.insert(given.id, mesh.clone()).is_none());
            if !good {
                return None;
            }
            meshes.push(mesh);
        }
        let image = |c: &Command| {
            let [width, height] = c.size.map(u64::from);
            width > 0 && height > 0 && u128::from(width) * u128::from(height) * 4 == c.data.len() as u128
        };
        let fits = changed <= QUOTA.texels
            && held <= QUOTA.texels
            && frame.textures.len() <= QUOTA.updates
            && meshes.len() <= QUOTA.meshes
            && meshes.iter().map(|mesh| mesh.vertices.len()).sum::<usize>() <= QUOTA.vertices
            && meshes.iter().map(|mesh| mesh.indices.len()).sum::<usize>() <= QUOTA.indices
            && frame.commands.len() <= QUOTA.commands
            && frame.commands.iter().map(|c| c.text.len() + c.data.len()).sum::<usize>() <= QUOTA.data
            && frame.cursor.len() <= QUOTA.text
            && frame.access.len() <= QUOTA.text;
        let good = fits
            && frame.overlays.iter().all(is_rect)
            && frame.ime.as_ref().into_option().is_none_or(|ime| is_rect(&ime.field) && is_rect(&ime.cursor))
            && frame.commands.iter().filter(|c| c.kind == CommandKind::COPY_IMAGE).all(image);
        good.then_some((next, meshes))
    }

    /// Changes a texture, and returns the number of new texels; `None` if a rule forbids it.
    fn change(&mut self, update: &TextureUpdate) -> Option<u64> {
        let [width, height] = update.size;
        let there = self.textures.get(&update.texture).filter(|(_, freed)| !freed).map(|(size, _)| *size);
        if update.free {
            self.textures.insert(update.texture, (there?, true));
            return Some(0);
        }
        let texels = u64::from(width) * u64::from(height);
        if texels == 0 || u128::from(texels) * 4 != update.pixels.len() as u128 {
            return None;
        }
        let blank =
            if update.partial { self.blanks.contains(&update.texture) } else { width.max(height) > SIDE };
        let costs = if blank { 0 } else { texels };
        if update.partial {
            let whole = there?;
            let inside = (0..2).all(|axis| {
                u64::from(update.pos[axis]) + u64::from(update.size[axis]) <= u64::from(whole[axis])
            });
            return inside.then_some(costs);
        }
        self.textures.insert(update.texture, (update.size, false));
        if blank {
            self.blanks.insert(update.texture);
        } else {
            self.blanks.remove(&update.texture);
        }
        (self.textures.len() <= QUOTA.textures).then_some(costs)
    }

    /// Checks that all textures of `taken` exist here, with valid images.
    fn has(&self, taken: &CheckedFrame) {
        for update in &taken.textures {
            if let frame::TextureChange::Set { texture, image, .. } = update {
                assert_eq!(image.pixels.len(), image.size[0] * image.size[1]);
                assert!(image.size.iter().all(|side| (1..=SIDE as usize).contains(side)));
                assert!(self.textures.contains_key(texture));
            }
        }
        assert!(taken.meshes.iter().all(|mesh| self.textures.contains_key(&mesh.texture)));
        assert!(self.textures.len() <= QUOTA.textures);
    }

    /// Returns the state for the next frame.
    fn after(mut self) -> Self {
        self.textures.retain(|_, (_, freed)| !*freed);
        self.blanks.retain(|texture| self.textures.contains_key(texture));
        self
    }
}

fn is_rect(rect: &abi::Rect) -> bool {
    rect.iter().all(|side| !side.is_nan())
}

/// Bytes as choices; after their end the first option is chosen.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn below(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    /// Returns `true` for few values of a byte.
    fn seldom(&mut self) -> bool {
        self.byte() >= 248
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([0; 4].map(|_: u8| self.byte()))
    }

    fn number(&mut self) -> f32 {
        match self.byte() {
            253..=255 => {
                *[f32::NAN, f32::INFINITY, f32::NEG_INFINITY].get(usize::from(self.below(12))).unwrap_or(&0.0)
            }
            252 => f32::MAX,
            251 => -1e38,
            250 => f32::MIN_POSITIVE / 2.0,
            249 => f32::from_bits(self.word()),
            byte => f32::from(byte) - 50.0,
        }
    }

    fn rect(&mut self) -> abi::Rect {
        [0; 4].map(|_| self.number())
    }

    fn text(&mut self, most: u8) -> String {
        let length = usize::from(self.below(most)) + if self.seldom() { 60 } else { 0 };
        let (text, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn frame(&mut self) -> abi::Frame {
        let textures = (0..self.below(4) / 2).map(|_| self.texture()).collect();
        let meshes = (0..self.below(6)).map(|at| self.mesh(at)).collect();
        let mut frame = abi::Frame { textures, meshes, repaint_after: NEVER, ..abi::Frame::default() };
        let parts = self.byte();
        let has = |bit: u8| parts & (1 << bit) != 0;
        if has(0) {
            frame.overlays = (0..self.below(9) + self.below(17) / 16).map(|_| self.rect()).collect();
        }
        if has(1) {
            frame.commands = (0..self.below(4) + self.below(17) / 16 * 2).map(|_| self.command()).collect();
        }
        if has(2) {
            frame.cursor = self.text(40).into();
        }
        if has(3) {
            frame.access = self.text(40).into();
        }
        if has(4) {
            let ime = Ime { field: self.rect(), cursor: self.rect(), purpose: self.word(), interrupt: has(5) };
            frame.ime = Some(ime).into();
        }
        if has(6) {
            frame.repaint_after = u64::from(self.word()) << self.below(33);
        }
        frame
    }

    fn texture(&mut self) -> TextureUpdate {
        let kind = self.below(12);
        let length = |choices: &mut Self| {
            if choices.seldom() { choices.word() } else { 1 + u32::from(choices.below(6)) }
        };
        let size = [length(self), length(self)];
        self.texture_of(kind, size)
    }

    fn texture_of(&mut self, kind: u8, size: [u32; 2]) -> TextureUpdate {
        let texture = u64::from(self.below(5));
        let pos = [0; 2].map(|_: u8| if self.seldom() { self.word() } else { u32::from(self.below(4)) });
        let whole = u64::from(size[0]).saturating_mul(u64::from(size[1])).saturating_mul(4).min(4_000);
        let missing = if self.seldom() { u64::from(self.byte()) } else { 0 };
        let pixels = vec![200; whole.saturating_sub(missing) as usize].into();
        let (free, partial) = (kind == 11, (8..11).contains(&kind));
        let nearest = kind & 1 == 1;
        TextureUpdate {
            texture,
            free,
            partial,
            nearest,
            nearest_small: !nearest,
            wrap: kind,
            pos,
            size,
            pixels,
        }
    }

    fn mesh(&mut self, at: u8) -> ClippedMesh {
        let id = u64::from(if self.seldom() { self.below(6) } else { at + 1 });
        let texture = u64::from(if self.seldom() { self.below(5) } else { self.below(2) });
        let kind = self.byte();
        let count = if self.seldom() { self.below(80) } else { self.below(5) };
        let vertices = (0..count).map(|_| Vertex {
            pos: [self.number(), self.number()],
            uv: [self.number(), self.number()],
            color: [kind; 4],
        });
        let vertices: Vec<Vertex> = vertices.collect();
        let corners = if count == 0 { 0 } else { 3 * self.below(4) } + u8::from(self.seldom());
        let indices =
            (0..corners).map(|_| if self.seldom() { self.word() } else { u32::from(self.below(count.max(1))) });
        let indices: Vec<u32> = indices.collect();
        ClippedMesh {
            id,
            kept: kind % 8 == 4,
            clip: self.rect(),
            texture,
            overlay: kind & 1 == 1,
            indices: indices.into(),
            vertices: vertices.into(),
        }
    }

    fn command(&mut self) -> Command {
        let kind = if self.seldom() { CommandKind(self.word()) } else { CommandKind(self.below(9).into()) };
        let size = [0; 2].map(|_: u8| if self.seldom() { 0 } else { 1 + u32::from(self.below(3)) });
        let length = match self.seldom() {
            true => usize::from(self.byte()),
            false if kind == CommandKind::COPY_IMAGE => (size[0] * size[1] * 4) as usize,
            false => usize::from(self.below(9)),
        };
        Command { flag: self.seldom(), text: self.text(12).into(), size, data: vec![7; length].into(), kind }
    }
}
