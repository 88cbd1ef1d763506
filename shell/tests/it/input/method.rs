//! An input method on a real screen, as used for scripts with more characters than keys.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
    sync::mpsc,
    thread,
};

use egui::{Pos2, accesskit::Role};

use super::{
    open_on,
    screen::{self, HOME},
    writing::{enter, typed},
};
use crate::{
    driver::{Desktop, Window},
    support::{cargo_build, workspace},
};

/// Variables by which programs find the input method; libX11 has none in a locale with one byte per character.
const VARIABLES: [(&str, &str); 2] = [("XMODIFIERS", "@im=pulse"), ("LC_ALL", "C.UTF-8")];

/// The input method in `shell/tests/input-method`; ended on drop.
struct Method {
    process: Child,
    /// Positions of the cursor that the program reported, in pixels.
    spots: mpsc::Receiver<Pos2>,
}

impl Method {
    fn start(desktop: &Desktop) -> Self {
        let mut built = cargo_build(&workspace().join("shell/tests/input-method"), &["--locked"]);
        let program = built.remove("input_method").expect("cargo has built it");
        let mut process = desktop.command(program).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut ready = String::new();
        output.read_line(&mut ready).expect("its output");
        assert_eq!(ready, "ready\n");
        Self { process, spots: read(output) }
    }

    /// Waits for a reported position of the cursor for which `like` returns `true`.
    ///
    /// winit reports the position only with the next key press.
    fn wait_for_spot(&self, window: &mut Window, what: &str, like: impl Fn(Pos2) -> bool) -> Pos2 {
        window.until(what, |_| self.spots.try_iter().find(|spot| like(*spot)))
    }
}

/// Reads the reported positions on another thread.
fn read(output: BufReader<ChildStdout>) -> mpsc::Receiver<Pos2> {
    let (sender, spots) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let numbers: Vec<f32> = line.split(' ').skip(1).flat_map(str::parse).collect();
            let spot: [f32; 2] = numbers.try_into().expect("two numbers");
            if sender.send(spot.into()).is_err() {
                return;
            }
        }
    });
    spots
}

impl Drop for Method {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_input_method_writes_where_the_cursor_is() {
    let desktop = Desktop::new();
    let method = Method::start(&desktop);
    let (mut window, _desktop, _installation) = open_on(desktop, "./input", "Typed \"\"", &VARIABLES);
    enter(&mut window);
    // The input method passes other keys on.
    screen::write(&window, "12");
    typed(&mut window, "12");
    screen::press(&window, &[HOME]);
    screen::write(&window, "3");
    typed(&mut window, "312");
    screen::write(&window, "n");
    typed(&mut window, "3n12");
    let line = window.until("the line", |tree| {
        tree.of_role(Role::TextRun).find(|run| run.name == "3n12").map(|run| run.bounds)
    });
    let start = method.wait_for_spot(&mut window, "the position after the first letter", |spot| {
        line.left() < spot.x && spot.x < line.center().x && (spot.y - line.top()).abs() < 3.0
    });
    screen::write(&window, "i");
    typed(&mut window, "3ni12");
    window.screenshot("input-preedit.png");
    let there = method.wait_for_spot(&mut window, "the position after the second", |spot| spot.x > start.x);
    assert!(there.x < line.right() && (there.y - start.y).abs() < 1.0, "{start} {there}");
    screen::write(&window, " ");
    typed(&mut window, "3你12");
}
