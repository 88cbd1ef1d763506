//! Replaces the dashboard's code under hot-lib-reloader, once for each line on standard input. For each it writes the
//! microseconds from the rename of the file to the first frame by the new code, and the part that this frame took.
//! The first argument is the watcher's debounce time in milliseconds, the second the library.
//!
//! The shell's benchmark `replace` runs this program, alternating with the shell's own replacements.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use hot_lib_reloader::LibReloader;
use plugin_api::{
    egui::{CentralPanel, Context, Frame, Pos2, RawInput, Rect, Ui, Vec2},
    theme,
    tokens::LIGHT,
};
use pulse_analytics::Dashboard;

const SIZE: Vec2 = Vec2::new(1200.0, 800.0);
const BUILD: &str = "hot-reload build ";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(debounce), Some(library)) = (arguments.next(), arguments.next()) else {
        return Err("usage: hot-reload MILLISECONDS LIBRARY".into());
    };
    let debounce = Duration::from_millis(debounce.parse()?);
    let folder = tempfile::tempdir()?;
    let (bytes, place) = (fs::read(library)?, folder.path().join("libhot_dashboard.so"));
    let digits = bytes.windows(BUILD.len()).position(|part| part == BUILD.as_bytes());
    let digits = digits.ok_or("the library has no build number")? + BUILD.len();
    fs::write(&place, &bytes)?;

    let (wake, woken) = mpsc::channel();
    let wake = move || {
        // Fails at the end, when the receiver is dropped.
        let _ = wake.send(());
    };
    let mut window = Window {
        ctx: Context::default(),
        dashboard: Dashboard::new(folder.path().join("data"), Arc::new(wake)),
    };
    let mut reloader = LibReloader::new(folder.path(), "hot_dashboard", Some(debounce), None)?;
    while window.dashboard.is_loading() {
        window.frame(&reloader)?;
        woken.recv_timeout(Duration::from_secs(30))?;
    }
    // The watcher does not report its start.
    thread::sleep(Duration::from_millis(500));
    for (number, line) in (1_u32..).zip(io::stdin().lines()) {
        line?;
        let mut build = bytes.clone();
        build[digits..digits + 8].copy_from_slice(format!("{number:08}").as_bytes());
        let staged = place.with_extension("new");
        fs::write(&staged, build)?;
        let began = Instant::now();
        fs::rename(staged, &place)?;
        while !reloader.update()? {
            if began.elapsed() > Duration::from_secs(30) {
                return Err("hot-lib-reloader did not notice the new library within 30 s".into());
            }
            thread::sleep(Duration::from_micros(100));
        }
        let loaded = Instant::now();
        let drawn = window.frame(&reloader)?;
        if drawn != number {
            return Err(format!("build {drawn} drew the frame instead of {number}").into());
        }
        println!("{} {}", began.elapsed().as_micros(), loaded.elapsed().as_micros());
    }
    Ok(())
}

/// A window without a screen, and the state that survives a replacement.
struct Window {
    ctx: Context,
    dashboard: Dashboard,
}

impl Window {
    /// Draws a frame, and returns the number of the build that drew it.
    fn frame(&mut self, reloader: &LibReloader) -> Result<u32, Box<dyn Error>> {
        // SAFETY: the name alone implies this type; caller and library are both in this package.
        let draw = unsafe { reloader.get_symbol::<fn(&mut Ui, &mut Dashboard) -> u32>(b"draw\0")? };
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SIZE)),
            max_texture_side: Some(2048),
            ..RawInput::default()
        };
        let mut drawn = 0;
        let mut output = self.ctx.run_ui(input, |root| {
            theme::apply(root.ctx(), &LIGHT);
            CentralPanel::default().frame(Frame::NONE).show(root, |ui| drawn = draw(ui, &mut self.dashboard));
        });
        black_box(self.ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point));
        output.textures_delta.clear();
        // The context is dropped before the library is replaced: its memory and fonts hold addresses of the library's
        // functions, which would crash the next frame.
        self.ctx = Context::default();
        Ok(drawn)
    }
}
