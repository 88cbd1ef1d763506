//! A remote that is linked into this test. The name of its data folder is its fault.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::Instant,
};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RResult, RStr, RVec},
};
use egui::{Context, Pos2, RawInput, Rect, Vec2};
use negotiation::manifest::RemoteManifest;
use plugin_api::{
    abi::{
        self, Frame, FrameInput, InitContext, Remote_TO, RemoteBox, RemoteEntryRef, RemoteError, SharedModule,
        Surface, Surface_TO, SurfaceBox, SurfaceContext,
    },
    entry::{Root, entry, root},
    tokens,
};
use pulse::{
    compositor::{self, Port, Scene},
    fonts,
    placement::{Binary, GenerationState, OnThread, Placement, Retired, Wake},
};

use crate::support::PATIENCE;

const MANIFEST: &str =
    r#"{ "manifestVersion": 1, "name": "remoteFailing", "version": "1.0.0", "remoteEntry": "failing" }"#;

/// Held by a test to keep `init` from returning.
static GATE: Mutex<()> = Mutex::new(());

fn remote_entry() -> RemoteEntryRef {
    const ROOT: &Root = &root(descriptor, shared, init);
    entry(ROOT)
}

extern "C" fn descriptor() -> RStr<'static> {
    RStr::from_str(MANIFEST)
}

extern "C" fn shared() -> RVec<SharedModule> {
    RVec::new()
}

extern "C" fn init(context: InitContext) -> RResult<RemoteBox, RemoteError> {
    let folder = Path::new(context.data_dir.as_str());
    let fault = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if fault == "retire-hung" {
        drop(GATE.lock());
    }
    answer(&fault, "init-failed", || Remote_TO::from_value(Failing(fault.clone()), TD_Opaque))
}

/// Returns an error if `fault` belongs to this place, `here`, as the SDK does; otherwise `good`.
fn answer<T>(fault: &str, here: &str, good: impl FnOnce() -> T) -> RResult<T, RemoteError> {
    let panicked = here.replace("failed", "panicked");
    match fault {
        _ if fault == here => RResult::RErr(RemoteError::new(RemoteError::FAILED, "requested by the test")),
        _ if fault == panicked => {
            RResult::RErr(RemoteError::new(RemoteError::PANICKED, "requested by the test"))
        }
        _ => RResult::ROk(good()),
    }
}

struct Failing(String);

impl abi::Remote for Failing {
    fn get(&mut self, _: RStr<'_>, _: SurfaceContext) -> RResult<SurfaceBox, RemoteError> {
        answer(&self.0, "new-failed", || Surface_TO::from_value(Failing(self.0.clone()), TD_Opaque))
    }

    fn changed(&mut self) -> RResult<(), RemoteError> {
        RResult::ROk(())
    }

    fn shutdown(&mut self) -> RResult<(), RemoteError> {
        answer(&self.0, "retire-failed", || ())
    }
}

impl Surface for Failing {
    fn frame(&mut self, _: FrameInput) -> RResult<Frame, RemoteError> {
        answer(&self.0, "frame-failed", Frame::default)
    }

    fn save(&mut self) -> RResult<RVec<u8>, RemoteError> {
        RResult::ROk(RVec::new())
    }

    fn close(&mut self) -> RResult<(), RemoteError> {
        RResult::ROk(())
    }
}

/// Starts the remote.
pub(super) fn start(wake: Wake) -> Box<dyn Placement> {
    let manifest = RemoteManifest::from_json(MANIFEST).expect("a good manifest");
    Box::new(OnThread::start(Arc::new(manifest), Binary::Linked(remote_entry()), wake))
}

/// Runs the remote with this fault; returns the shell's message.
pub(super) fn fail(fault: &str) -> String {
    let (wake, woken) = mpsc::channel();
    let wake = Mutex::new(wake);
    let wake: Wake = Arc::new(move |_| {
        let wake = wake.lock().expect("no panic while it is locked");
        // The test may have ended.
        let _ = wake.send(());
    });
    let wait = || woken.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no wake-up before {fault}"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join(fault);
    fs::create_dir(&data_dir).expect("a folder in it");

    let remote = start(wake);
    while remote.offers().is_none() {
        wait();
    }
    if fault == "retire-hung" {
        let gate = GATE.lock().expect("no panic while it is locked");
        remote.init(Vec::new(), data_dir, fonts::all());
        let Retired::Leaked(failure) = remote.retire("failing", 1, Instant::now()) else {
            panic!("it has ended before `init` returned")
        };
        let text = failure.to_string();
        drop(gate);
        return text;
    }
    remote.init(Vec::new(), data_dir, fonts::all());
    let (ctx, mut surface) = (Context::default(), None);
    loop {
        match remote.state() {
            GenerationState::Failed(failure) => return failure.to_string(),
            GenerationState::Active if fault.starts_with("retire") => remote.begin_shutdown(),
            GenerationState::Active => {
                let surface = surface.get_or_insert_with(|| {
                    let port = Port::new(remote.open(1, "./panel", None));
                    compositor::HostedSurface::new(1, "Panel".to_owned(), "remoteTest".to_owned(), port)
                });
                let screen = Rect::from_min_size(Pos2::ZERO, Vec2::splat(100.0));
                let input = RawInput { screen_rect: Some(screen), ..RawInput::default() };
                let scene = Scene { tokens: tokens::LIGHT, deadline: Instant::now() };
                let shown = |ui: &mut egui::Ui| {
                    surface.ui(ui, &scene);
                    surface.finish(ui.ctx(), &scene);
                };
                ctx.run_ui(input, shown).textures_delta.clear();
                if let Some(failure) = surface.failure() {
                    return failure.to_string();
                }
            }
            _ => {}
        }
        wait();
    }
}
