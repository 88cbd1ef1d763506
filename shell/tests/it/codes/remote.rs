//! A remote that is linked into this test, and that fails in the way that its data folder is called after.

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
    placement::{Binary, OnThread, Placement, Retired, State, Wake},
};

use crate::support::PATIENCE;

const MANIFEST: &str =
    r#"{ "manifestVersion": 1, "name": "remoteFailing", "version": "1.0.0", "remoteEntry": "failing" }"#;

/// Held by a test that wants `init` not to return.
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

/// An error where this is the fault, as the SDK of the remote would return it.
fn answer<T>(fault: &str, here: &str, good: impl FnOnce() -> T) -> RResult<T, RemoteError> {
    let panicked = here.replace("failed", "panicked");
    match fault {
        _ if fault == here => RResult::RErr(RemoteError::new(RemoteError::FAILED, "the test wants it so")),
        _ if fault == panicked => {
            RResult::RErr(RemoteError::new(RemoteError::PANICKED, "the test wants it so"))
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

/// A remote that has just been started.
pub(super) fn start(wake: Wake) -> Box<dyn Placement> {
    let manifest = RemoteManifest::from_json(MANIFEST).expect("a good manifest");
    Box::new(OnThread::start(Arc::new(manifest), Binary::Linked(remote_entry()), wake))
}

/// Has a remote fail in this way, and returns how the shell tells it.
pub(super) fn fail(fault: &str) -> String {
    let (wake, woken) = mpsc::channel();
    let wake = Mutex::new(wake);
    let wake: Wake = Arc::new(move |_| {
        let wake = wake.lock().expect("nobody panics while holding it");
        // A test that has ended listens no more.
        let _ = wake.send(());
    });
    let wait = || woken.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited in vain for {fault}"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join(fault);
    fs::create_dir(&data_dir).expect("a folder in it");

    let remote = start(wake);
    while remote.offers().is_none() {
        wait();
    }
    if fault == "retire-hung" {
        let gate = GATE.lock().expect("nobody panics while holding it");
        remote.init(Vec::new(), data_dir, fonts::all());
        let Retired::Kept(failure) = remote.retire("failing", 1, Instant::now()) else {
            panic!("it is in `init`")
        };
        let told = failure.to_string();
        drop(gate);
        return told;
    }
    remote.init(Vec::new(), data_dir, fonts::all());
    let (ctx, mut surface) = (Context::default(), None);
    loop {
        match remote.state() {
            State::Failed(failure) => return failure.to_string(),
            State::Active if fault.starts_with("retire") => remote.begin_shutdown(),
            State::Active => {
                let surface = surface.get_or_insert_with(|| {
                    let port = Port::new(remote.open(1, "./panel", None));
                    compositor::Surface::new(1, "Panel".to_owned(), "remoteTest".to_owned(), port)
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
