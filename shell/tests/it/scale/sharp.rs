//! The same text in the shell and in a surface, pixel by pixel.

use egui::{
    Rect, Vec2,
    accesskit::{Action, Role},
};

use crate::{
    driver::{Desktop, Picture, Tree},
    support::{Installation, libraries},
};

/// Where the two of this text stand in the window, in points: the shell's, and the remote's.
fn places(tree: &Tree) -> Option<[Rect; 2]> {
    let labels: Vec<_> = tree.of_role(Role::Label).filter(|item| item.name == "Pulse").collect();
    let pane = tree.of_role(Role::Pane).find(|item| item.name == "Widgets")?;
    let (remote, shell): (Vec<_>, Vec<_>) =
        labels.into_iter().partition(|item| tree.below(pane).any(|inner| inner.id == item.id));
    Some([shell.first()?.bounds, remote.first()?.bounds])
}

/// The pixels of `area`, row by row.
fn cut(picture: &Picture, left: usize, top: usize, width: usize, height: usize) -> Vec<[u8; 3]> {
    let min = egui::pos2(left as f32, top as f32);
    picture.pixels(Rect::from_min_size(min, Vec2::new(width as f32, height as f32))).collect()
}

#[test]
fn text_of_a_remote_is_as_sharp_as_the_shells_at_every_scale() {
    let mut installation = Installation::new();
    let alias = installation.add(&libraries().fixtures);
    for scale in [1.0_f32, 1.25, 1.5, 2.0] {
        let desktop = Desktop::new();
        std::fs::create_dir_all(desktop.data_dir()).expect("a folder");
        std::fs::write(desktop.data_dir().join("window.json"), r#"{ "window": [700, 500] }"#).expect("a file");
        let mut command = desktop.command(env!("CARGO_BIN_EXE_pulse"));
        command.arg("--config").arg(installation.path("host.json"));
        command.env("WINIT_X11_SCALE_FACTOR", scale.to_string());
        let mut window = desktop.open(command);
        window.until("the remote's title", |tree| tree.find("Widgets").map(drop));
        window.act("Widgets", Action::Click);
        window.until("both texts", |tree| places(tree).map(drop));
        window.wait_for(&format!("Scale {scale}"));
        window.settle();
        let [shell, remote] = places(&window.tree()).expect("both texts");
        let picture = window.pixels(&format!("sharp-{alias}-{scale}.png"));
        let pixels = |rect: Rect| {
            let at = |n: f32| (n * scale).round() as usize;
            (at(rect.left()), at(rect.top()), at(rect.width()), at(rect.height()))
        };
        let (left, top, width, height) = pixels(remote);
        let text = cut(&picture, left, top, width, height);
        let mut colors = text.clone();
        colors.sort_unstable();
        colors.dedup();
        assert!(colors.len() > 10, "there is text, with soft edges: {} colours at {scale}", colors.len());
        // A place may be rounded to the one side or the other.
        let (at_x, at_y, ..) = pixels(shell);
        let same = (0..9).any(|step| {
            let (x, y) = (at_x + step % 3, at_y + step / 3);
            let other = cut(&picture, x.saturating_sub(1), y.saturating_sub(1), width, height);
            // What is painted is dithered by its place on the screen, which is worth one step of a channel.
            let close = |(a, b): (&[u8; 3], &[u8; 3])| (0..3).all(|at| a[at].abs_diff(b[at]) <= 1);
            other.len() == text.len() && other.iter().zip(&text).all(close)
        });
        assert!(same, "the text at {remote:?} is not that at {shell:?}, at a scale of {scale}");
    }
}
