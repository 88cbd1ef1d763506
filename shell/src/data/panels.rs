//! Saved state of panels across restarts: a file for each expose of a remote in `DATA/panels`.
//!
//! A panel is saved when its remote ends properly, and starts from that state when it is opened next.
//! The file has another name from the start of opening until the panel has drawn its first frame. A state that
//! crashes the process, fails or hangs is found under that name, dropped and reported, so it does harm only once.
//! All functions read and write files: `[remote's thread]`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
    file,
    library::Digest,
};

/// Format of the files; a file of another format is set aside.
const FORMAT: u32 = 1;

/// Maximum size of a panel's state, in bytes.
const LIMIT: usize = 4 << 20;

/// Maximum length of the first line of a file, in bytes.
const HEAD: usize = 1 << 12;

/// The file of one expose of one remote.
#[derive(Clone, Debug)]
pub struct SavedPanel {
    remote: String,
    expose: String,
    path: PathBuf,
}

/// The first line of a file; the state follows.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    expose: String,
    /// Digest of the state.
    sha256: String,
}

impl SavedPanel {
    /// Names the file of `expose` of the remote called `remote`.
    pub(crate) fn new(data_dir: &Path, remote: &str, expose: &str) -> Self {
        // Names of exposes may contain any characters.
        let file = Digest::of_bytes(expose).short();
        let path = data_dir.join("panels").join(remote).join(file);
        Self { remote: remote.to_owned(), expose: expose.to_owned(), path }
    }

    /// Takes the saved state for a panel that is opened with it now; [`confirm`](Self::confirm) puts it back.
    ///
    /// # Errors
    /// Fails for a state that cannot be used, which the next call does not find.
    pub(crate) fn take(&self) -> Result<Option<Vec<u8>>, Failure> {
        let opening = self.opening();
        let left = opening.is_file();
        match fs::rename(&self.path, &opening) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && left => {
                let _ = fs::remove_file(&opening);
                let what = "did not draw a frame with its saved state, so it starts without that state";
                let advice = "if this happens each time, report this to the plugin's author";
                return Err(self.failure(Code::StateDropped, what, advice));
            }
            // Nothing was saved, or it cannot be accessed, which has the same effect.
            Err(_) => return Ok(None),
        }
        self.read(&opening).map(Some).map_err(|error| {
            let aside = self.path.with_extension("damaged");
            let _ = fs::rename(&opening, &aside);
            let what = format!(
                "starts without its saved state, which is damaged ({error}) and is set aside: {}",
                negotiation::text::Shown(&aside)
            );
            self.failure(Code::StateDamaged, &what, "")
        })
    }

    /// Puts the taken state back, after the panel has drawn a frame with it.
    pub(crate) fn confirm(&self) {
        // A panel that was saved meanwhile has a newer state.
        if !self.path.exists() {
            let _ = fs::rename(self.opening(), &self.path);
        }
    }

    /// Removes the saved state.
    pub(crate) fn forget(&self) {
        for path in [&self.path, &self.opening()] {
            // A file that cannot be removed is dropped when it is taken.
            let _ = fs::remove_file(path);
        }
    }

    /// Writes the state of a panel.
    ///
    /// # Errors
    /// Fails if it cannot be written, or is too large.
    pub(crate) fn write(&self, state: &[u8]) -> Result<(), Failure> {
        if state.len() > LIMIT {
            let what = format!("saved {} bytes, and at most {LIMIT} are kept across restarts", state.len());
            return Err(self.failure(Code::StateTooLarge, &what, "report this to the plugin's author"));
        }
        self.try_write(state).map_err(|error| {
            let what = format!(
                "will start without its state, which cannot be written ({error}): {}",
                negotiation::text::Shown(&self.path)
            );
            self.failure(Code::StateUnwritable, &what, "make room and let this user write there")
        })
    }

    fn try_write(&self, state: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let head =
            Head { format: FORMAT, expose: self.expose.clone(), sha256: Digest::of_bytes(state).to_string() };
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, &head)?;
        file.write_all(b"\n")?;
        file.write_all(state)?;
        file.persist(&self.path)?;
        let _ = fs::remove_file(self.opening());
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = file::read(path, (HEAD + LIMIT) as u64)?;
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let head: Head = serde_json::from_slice(&bytes[..end])?;
        let state = bytes.split_off((end + 1).min(bytes.len()));
        let same = head.format == FORMAT
            && head.expose == self.expose
            && head.sha256 == Digest::of_bytes(&state).to_string();
        if same { Ok(state) } else { Err(io::Error::other("it is of another version, or incomplete")) }
    }

    fn opening(&self) -> PathBuf {
        self.path.with_extension("opening")
    }

    fn failure(&self, code: Code, what: &str, advice: &str) -> Failure {
        Failure::new(Stage::Restore, code, format!("`{}` of `{}` {what}", self.expose, self.remote), advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureCode;

    fn panel() -> (tempfile::TempDir, SavedPanel) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let panel = SavedPanel::new(folder.path(), "remoteA", "./p/../q\n");
        (folder, panel)
    }

    fn code(taken: Result<Option<Vec<u8>>, Failure>) -> FailureCode {
        taken.expect_err("it is unusable").code
    }

    #[test]
    fn written_state_is_taken_until_forgotten() {
        let (_folder, panel) = panel();
        assert_eq!(panel.take(), Ok(None));
        for state in [&b""[..], b"a\nb", b"\xff\0{}"] {
            panel.write(state).expect("there is room");
            for _ in 0..2 {
                assert_eq!(panel.take(), Ok(Some(state.to_vec())));
                panel.confirm();
            }
        }
        panel.forget();
        assert_eq!(panel.take(), Ok(None));
    }

    #[test]
    fn harmful_state_is_dropped_once() {
        let (_folder, panel) = panel();
        panel.write(b"bad").expect("there is room");
        assert_eq!(panel.take(), Ok(Some(b"bad".to_vec())));
        // The process has crashed here.
        assert_eq!(code(panel.take()), Code::StateDropped);
        assert_eq!(panel.take(), Ok(None));
    }

    #[test]
    fn newer_state_replaces_the_taken_one() {
        let (_folder, panel) = panel();
        panel.write(b"old").expect("there is room");
        assert_eq!(panel.take(), Ok(Some(b"old".to_vec())));
        panel.write(b"new").expect("there is room");
        panel.confirm();
        assert_eq!(panel.take(), Ok(Some(b"new".to_vec())));
    }

    #[test]
    fn damaged_state_is_set_aside() {
        let (_folder, panel) = panel();
        for text in ["", "{", "{}\nstate", r#"{"format":2,"expose":"./p/../q\n","sha256":""}"#] {
            fs::create_dir_all(panel.path.parent().expect("a folder")).expect("a folder");
            fs::write(&panel.path, text).expect("a file");
            assert_eq!(code(panel.take()), Code::StateDamaged, "{text}");
            assert_eq!(fs::read_to_string(panel.path.with_extension("damaged")).expect("it is there"), text);
            assert_eq!(panel.take(), Ok(None));
        }
        panel.write(b"state").expect("there is room");
        let mut bytes = fs::read(&panel.path).expect("it is there");
        bytes.pop();
        fs::write(&panel.path, bytes).expect("a file");
        assert_eq!(code(panel.take()), Code::StateDamaged, "it was cut");
    }

    #[test]
    fn oversized_or_unwritable_state_is_refused() {
        let (folder, panel) = panel();
        assert_eq!(panel.write(&vec![0; LIMIT + 1]).expect_err("it is too large").code, Code::StateTooLarge);
        fs::write(folder.path().join("panels"), "").expect("a file in the way");
        assert_eq!(panel.write(b"a").expect_err("there is no folder").code, Code::StateUnwritable);
    }
}
