// Draws a remote's triangles in the same colours as egui's painter draws the shell's.

struct Screen {
    // Width and height in points.
    size: vec2<f32>,
    // Left and top of the slot in points.
    origin: vec2<f32>,
};

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
    // Premultiplied, gamma encoded.
    @location(1) color: vec4<f32>,
};

@group(0) @binding(0) var<uniform> screen: Screen;
@group(1) @binding(0) var image: texture_2d<f32>;
@group(1) @binding(1) var image_sampler: sampler;

@vertex
fn corner(@location(0) pos: vec2<f32>, @location(1) uv: vec2<f32>, @location(2) color: vec4<f32>) -> Corner {
    let place = (pos + screen.origin) / screen.size;
    return Corner(vec4<f32>(2.0 * place.x - 1.0, 1.0 - 2.0 * place.y, 0.0, 1.0), uv, color);
}

// Noise of less than one step of eight bits, so that gradients show no bands ("interleaved gradient noise",
// Jimenez 2014).
fn noise(at: vec2<f32>) -> f32 {
    let wave = fract(52.9829189 * fract(0.06711056 * at.x + 0.00583715 * at.y));
    return (wave - 0.5) * 0.95 / 255.0;
}

fn texel(in: Corner) -> vec4<f32> {
    let color = in.color * textureSample(image, image_sampler, in.uv);
    return vec4<f32>(color.rgb + noise(in.position.xy), color.a);
}

// For a target that stores colours as they are.
@fragment
fn encoded(in: Corner) -> @location(0) vec4<f32> {
    return texel(in);
}

// For a target that encodes colours itself.
@fragment
fn linear(in: Corner) -> @location(0) vec4<f32> {
    let color = texel(in);
    let low = color.rgb / 12.92;
    let high = pow((color.rgb + 0.055) / 1.055, vec3<f32>(2.4));
    return vec4<f32>(select(high, low, color.rgb < vec3<f32>(0.04045)), color.a);
}
