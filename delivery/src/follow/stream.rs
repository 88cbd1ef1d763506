//! Server-sent events, after the HTML standard: names and data; ids and times for reconnecting are skipped.

use crate::dev::MAX_EVENT;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerEvent {
    /// Its name; `message` if the server states none.
    pub(super) name: String,
    pub(super) data: String,
}

/// An event, or a line of it, that exceeds [`MAX_EVENT`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The state of reading a stream of events. It holds at most about [`MAX_EVENT`] bytes.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    line: Vec<u8>,
    event: String,
    data: String,
    /// Set once a line of data was read, which may be empty.
    has_data: bool,
    /// Set after a carriage return, which ends a line alone or with a following line feed.
    returned: bool,
    /// Set after the first line, which may start with a byte order mark.
    begun: bool,
}

impl EventReader {
    /// Reads the next bytes of the stream, and appends the events that they complete.
    ///
    /// # Errors
    /// Fails for an event that is too long; the stream must then be given up.
    pub(super) fn push(&mut self, bytes: &[u8], complete: &mut Vec<ServerEvent>) -> Result<(), TooLong> {
        for &byte in bytes {
            let follows_return = std::mem::take(&mut self.returned);
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    self.returned = byte == b'\r';
                    complete.extend(self.end_line()?);
                }
                _ if self.line.len() == MAX_EVENT => return Err(TooLong),
                byte => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// Handles a complete line; an empty one completes an event.
    fn end_line(&mut self) -> Result<Option<ServerEvent>, TooLong> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = &*text;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            let name = if name.is_empty() { "message".to_owned() } else { name };
            return Ok(std::mem::take(&mut self.has_data).then_some(ServerEvent { name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.data.len() + value.len() >= MAX_EVENT {
                    return Err(TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // A comment has an empty field.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<ServerEvent>, TooLong> {
        let (mut reader, mut complete) = (EventReader::default(), Vec::new());
        pieces.iter().try_for_each(|piece| reader.push(piece, &mut complete))?;
        Ok(complete)
    }

    fn message(name: &str, data: &str) -> ServerEvent {
        ServerEvent { name: name.to_owned(), data: data.to_owned() }
    }

    /// Reads a complete stream in the plainest way.
    fn model(stream: &str) -> Vec<ServerEvent> {
        let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
        let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
        let (complete, _) = stream.rsplit_once('\n').unwrap_or_default();
        let (mut found, mut event, mut data) = (Vec::new(), "message", Vec::new());
        for line in complete.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if !data.is_empty() {
                        found.push(message(event, &data.join("\n")));
                    }
                    (event, data) = ("message", Vec::new());
                }
                "event" => event = if value.is_empty() { "message" } else { value },
                "data" => data.push(value),
                _ => {}
            }
        }
        found
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let stream = ": hello\n\nevent: build\ndata: {\"a\":1}\n\ndata:one\rdata: two\r\ndata:  three\r\rdata\n\n\
                      id: 7\nretry: 10\nevent: none\n\nevent: a\nevent: b\ndata: x\n\ndata: unfinished\n";
        let expected = [
            message("build", "{\"a\":1}"),
            message("message", "one\ntwo\n three"),
            message("message", ""),
            message("b", "x"),
        ];
        assert_eq!(read(&[stream.as_bytes()]), Ok(expected.to_vec()));
        assert_eq!(read(&["\u{feff}data: x\n\n".as_bytes()]), Ok(vec![message("message", "x")]));
    }

    #[test]
    fn endless_lines_and_events_are_refused() {
        let line = vec![b'x'; MAX_EVENT + 1];
        assert_eq!(read(&[&line]), Err(TooLong));
        let event = format!("data: {}\n", "x".repeat(1000)).repeat(MAX_EVENT / 1000 + 1);
        assert_eq!(read(&[event.as_bytes()]), Err(TooLong));
        // Comments and unknown fields are not collected.
        let comments = format!(": {}\nother: 1\n", "x".repeat(1000)).repeat(3 * MAX_EVENT / 1000);
        assert_eq!(read(&[comments.as_bytes()]), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_split_of_any_stream_reads_as_the_model(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("\n".to_owned()), Just("\r".to_owned()), Just("\r\n".to_owned()), Just(":".to_owned()),
                    Just("data".to_owned()), Just("event: ".to_owned()), Just("\u{feff}".to_owned()),
                    "[a-z :\u{e9}]{0,5}",
                ],
                0..60,
            ),
            cut in 1_usize..9,
        ) {
            let stream = parts.concat();
            let pieces: Vec<&[u8]> = stream.as_bytes().chunks(cut).collect();
            prop_assert_eq!(read(&pieces), Ok(model(&stream)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            prop_assert!(read(&[&bytes]).is_ok());
        }
    }
}
