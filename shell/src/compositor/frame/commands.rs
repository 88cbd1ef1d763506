//! What a frame asks of the platform.

use plugin_api::abi::{Command, CommandKind};

use super::{FrameError, Quota, bad};

/// Checks how many commands there are, how much they bring along, and that images are as large as they say.
///
/// The length of their texts is looked at with the other texts of the frame.
pub(super) fn check(commands: &[Command], quota: &Quota) -> Result<(), FrameError> {
    if commands.len() > quota.commands {
        return bad(format!("{} commands, more than {}", commands.len(), quota.commands));
    }
    let data: u64 = commands.iter().map(|command| command.data.len() as u64).sum();
    if data > quota.texels {
        return bad(format!("commands with {data} bytes, more than {}", quota.texels));
    }
    for image in commands.iter().filter(|command| command.kind == CommandKind::COPY_IMAGE) {
        let [width, height] = image.size;
        let texels = u64::from(width) * u64::from(height);
        if texels == 0 || texels.checked_mul(4) != Some(image.data.len() as u64) {
            return bad(format!(
                "an image of {width}×{height} for the clipboard, of {} bytes",
                image.data.len()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(size: [u32; 2], bytes: usize) -> Command {
        Command { size, data: vec![0; bytes].into(), ..Command::new(CommandKind::COPY_IMAGE) }
    }

    #[test]
    fn images_are_as_large_as_they_say() {
        let quota = Quota::default();
        assert_eq!(check(&[image([2, 3], 24)], &quota), Ok(()));
        for (size, bytes) in [([2, 3], 23), ([2, 3], 25), ([0, 3], 0), ([u32::MAX; 2], 4)] {
            let error = check(&[image(size, bytes)], &quota).expect_err("no image has this size");
            assert!(error.to_string().contains("for the clipboard"), "{error}");
        }
    }

    #[test]
    fn what_commands_bring_along_is_counted_together() {
        let quota = Quota { texels: 40, ..Quota::default() };
        let drag = Command { data: vec![0; 16].into(), ..Command::new(CommandKind::DRAG) };
        assert_eq!(check(&[image([2, 3], 24), drag.clone()], &quota), Ok(()));
        let error = check(&[image([2, 3], 24), drag.clone(), drag], &quota).expect_err("too much");
        assert!(error.to_string().contains("commands with 56 bytes"), "{error}");
    }
}
