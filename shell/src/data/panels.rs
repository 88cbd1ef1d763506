//! Saved state of panels, kept over restarts: a file for each expose of a remote in `DATA/panels`.
//!
//! A panel is saved when its remote ends in good order, and starts from that when it is opened next.
//! The file has another name while a panel is opened from it, until the panel has drawn its first picture: a state
//! that ends the process, fails or hangs is found under that name, dropped and reported, so that it does its harm
//! once.
//! Everything here reads and writes files: `[remote's thread]`.

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

/// The form of the files; a file of another one is set aside.
const FORMAT: u32 = 1;

/// The most that is kept of one panel, in bytes.
const LIMIT: usize = 4 << 20;

/// The longest first line of a file, in bytes.
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
    /// The digest of the state.
    sha256: String,
}

impl SavedPanel {
    pub(crate) fn new(data_dir: &Path, remote: &str, expose: &str) -> Self {
        // Names of exposes may have any characters.
        let file = digest(expose.as_bytes()).map_or_else(|_| "panel".to_owned(), |digest| digest.short());
        let path = data_dir.join("panels").join(remote).join(file);
        Self { remote: remote.to_owned(), expose: expose.to_owned(), path }
    }

    /// Takes what was saved, for a panel that is opened with it now; [`confirm`](Self::confirm) puts it back.
    ///
    /// # Errors
    /// Fails for a state that cannot be used; the next call does not find it again.
    pub(crate) fn take(&self) -> Result<Option<Vec<u8>>, Failure> {
        let opening = self.opening();
        let left = opening.is_file();
        match fs::rename(&self.path, &opening) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && left => {
                let _ = fs::remove_file(&opening);
                let what = "has not drawn a picture with what it had saved, so it starts without";
                let advice = "if it does so each time, report this to the plugin's author";
                return Err(self.failure(Code::StateDropped, what, advice));
            }
            // Nothing was saved, or it is out of reach, which is as good.
            Err(_) => return Ok(None),
        }
        self.read(&opening).map(Some).map_err(|error| {
            let aside = self.path.with_extension("damaged");
            let _ = fs::rename(&opening, &aside);
            let what = format!(
                "starts without what it had saved, which cannot be understood ({error}) and is set aside: {}",
                negotiation::text::Shown(&aside)
            );
            self.failure(Code::StateDamaged, &what, "")
        })
    }

    /// Puts back what was taken: the panel has drawn a picture with it.
    pub(crate) fn confirm(&self) {
        // A panel that was saved meanwhile has a newer one.
        if !self.path.exists() {
            let _ = fs::rename(self.opening(), &self.path);
        }
    }

    /// Removes what was saved.
    pub(crate) fn forget(&self) {
        for path in [&self.path, &self.opening()] {
            // One that stays is dropped when it is taken.
            let _ = fs::remove_file(path);
        }
    }

    /// Writes what a panel has saved.
    ///
    /// # Errors
    /// Fails if it cannot be written, or is too large.
    pub(crate) fn write(&self, state: &[u8]) -> Result<(), Failure> {
        if state.len() > LIMIT {
            let what = format!("saved {} bytes, and {LIMIT} at most are kept over a restart", state.len());
            return Err(self.failure(Code::StateTooLarge, &what, "report this to the plugin's author"));
        }
        self.try_write(state).map_err(|error| {
            let what = format!(
                "will start without what it has saved ({error}): {}",
                negotiation::text::Shown(&self.path)
            );
            self.failure(Code::StateUnwritable, &what, "make room and let this user write there")
        })
    }

    fn try_write(&self, state: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let head = Head { format: FORMAT, expose: self.expose.clone(), sha256: digest(state)?.to_string() };
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
        let same =
            head.format == FORMAT && head.expose == self.expose && head.sha256 == digest(&state)?.to_string();
        if same { Ok(state) } else { Err(io::Error::other("it is of another version, or incomplete")) }
    }

    fn opening(&self) -> PathBuf {
        self.path.with_extension("opening")
    }

    fn failure(&self, code: Code, what: &str, advice: &str) -> Failure {
        Failure::new(Stage::Restore, code, format!("`{}` of `{}` {what}", self.expose, self.remote), advice)
    }
}

fn digest(mut bytes: &[u8]) -> io::Result<Digest> {
    Digest::copying(&mut bytes, &mut io::sink())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureCode;

    fn kept() -> (tempfile::TempDir, SavedPanel) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kept = SavedPanel::new(folder.path(), "remoteA", "./p/../q\n");
        (folder, kept)
    }

    fn code(taken: Result<Option<Vec<u8>>, Failure>) -> FailureCode {
        taken.expect_err("it is of no use").code
    }

    #[test]
    fn what_is_written_is_taken_until_it_is_forgotten() {
        let (_folder, kept) = kept();
        assert_eq!(kept.take(), Ok(None));
        for state in [&b""[..], b"a\nb", b"\xff\0{}"] {
            kept.write(state).expect("there is room");
            for _ in 0..2 {
                assert_eq!(kept.take(), Ok(Some(state.to_vec())));
                kept.confirm();
            }
        }
        kept.forget();
        assert_eq!(kept.take(), Ok(None));
    }

    #[test]
    fn state_that_does_harm_is_dropped_once() {
        let (_folder, kept) = kept();
        kept.write(b"bad").expect("there is room");
        assert_eq!(kept.take(), Ok(Some(b"bad".to_vec())));
        // The process has ended here.
        assert_eq!(code(kept.take()), Code::StateDropped);
        assert_eq!(kept.take(), Ok(None));
    }

    #[test]
    fn newer_state_outlives_the_one_that_was_taken() {
        let (_folder, kept) = kept();
        kept.write(b"old").expect("there is room");
        assert_eq!(kept.take(), Ok(Some(b"old".to_vec())));
        kept.write(b"new").expect("there is room");
        kept.confirm();
        assert_eq!(kept.take(), Ok(Some(b"new".to_vec())));
    }

    #[test]
    fn damaged_state_is_set_aside() {
        let (_folder, kept) = kept();
        for text in ["", "{", "{}\nstate", r#"{"format":2,"expose":"./p/../q\n","sha256":""}"#] {
            fs::create_dir_all(kept.path.parent().expect("a folder")).expect("a folder");
            fs::write(&kept.path, text).expect("a file");
            assert_eq!(code(kept.take()), Code::StateDamaged, "{text}");
            assert_eq!(fs::read_to_string(kept.path.with_extension("damaged")).expect("it is there"), text);
            assert_eq!(kept.take(), Ok(None));
        }
        kept.write(b"state").expect("there is room");
        let mut bytes = fs::read(&kept.path).expect("it is there");
        bytes.pop();
        fs::write(&kept.path, bytes).expect("a file");
        assert_eq!(code(kept.take()), Code::StateDamaged, "it was cut");
    }

    #[test]
    fn too_much_is_not_kept() {
        let (folder, kept) = kept();
        assert_eq!(kept.write(&vec![0; LIMIT + 1]).expect_err("it is too large").code, Code::StateTooLarge);
        fs::write(folder.path().join("panels"), "").expect("a file in the way");
        assert_eq!(kept.write(b"a").expect_err("there is no folder").code, Code::StateUnwritable);
    }
}
