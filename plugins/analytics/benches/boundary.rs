//! What the boundary costs: the dashboard linked into this program, and the same dashboard as a loaded remote,
//! side by side in one run.
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
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use plugin_api::{
    egui::{CentralPanel, Context, Event, Frame, Pos2, RawInput, Rect, Ui, Vec2},
    theme,
    tokens::LIGHT,
};
use pulse::{
    compositor::{Scene, Surface},
    config::{Config, Options},
    federation::{Federation, Status},
};
use pulse_analytics::Dashboard;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SIZE: Vec2 = Vec2::new(1048.0, 768.0);
const WARM_UP: usize = 60;
const FRAMES: usize = 600;
const LOADS: usize = 40;
const ALIAS: &str = "remoteAnalytics";

fn main() -> Outcome<()> {
    // `cargo test --benches` only asks whether this starts.
    if env::args().any(|a| a == "--test") {
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    println!(
        "One frame of the dashboard at {} × {}, release, {FRAMES} frames each, interleaved",
        SIZE.x, SIZE.y
    );
    frames(home.path())?;
    println!("\nLoading the remote, {LOADS} times, each from a fresh private copy");
    loads(home.path())
}

fn options(home: &Path) -> Options {
    Options { config: Some(manifest()), data_dir: Some(home.to_owned()), ..Options::default() }
}

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/host.json")
}

/// The folder of the release libraries: two above this program's.
fn libraries() -> Outcome<PathBuf> {
    let exe = env::current_exe()?;
    Ok(exe.ancestors().nth(2).ok_or("the program lies in no target folder")?.to_owned())
}

fn federation(home: &Path) -> Outcome<(Federation, mpsc::Receiver<()>)> {
    let mut config = Config::load(&Options { plugin_dirs: vec![libraries()?], ..options(home) })?;
    config.auth = plugin_api::manifest::AuthConfig::Local;
    let (wake, woken) = mpsc::channel();
    let wake = move |_| {
        let _ = wake.send(());
    };
    let mut federation = Federation::start(config, pulse::theme::fonts(), Arc::new(wake));
    federation.want(ALIAS);
    loop {
        federation.poll();
        match federation.entries()[ALIAS].status() {
            Status::Active => return Ok((federation, woken)),
            Status::Failed(failure) => return Err(failure.to_string().into()),
            _ => woken.recv_timeout(Duration::from_secs(30))?,
        }
    }
}

/// A window without a screen: everything that a frame costs before the GPU.
struct Window {
    ctx: Context,
    time: f64,
}

impl Window {
    fn new() -> Self {
        let ctx = Context::default();
        pulse::theme::install_fonts(&ctx);
        Self { ctx, time: 0.0 }
    }

    fn frame(&mut self, events: Vec<Event>, mut ui: impl FnMut(&mut Ui)) -> Duration {
        self.time += 1.0 / 60.0;
        let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, SIZE));
        let time = Some(self.time);
        let input = RawInput { screen_rect, time, events, max_texture_side: Some(2048), ..RawInput::default() };
        let start = Instant::now();
        let mut output = self.ctx.run_ui(input, |root| {
            theme::apply(root.ctx(), &LIGHT);
            CentralPanel::default().frame(Frame::NONE).show(root, &mut ui);
        });
        let meshes = self.ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        let took = start.elapsed();
        black_box(meshes);
        output.textures_delta.clear();
        took
    }
}

/// Moves over the chart, so that every frame shows another hover value.
fn hover(at: usize) -> Vec<Event> {
    let x = 80.0 + (at % 300) as f32 * 3.0;
    vec![Event::PointerMoved(Pos2::new(x, 450.0))]
}

fn frames(home: &Path) -> Outcome<()> {
    let (wake, woken) = mpsc::channel();
    let data = home.join("linked");
    fs::create_dir_all(&data)?;
    let mut dashboard = Dashboard::new(
        data,
        Arc::new(move || {
            let _ = wake.send(());
        }),
    );
    let mut linked = Window::new();
    let (mut federation, remote_woken) = federation(home)?;
    let mut surface: Surface = federation.open(ALIAS, "./analytics-dashboard").ok_or("not open")??;
    let mut host = Window::new();
    let scene = |wait| Scene { tokens: LIGHT, deadline: Instant::now() + wait };
    let patient = Duration::from_secs(5);

    // Until both show their figures and have nothing more to say.
    let idle = Duration::from_secs(1);
    loop {
        linked.frame(vec![], |ui| dashboard.ui(ui, None));
        if woken.recv_timeout(idle).is_err() {
            break;
        }
    }
    loop {
        host.frame(vec![], |ui| drop(surface.ui(ui, &scene(patient))));
        if remote_woken.recv_timeout(idle).is_err() {
            break;
        }
    }

    let mut times: [Vec<Duration>; 4] = Default::default();
    for at in 0..WARM_UP + FRAMES {
        let row = [
            linked.frame(hover(at), |ui| dashboard.ui(ui, None)),
            host.frame(hover(at), |ui| drop(surface.ui(ui, &scene(patient)))),
        ];
        if at >= WARM_UP {
            times[0].push(row[0]);
            times[1].push(row[1]);
        }
    }
    let settle = || while remote_woken.try_recv().is_ok() {};
    settle();
    let before = surface.counts();
    for at in 0..WARM_UP + FRAMES {
        let row = [
            linked.frame(vec![], |ui| dashboard.ui(ui, None)),
            host.frame(vec![], |ui| drop(surface.ui(ui, &scene(patient)))),
        ];
        if at >= WARM_UP {
            times[2].push(row[0]);
            times[3].push(row[1]);
        }
    }
    let after = surface.counts();
    let base = median(&mut times[0].clone());
    for (name, samples) in
        ["linked, active", "remote, active", "linked, idle", "remote, retained"].iter().zip(&mut times)
    {
        report(name, samples, Some(base));
    }
    println!("while idle the remote was asked for {} of {} frames", after.0 - before.0, WARM_UP + FRAMES);
    drop(surface);
    federation.shutdown();
    Ok(())
}

fn loads(home: &Path) -> Outcome<()> {
    let mut stages: Vec<(&'static str, Vec<Duration>)> = Vec::new();
    for _ in 0..LOADS {
        let start = Instant::now();
        let (mut federation, woken) = federation(home)?;
        let mut surface = federation.open(ALIAS, "./analytics-dashboard").ok_or("not open")??;
        let mut window = Window::new();
        while !surface.has_picture() {
            window.frame(vec![], |ui| {
                drop(
                    surface.ui(ui, &Scene { tokens: LIGHT, deadline: Instant::now() + Duration::from_secs(5) }),
                );
            });
            if let Some(failure) = surface.failure() {
                return Err(failure.to_string().into());
            }
            if !surface.has_picture() {
                woken.recv_timeout(Duration::from_secs(30))?;
            }
        }
        let whole = start.elapsed();
        let times = federation.entries()[ALIAS].times();
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
