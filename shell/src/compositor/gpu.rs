//! Pictures of remotes on the graphics card.
//!
//! Triangles and textures are written to the card when a frame brings them, and stay there as long as later frames
//! keep them.
//! A frame of the window writes nothing for a surface without a new picture; one that moves costs sixteen bytes.
//! All data here has passed the [`Validator`](super::frame::Validator).

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use egui::{
    Context, Id, PaintCallbackInfo, Rect, Shape, TextureFilter, TextureOptions, TextureWrapMode, Vec2,
    epaint::Vertex,
};
use egui_wgpu::{Callback, CallbackResources, CallbackTrait, RenderState, ScreenDescriptor, wgpu};
use parking_lot::Mutex;
use range_alloc::RangeAllocator;

use super::frame::{Mesh, TextureChange, Triangles};
use crate::limits;

/// Renderer shared by the surfaces of a window. `[window's thread]`
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipeline: wgpu::RenderPipeline,
    screen: wgpu::BindGroupLayout,
    image: wgpu::BindGroupLayout,
    samplers: Mutex<HashMap<TextureOptions, wgpu::Sampler>>,
    written: AtomicU64,
}

/// The largest side of a texture that the device can show.
static SIDE: AtomicU32 = AtomicU32::new(limits::TEXTURE_SIDE);

/// Returns the largest side of a remote's texture, in texels.
pub(crate) fn texture_side() -> u32 {
    SIDE.load(Ordering::Relaxed).min(limits::TEXTURE_SIDE)
}

impl Gpu {
    /// Makes the surfaces in `ctx` draw with `state`; without a call, they do everything but draw.
    pub fn install(ctx: &Context, state: &RenderState) {
        SIDE.store(state.device.limits().max_texture_dimension_2d, Ordering::Relaxed);
        let gpu = Arc::new(Self::new(state));
        ctx.data_mut(|data| data.insert_temp(Id::NULL, gpu));
    }

    /// Returns the renderer of the surfaces in `ctx`; `None` if none is installed.
    pub fn of(ctx: &Context) -> Option<Arc<Self>> {
        ctx.data(|data| data.get_temp(Id::NULL))
    }

    /// Returns the bytes written to the card since the start: triangles, textures and positions.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn new(state: &RenderState) -> Self {
        let device = &state.device;
        let layout = |entries: &[wgpu::BindGroupLayoutEntry]| {
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: LABEL, entries })
        };
        let entry =
            |binding, visibility, ty| wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None };
        let screen = layout(&[entry(
            0,
            wgpu::ShaderStages::VERTEX,
            wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: false,
                min_binding_size: None,
            },
        )]);
        let image = layout(&[
            entry(
                0,
                wgpu::ShaderStages::FRAGMENT,
                wgpu::BindingType::Texture {
                    sample_type: wgpu::TextureSampleType::Float { filterable: true },
                    view_dimension: wgpu::TextureViewDimension::D2,
                    multisampled: false,
                },
            ),
            entry(
                1,
                wgpu::ShaderStages::FRAGMENT,
                wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
            ),
        ]);
        Self {
            pipeline: pipeline(device, state.target_format, &screen, &image),
            samplers: Mutex::default(),
            device: device.clone(),
            queue: state.queue.clone(),
            screen,
            image,
            written: AtomicU64::new(0),
        }
    }

    fn sampler(&self, options: TextureOptions) -> wgpu::Sampler {
        let make = || {
            let filter = |filter| match filter {
                TextureFilter::Nearest => wgpu::FilterMode::Nearest,
                TextureFilter::Linear => wgpu::FilterMode::Linear,
            };
            let address = match options.wrap_mode {
                TextureWrapMode::ClampToEdge => wgpu::AddressMode::ClampToEdge,
                TextureWrapMode::Repeat => wgpu::AddressMode::Repeat,
                TextureWrapMode::MirroredRepeat => wgpu::AddressMode::MirrorRepeat,
            };
            self.device.create_sampler(&wgpu::SamplerDescriptor {
                label: LABEL,
                mag_filter: filter(options.magnification),
                min_filter: filter(options.minification),
                address_mode_u: address,
                address_mode_v: address,
                ..wgpu::SamplerDescriptor::default()
            })
        };
        self.samplers.lock().entry(options).or_insert_with(make).clone()
    }

    fn buffer(&self, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let usage = usage | wgpu::BufferUsages::COPY_DST;
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: LABEL,
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.queue.write_buffer(buffer, offset, bytes);
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

const LABEL: Option<&str> = Some("pulse surface");

/// Creates the pipeline, with egui's blending: colours are premultiplied.
fn pipeline(
    device: &wgpu::Device,
    format: wgpu::TextureFormat,
    screen: &wgpu::BindGroupLayout,
    image: &wgpu::BindGroupLayout,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: LABEL,
        source: wgpu::ShaderSource::Wgsl(include_str!("gpu.wgsl").into()),
    });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: LABEL,
        bind_group_layouts: &[Some(screen), Some(image)],
        immediate_size: 0,
    });
    let over = |src_factor, dst_factor| wgpu::BlendComponent {
        src_factor,
        dst_factor,
        operation: wgpu::BlendOperation::Add,
    };
    let blend = wgpu::BlendState {
        color: over(wgpu::BlendFactor::One, wgpu::BlendFactor::OneMinusSrcAlpha),
        alpha: over(wgpu::BlendFactor::OneMinusDstAlpha, wgpu::BlendFactor::One),
    };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: LABEL,
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Vertex>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Float32x2, 1 => Float32x2, 2 => Unorm8x4],
            })],
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(if format.is_srgb() { "linear" } else { "encoded" }),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format,
                blend: Some(blend),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        multiview_mask: None,
        cache: None,
    })
}

/// Resources of a surface on the card. `[window's thread]`
pub(super) struct Canvas {
    gpu: Arc<Gpu>,
    images: BTreeMap<u64, Image>,
    vertices: BufferPool,
    indices: BufferPool,
    placed: HashMap<*const Triangles, Placed>,
    layers: [Arc<Mutex<Layer>>; 2],
}

struct Image {
    texture: wgpu::Texture,
    bind: wgpu::BindGroup,
}

struct Placed {
    #[expect(dead_code, reason = "keeps the address, the key of this entry, from being reused")]
    triangles: Arc<Triangles>,
    vertices: Range<u64>,
    indices: Range<u64>,
}

/// A buffer from which ranges are allocated.
struct BufferPool {
    buffer: wgpu::Buffer,
    usage: wgpu::BufferUsages,
    /// Size of an element in bytes.
    stride: u64,
    ranges: RangeAllocator<u64>,
}

/// Meshes that are drawn by one callback: the slot's, or the overlays'.
struct Layer {
    pipeline: wgpu::RenderPipeline,
    screen: Arc<Screen>,
    buffers: Option<(wgpu::Buffer, wgpu::Buffer)>,
    draws: Vec<Draw>,
    origin: Vec2,
}

struct Draw {
    /// In slot coordinates.
    clip: Rect,
    image: wgpu::BindGroup,
    indices: Range<u32>,
    base: i32,
}

/// Uniform buffer with the screen's size and the slot's origin.
struct Screen {
    gpu: Arc<Gpu>,
    buffer: wgpu::Buffer,
    bind: wgpu::BindGroup,
    is: Mutex<[u8; 16]>,
}

impl Canvas {
    pub(super) fn new(gpu: Arc<Gpu>) -> Self {
        let buffer = gpu.buffer(16, wgpu::BufferUsages::UNIFORM);
        let bind = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: LABEL,
            layout: &gpu.screen,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
        });
        let screen = Arc::new(Screen { gpu: Arc::clone(&gpu), buffer, bind, is: Mutex::default() });
        let layer = || {
            let (pipeline, screen) = (gpu.pipeline.clone(), Arc::clone(&screen));
            Arc::new(Mutex::new(Layer {
                pipeline,
                screen,
                buffers: None,
                draws: Vec::new(),
                origin: Vec2::ZERO,
            }))
        };
        Self {
            images: BTreeMap::new(),
            vertices: BufferPool::new(&gpu, wgpu::BufferUsages::VERTEX, size_of::<Vertex>() as u64),
            indices: BufferPool::new(&gpu, wgpu::BufferUsages::INDEX, size_of::<u32>() as u64),
            placed: HashMap::new(),
            layers: [layer(), layer()],
            gpu,
        }
    }

    /// Creates or changes a texture.
    pub(super) fn apply(&mut self, update: &TextureChange) {
        let TextureChange::Set { texture, pos, image, options } = update else { return };
        let [width, height] = image.size.map(|side| side as u32);
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        let [x, y] = pos.unwrap_or_default().map(|side| side as u32);
        if pos.is_none() {
            let made = self.image(size, *options);
            self.images.insert(*texture, made);
        }
        let Some(Image { texture, .. }) = self.images.get(texture) else { return };
        let bytes: &[u8] = bytemuck::cast_slice(&image.pixels);
        self.gpu.queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture,
                mip_level: 0,
                origin: wgpu::Origin3d { x, y, z: 0 },
                aspect: wgpu::TextureAspect::All,
            },
            bytes,
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(width * 4), rows_per_image: None },
            size,
        );
        self.gpu.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    /// Drops a texture.
    pub(super) fn free(&mut self, texture: u64) {
        self.images.remove(&texture);
    }

    fn image(&self, size: wgpu::Extent3d, options: TextureOptions) -> Image {
        let Gpu { device, image, .. } = &*self.gpu;
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: LABEL,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            // Not an sRGB format, which decodes: the shader multiplies encoded colours, as egui's does.
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let sampler = self.gpu.sampler(options);
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let bind = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: LABEL,
            layout: image,
            entries: &[
                entry(0, wgpu::BindingResource::TextureView(&view)),
                entry(1, wgpu::BindingResource::Sampler(&sampler)),
            ],
        });
        Image { texture, bind }
    }

    /// Replaces the meshes by `meshes`, and writes those that are new.
    pub(super) fn place(&mut self, meshes: &[Mesh]) {
        let key = |mesh: &Mesh| Arc::as_ptr(&mesh.triangles);
        let wanted: HashMap<_, _> = meshes.iter().map(|mesh| (key(mesh), &mesh.triangles)).collect();
        self.placed.retain(|key, placed| {
            let stays = wanted.contains_key(key);
            if !stays {
                self.vertices.free(&placed.vertices);
                self.indices.free(&placed.indices);
            }
            stays
        });
        if !meshes.iter().all(|mesh| self.put(&mesh.triangles)) {
            self.grow(meshes);
        }
        let buffers = (self.vertices.buffer.clone(), self.indices.buffer.clone());
        for (overlay, layer) in [false, true].into_iter().zip(&self.layers) {
            let mut layer = layer.lock();
            layer.buffers = Some(buffers.clone());
            layer.draws = meshes
                .iter()
                .filter(|mesh| mesh.overlay == overlay)
                .filter_map(|mesh| {
                    let placed = self.placed.get(&key(mesh))?;
                    let image = self.images.get(&mesh.texture)?.bind.clone();
                    let indices = placed.indices.start as u32..placed.indices.end as u32;
                    Some(Draw { clip: mesh.clip, image, indices, base: placed.vertices.start as i32 })
                })
                .collect();
        }
    }

    /// Writes triangles that are not on the card yet; returns `false` if there is no room.
    fn put(&mut self, triangles: &Arc<Triangles>) -> bool {
        let key = Arc::as_ptr(triangles);
        if triangles.indices.is_empty() || self.placed.contains_key(&key) {
            return true;
        }
        let Some(vertices) = self.vertices.allocate(triangles.vertices.len()) else { return false };
        let Some(indices) = self.indices.allocate(triangles.indices.len()) else {
            self.vertices.free(&vertices);
            return false;
        };
        self.vertices.write(&self.gpu, &vertices, bytemuck::cast_slice(&triangles.vertices));
        self.indices.write(&self.gpu, &indices, bytemuck::cast_slice(&triangles.indices));
        self.placed.insert(key, Placed { triangles: Arc::clone(triangles), vertices, indices });
        true
    }

    /// Moves to buffers with room for twice the size of `meshes`.
    fn grow(&mut self, meshes: &[Mesh]) {
        let count = |of: fn(&Triangles) -> usize| meshes.iter().map(|m| of(&m.triangles) as u64).sum::<u64>();
        self.vertices = self.vertices.with_room(&self.gpu, count(|t| t.vertices.len()) * 2);
        self.indices = self.indices.with_room(&self.gpu, count(|t| t.indices.len()) * 2);
        self.placed.clear();
        for mesh in meshes {
            self.put(&mesh.triangles);
        }
    }

    /// Returns the shape that paints the slot, or the overlays, within `clip`, with the slot's corner at `origin`. It
    /// shows the meshes that are placed last when the window's frame is drawn.
    pub(super) fn shape(&self, overlay: bool, clip: Rect, origin: Vec2) -> Option<Shape> {
        let shared = &self.layers[usize::from(overlay)];
        let mut layer = shared.lock();
        layer.origin = origin;
        // The slot's meshes may still arrive in this frame of the window; overlays are painted at its end.
        let wanted = !overlay || !layer.draws.is_empty();
        wanted.then(|| Shape::Callback(Callback::new_paint_callback(clip, Paint(Arc::clone(shared)))))
    }
}

impl BufferPool {
    fn new(gpu: &Gpu, usage: wgpu::BufferUsages, stride: u64) -> Self {
        let capacity = 4096;
        let buffer = gpu.buffer(capacity * stride, usage);
        Self { buffer, usage, stride, ranges: RangeAllocator::new(0..capacity) }
    }

    fn with_room(&self, gpu: &Gpu, elements: u64) -> Self {
        let capacity = elements.max(self.ranges.initial_range().end);
        let buffer = gpu.buffer(capacity * self.stride, self.usage);
        Self { buffer, ranges: RangeAllocator::new(0..capacity), ..*self }
    }

    fn allocate(&mut self, elements: usize) -> Option<Range<u64>> {
        self.ranges.allocate_range(elements as u64).ok()
    }

    fn free(&mut self, range: &Range<u64>) {
        self.ranges.free_range(range.clone());
    }

    fn write(&self, gpu: &Gpu, range: &Range<u64>, bytes: &[u8]) {
        gpu.write(&self.buffer, range.start * self.stride, bytes);
    }
}

struct Paint(Arc<Mutex<Layer>>);

impl CallbackTrait for Paint {
    fn prepare(
        &self,
        _: &wgpu::Device,
        _: &wgpu::Queue,
        screen: &ScreenDescriptor,
        _: &mut wgpu::CommandEncoder,
        _: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let layer = self.0.lock();
        let [width, height] = screen.size_in_pixels.map(|side| side as f32 / screen.pixels_per_point);
        layer.screen.set([width, height, layer.origin.x, layer.origin.y]);
        Vec::new()
    }

    fn paint(&self, info: PaintCallbackInfo, pass: &mut wgpu::RenderPass<'static>, _: &CallbackResources) {
        let layer = self.0.lock();
        let Some((vertices, indices)) = &layer.buffers else { return };
        let [width, height] = info.screen_size_px;
        let bounds = info.clip_rect_in_pixels();
        let pixels = |points: f32, least: i32, most: i32| {
            ((points * info.pixels_per_point).round() as i32).clamp(least, most.max(least))
        };
        let (right, bottom) = (bounds.left_px + bounds.width_px, bounds.top_px + bounds.height_px);
        pass.set_viewport(0.0, 0.0, width as f32, height as f32, 0.0, 1.0);
        pass.set_pipeline(&layer.pipeline);
        pass.set_bind_group(0, &layer.screen.bind, &[]);
        pass.set_vertex_buffer(0, vertices.slice(..));
        pass.set_index_buffer(indices.slice(..), wgpu::IndexFormat::Uint32);
        let mut image = None;
        for draw in &layer.draws {
            let clip = draw.clip.translate(layer.origin);
            let left = pixels(clip.min.x, bounds.left_px, right);
            let top = pixels(clip.min.y, bounds.top_px, bottom);
            let size = [pixels(clip.max.x, left, right) - left, pixels(clip.max.y, top, bottom) - top];
            if size.contains(&0) {
                continue;
            }
            pass.set_scissor_rect(left as u32, top as u32, size[0] as u32, size[1] as u32);
            if image != Some(&draw.image) {
                pass.set_bind_group(1, &draw.image, &[]);
                image = Some(&draw.image);
            }
            pass.draw_indexed(draw.indices.clone(), draw.base, 0..1);
        }
    }
}

impl Screen {
    fn set(&self, to: [f32; 4]) {
        let mut is = self.is.lock();
        let bytes: [u8; 16] = bytemuck::cast(to);
        if *is != bytes {
            *is = bytes;
            self.gpu.write(&self.buffer, 0, &bytes);
        }
    }
}
