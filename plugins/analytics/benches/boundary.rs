//! Measures the cost of the boundary: the dashboard linked into this program against the same dashboard as a loaded
//! remote, in one run.
//!
//! The same code differs between processes by more than the compared difference, so many processes measure frames,
//! one after the other.
//!
//! `cargo xtask bench`, or `cargo bench -p pulse-analytics --bench boundary` after
//! `cargo build --release -p pulse-analytics`.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use egui_wgpu::{RenderState, RendererOptions, ScreenDescriptor, wgpu};
use plugin_api::{
    egui::{
        CentralPanel, ClippedPrimitive, Context, Event, Frame, FullOutput, Pos2, RawInput, Rect, Ui, UiBuilder,
        Vec2,
    },
    theme,
    tokens::LIGHT,
};
use pulse::{
    app::FRAME_BUDGET,
    compositor::{Gpu, HostedSurface, Scene},
    config::{Config, Options},
    federation::{Federation, Status},
};
use pulse_analytics::Dashboard;
use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SIZE: Vec2 = Vec2::new(1048.0, 768.0);
/// Frames of a window in one turn, and the number of them that are not counted.
const TURN: usize = 50;
const WARM_UP: usize = 10;
/// Turns of each window in one process.
const ROUNDS: usize = 8;
/// Number of processes, which run one after the other.
const PROCESSES: usize = 16;
const FRAMES: usize = ROUNDS * (TURN - WARM_UP);
/// Frames with many surfaces.
const MANY: usize = 6 * TURN;
const PATIENT: Duration = Duration::from_secs(5);
const LOADS: usize = 40;
/// Measures frames in this process: `--measure DATA_DIR`.
const MEASURE: &str = "--measure";
const ALIAS: &str = "remoteAnalytics";

fn main() -> Outcome<()> {
    // `cargo test --benches` only checks that this program starts.
    if env::args().any(|a| a == "--test") {
        return Ok(());
    }
    if let Some(home) = env::args().skip_while(|argument| argument != MEASURE).nth(1) {
        println!("{}", serde_json::to_string(&frames(Path::new(&home))?)?);
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    println!("One frame of the dashboard at {} × {}, release", SIZE.x, SIZE.y);
    println!("{FRAMES} frames of each window in each of {PROCESSES} processes, in turns");
    compare(home.path())?;
    println!("\nThe same dashboard many times over, below each other");
    many(home.path())?;
    println!("\nLoading the remote, {LOADS} times, each from a fresh private copy");
    loads(home.path())
}

fn options(home: &Path) -> Options {
    Options { config: Some(manifest()), data_dir: Some(home.to_owned()), ..Options::default() }
}

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/host.json")
}

/// Returns the folder of the release libraries: two above this program's.
fn libraries() -> Outcome<PathBuf> {
    let exe = env::current_exe()?;
    Ok(exe.ancestors().nth(2).ok_or("the program lies in no target folder")?.to_owned())
}

fn federation(home: &Path) -> Outcome<(Federation, mpsc::Receiver<()>)> {
    let mut config = Config::load(&Options { plugin_dirs: vec![libraries()?], ..options(home) })?;
    config.auth = negotiation::manifest::AuthConfig::Local;
    // The preflight would start this program as its own process.
    config.preflight = None;
    let (wake, woken) = mpsc::channel();
    let wake = move |_| {
        let _ = wake.send(());
    };
    let mut federation = Federation::start(config, pulse::fonts::all(), Arc::new(wake));
    federation.want(ALIAS);
    loop {
        federation.poll();
        match federation.remotes()[ALIAS].status() {
            Status::Active => return Ok((federation, woken)),
            Status::Failed(failure) => return Err(failure.to_string().into()),
            _ => woken.recv_timeout(Duration::from_secs(30))?,
        }
    }
}

/// A window without a screen. A frame costs its thread everything up to the buffers of the graphics card; recording
/// and drawing are left out, because here the card is a program on the same processors.
struct Window {
    ctx: Context,
    time: f64,
    size: Vec2,
    state: RenderState,
}

impl Window {
    fn new(size: Vec2) -> Self {
        let setup = egui_kittest::wgpu::default_wgpu_setup();
        let state = egui_kittest::wgpu::create_render_state(setup, RendererOptions::default());
        let ctx = Context::default();
        pulse::fonts::install(&ctx);
        Gpu::install(&ctx, &state);
        Self { ctx, time: 0.0, size, state }
    }

    fn frame(&mut self, events: Vec<Event>, mut ui: impl FnMut(&mut Ui)) -> Duration {
        self.time += 1.0 / 60.0;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, self.size));
        let time = Some(self.time);
        let input = RawInput { screen_rect, time, events, max_texture_side: Some(2048), ..RawInput::default() };
        let start = Instant::now();
        let mut output = self.ctx.run_ui(input, |root| {
            theme::apply(root.ctx(), &LIGHT);
            CentralPanel::default().frame(Frame::NONE).show(root, &mut ui);
        });
        let meshes = self.ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        let took = self.draw(&mut output, &meshes, start);
        let waited = self.state.device.poll(wgpu::PollType::wait_indefinitely());
        black_box((meshes, waited)).1.ok();
        took
    }

    #[expect(clippy::iter_over_hash_type, reason = "the order between textures is of no consequence")]
    fn draw(&self, output: &mut FullOutput, meshes: &[ClippedPrimitive], start: Instant) -> Duration {
        let (device, queue) = (&self.state.device, &self.state.queue);
        let mut renderer = self.state.renderer.write();
        for (id, deltas) in output.textures_delta.set.drain() {
            for delta in deltas {
                renderer.update_texture(device, queue, id, &delta);
            }
        }
        let screen = ScreenDescriptor { size_in_pixels: [SIZE.x as u32, SIZE.y as u32], pixels_per_point: 1.0 };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut commands = renderer.update_buffers(device, queue, &mut encoder, meshes, &screen);
        let took = start.elapsed();
        commands.push(encoder.finish());
        queue.submit(commands);
        for id in output.textures_delta.free.drain() {
            renderer.free_texture(&id);
        }
        took
    }

    /// Returns the number of bytes written to the graphics card for surfaces so far.
    fn written(&self) -> u64 {
        Gpu::of(&self.ctx).map_or(0, |gpu| gpu.written())
    }
}

/// Wakes the surface at input, as the shell does, and returns the time that it took.
fn wake(surface: &HostedSurface, events: &[Event]) -> Duration {
    let start = Instant::now();
    if !events.is_empty() {
        surface.wake_ahead();
    }
    start.elapsed()
}

/// Shows the surface, and waits for its frame.
fn show(surface: &mut HostedSurface, ui: &mut Ui, patience: Duration) {
    let scene = Scene { tokens: LIGHT, deadline: Instant::now() + patience };
    surface.ui(ui, &scene);
    surface.finish(ui.ctx(), &scene);
}

/// Measures the frames of a turn, without the first ones.
fn turn(first: usize, times: &mut Vec<Duration>, frame: impl FnMut(usize) -> Duration) {
    times.extend((first..first + TURN).map(frame).skip(WARM_UP));
}

/// Returns a pointer move over the chart, so that every frame shows another hover value.
fn hover(at: usize) -> Vec<Event> {
    let x = 80.0 + (at % 300) as f32 * 3.0;
    vec![Event::PointerMoved(Pos2::new(x, 450.0))]
}

/// Creates a dashboard that is linked into this program.
fn dashboard(home: &Path, name: &str) -> Outcome<(Dashboard, mpsc::Receiver<()>)> {
    let (wake, woken) = mpsc::channel();
    let data = home.join(name);
    fs::create_dir_all(&data)?;
    let dashboard = Dashboard::new(
        data,
        Arc::new(move || {
            let _ = wake.send(());
        }),
    );
    Ok((dashboard, woken))
}

/// Draws until no wake-up has arrived for a second.
fn settle(woken: &mpsc::Receiver<()>, mut frame: impl FnMut()) {
    loop {
        frame();
        if woken.recv_timeout(Duration::from_secs(1)).is_err() {
            return;
        }
        while woken.try_recv().is_ok() {}
    }
}

/// Measures frames in this process.
fn frames(home: &Path) -> Outcome<Frames> {
    let (mut dashboard, woken) = dashboard(home, "linked")?;
    let mut linked = Window::new(SIZE);
    let (mut federation, remote_woken) = federation(home)?;
    let mut surface: HostedSurface = federation.open(ALIAS, "./analytics-dashboard").ok_or("not open")??;
    let (mut host, mut empty) = (Window::new(SIZE), Window::new(SIZE));
    settle(&woken, || {
        linked.frame(vec![], |ui| dashboard.ui(ui, None));
    });
    settle(&remote_woken, || {
        host.frame(vec![], |ui| show(&mut surface, ui, PATIENT));
    });

    let mut of = Frames::default();
    for (kind, events) in [hover as fn(usize) -> Vec<Event>, |_| vec![]].into_iter().enumerate() {
        // Draws the remaining effects of the previous pointer moves.
        settle(&remote_woken, || {
            host.frame(vec![], |ui| show(&mut surface, ui, PATIENT));
        });
        let before = (surface.counts().0, host.written());
        // Each window draws a turn of frames in a row, so the processor's caches hold its own data, as in reality.
        for at in (0..ROUNDS * TURN).step_by(TURN) {
            let samples = &mut of.times[kind * 3..];
            turn(at, &mut samples[0], |at| empty.frame(events(at), |_| ()));
            turn(at, &mut samples[1], |at| linked.frame(events(at), |ui| dashboard.ui(ui, None)));
            turn(at, &mut samples[2], |at| {
                let woken = wake(&surface, &events(at));
                let shown = host.frame(events(at), |ui| show(&mut surface, ui, FRAME_BUDGET));
                if kind == 0 {
                    of.own.extend(surface.last_took());
                    of.late += usize::from(surface.waiting().is_some());
                }
                woken + shown
            });
        }
        of.written[kind] = (host.written() - before.1) / (ROUNDS * TURN) as u64;
        if kind == 1 {
            of.asked = surface.counts().0 - before.0;
        }
    }
    drop(surface);
    federation.shutdown();
    Ok(of)
}

/// The measurements of one process or of all.
#[derive(Default, Serialize, Deserialize)]
struct Frames {
    /// Times of frames, in the order of the report's lines.
    times: [Vec<Duration>; 6],
    /// The remote's own times of active frames.
    own: Vec<Duration>,
    /// Number of answers that arrived after the frame of the window that requested them.
    late: usize,
    /// Number of frames that were requested of the idle remote.
    asked: u64,
    /// Bytes written for a frame, active and retained.
    written: [u64; 2],
}

impl Frames {
    /// Returns the times of linked, remote active and remote retained, without the time of the window alone.
    fn net(&self) -> [Duration; 3] {
        let median = |at: usize| median(&mut self.times[at].clone());
        [1, 2, 5].map(|at| median(at).saturating_sub(median(at / 3 * 3)))
    }

    /// Returns the net times of the remote, active and retained, relative to the linked dashboard.
    fn ratios(&self) -> [f64; 2] {
        let [linked, active, retained] = self.net().map(|d| d.as_secs_f64());
        [active / linked, retained / linked]
    }
}

/// Measures frames in a process of its own.
fn measured(home: &Path) -> Outcome<Frames> {
    let mut command = Command::new(env::current_exe()?);
    let output = command.arg(MEASURE).arg(home).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the measuring process ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures frames in many processes, and reports the linked dashboard against the loaded one.
fn compare(home: &Path) -> Outcome<()> {
    let mut all = Frames::default();
    let mut ratios: [Vec<f64>; 2] = Default::default();
    for _ in 0..PROCESSES {
        let one = measured(home)?;
        for (ratios, ratio) in ratios.iter_mut().zip(one.ratios()) {
            ratios.push(ratio);
        }
        for (all, one) in all.times.iter_mut().zip(one.times) {
            all.extend(one);
        }
        all.own.extend(one.own);
        all.late += one.late;
        all.asked += one.asked;
        all.written = one.written;
    }
    let frames = PROCESSES * ROUNDS * TURN;
    println!("while idle the remote was asked for {} of {frames} frames", all.asked);
    let base = median(&mut all.times[1].clone());
    let names = [
        "window alone",
        "linked, active",
        "remote, active",
        "window alone, idle",
        "linked, idle",
        "remote, retained",
    ];
    for (name, samples) in names.iter().zip(&mut all.times) {
        report(name, samples, Some(base));
    }
    report("of it the remote's own time", &mut all.own, Some(base));
    let ([linked, active, retained], [of_active, of_retained]) = (all.net(), all.ratios());
    println!(
        "above the window alone: linked {linked:.1?}, remote active {active:.1?} ({of_active:.2} ×), retained {retained:.1?} ({of_retained:.3} ×)"
    );
    let [active, retained] = &mut ratios;
    active.sort_by(f64::total_cmp);
    retained.sort_by(f64::total_cmp);
    println!("   active in each process   {active:.2?}");
    println!("   retained in each process {retained:.3?}");
    println!(
        "written to the graphics card in a frame: {} bytes active, {} bytes retained",
        all.written[0], all.written[1]
    );
    println!("answers that came after the frame of the window that asked: {} of {frames}", all.late);
    Ok(())
}

/// Measures many surfaces, of which one changes in each frame.
fn many(home: &Path) -> Outcome<()> {
    let (mut federation, remote_woken) = federation(home)?;
    let (mut linked, mut host) = (Window::new(SIZE), Window::new(SIZE));
    let mut surfaces: Vec<HostedSurface> = Vec::new();
    let mut dashboards = Vec::new();
    for count in [1, 4, 16, 64] {
        while surfaces.len() < count {
            surfaces.push(federation.open(ALIAS, "./analytics-dashboard").ok_or("not open")??);
            dashboards.push(dashboard(home, "linked")?);
        }
        linked.size.y = SIZE.y * count as f32;
        host.size = linked.size;
        let place = |at: usize| Rect::from_min_size(Pos2::new(0.0, at as f32 * SIZE.y), SIZE);
        let linked_ui = |ui: &mut Ui, dashboards: &mut [(Dashboard, mpsc::Receiver<()>)]| {
            for (at, (dashboard, _)) in dashboards.iter_mut().enumerate() {
                let builder = UiBuilder::new().id_salt(at).max_rect(place(at));
                ui.scope_builder(builder, |ui| dashboard.ui(ui, None));
            }
        };
        let surfaces_ui = |ui: &mut Ui, surfaces: &mut [HostedSurface]| {
            let scene = Scene { tokens: LIGHT, deadline: Instant::now() + PATIENT };
            for (at, surface) in surfaces.iter_mut().enumerate() {
                ui.scope_builder(UiBuilder::new().id_salt(at).max_rect(place(at)), |ui| surface.ui(ui, &scene));
            }
            for surface in surfaces.iter_mut() {
                surface.finish(ui.ctx(), &scene);
            }
        };
        linked.frame(vec![], |ui| linked_ui(ui, &mut dashboards));
        let last = dashboards.len() - 1;
        while dashboards[last].1.recv_timeout(Duration::from_secs(1)).is_ok() {
            linked.frame(vec![], |ui| linked_ui(ui, &mut dashboards));
        }
        settle(&remote_woken, || {
            host.frame(vec![], |ui| surfaces_ui(ui, &mut surfaces));
        });
        let before = host.written();
        let mut times: [Vec<Duration>; 2] = Default::default();
        for at in (0..MANY).step_by(TURN) {
            turn(at, &mut times[0], |at| linked.frame(hover(at), |ui| linked_ui(ui, &mut dashboards)));
            turn(at, &mut times[1], |at| {
                let woken = wake(&surfaces[0], &hover(at));
                woken + host.frame(hover(at), |ui| surfaces_ui(ui, &mut surfaces))
            });
        }
        let base = median(&mut times[0].clone());
        report(&format!("{count:2} linked, one moving"), &mut times[0], Some(base));
        report(&format!("{count:2} surfaces, one moving"), &mut times[1], Some(base));
        println!(
            "   written to the graphics card in a frame: {} bytes",
            (host.written() - before) / MANY as u64
        );
    }
    surfaces.clear();
    federation.shutdown();
    Ok(())
}

fn loads(home: &Path) -> Outcome<()> {
    let mut stages: Vec<(&'static str, Vec<Duration>)> = Vec::new();
    for _ in 0..LOADS {
        let start = Instant::now();
        let (mut federation, woken) = federation(home)?;
        let mut surface = federation.open(ALIAS, "./analytics-dashboard").ok_or("not open")??;
        let mut window = Window::new(SIZE);
        while !surface.has_picture() {
            window.frame(vec![], |ui| {
                show(&mut surface, ui, PATIENT);
            });
            if let Some(failure) = surface.failure() {
                return Err(failure.to_string().into());
            }
            if !surface.has_picture() {
                woken.recv_timeout(Duration::from_secs(30))?;
            }
        }
        let whole = start.elapsed();
        let times = federation.remotes()[ALIAS].times();
        for (stage, took) in times.into_iter().chain([("all of it, to the first picture", whole)]) {
            match stages.iter_mut().find(|(name, _)| *name == stage) {
                Some((_, samples)) => samples.push(took),
                None => stages.push((stage, vec![took])),
            }
        }
        drop(surface);
        federation.shutdown();
    }
    for (stage, samples) in &mut stages {
        report(stage, samples, None);
    }
    Ok(())
}

fn median(samples: &mut [Duration]) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

fn report(name: &str, samples: &mut [Duration], base: Option<Duration>) {
    let middle = median(samples);
    let p99 = samples[(samples.len() * 99 / 100).min(samples.len() - 1)];
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let ratio =
        base.map(|b| format!("   {:5.2} ×", middle.as_secs_f64() / b.as_secs_f64())).unwrap_or_default();
    println!("{name:34} median {:8.3} ms   p99 {:8.3} ms{ratio}", ms(middle), ms(p99));
}
