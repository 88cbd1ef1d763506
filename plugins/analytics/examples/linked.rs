//! The dashboard linked into a program, without a shell and a boundary: the baseline of the benchmark of starts.
//!
//! `cargo run --release -p pulse-analytics --example linked -- DATA_DIR`

use std::{path::PathBuf, sync::Arc};

use plugin_api::{
    egui::{self, CentralPanel, Frame},
    theme,
    tokens::LIGHT,
};
use pulse_analytics::Dashboard;

struct Linked(Dashboard);

impl eframe::App for Linked {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        theme::apply(ui.ctx(), &LIGHT);
        let ground = Frame::new().fill(theme::color(LIGHT.background));
        CentralPanel::default().frame(ground).show(ui, |ui| self.0.ui(ui, Some("Grace Hopper")));
    }
}

fn main() -> eframe::Result {
    let data = std::env::args_os().nth(1).map(PathBuf::from).expect("usage: linked DATA_DIR");
    let ctx = egui::Context::default();
    pulse::fonts::install(&ctx);
    // Loading runs in parallel with the creation of the window, as in the shell.
    let waker = ctx.clone();
    let dashboard = Dashboard::new(data, Arc::new(move || waker.request_repaint()));
    let viewport = egui::ViewportBuilder::default().with_inner_size([1280.0, 800.0]);
    let options = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    eframe::run_native_ext("Dashboard", options, Some(ctx), Box::new(|_| Ok(Box::new(Linked(dashboard)))))
}
