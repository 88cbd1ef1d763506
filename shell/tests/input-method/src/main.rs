//! An input method of the screen `DISPLAY`. It writes 你 for any lower-case letters and the space bar.
//!
//! Programs find it by `XMODIFIERS=@im=pulse`. It prints `ready` once they can, and then the positions of the cursor
//! that they report, in pixels of their windows: `spot X Y`.

use std::{collections::BTreeMap, error::Error};

use x11rb::{
    connection::Connection,
    protocol::xproto::{ConnectionExt, KeyButMask, KeyPressEvent},
    rust_connection::RustConnection,
};
use xim::{
    ALL_LOCALES, InputStyle, Server, ServerError, ServerHandler, UserInputContext, XimConnections,
    x11rb::X11rbServer,
};

/// The bit of X11's event masks.
const KEY_PRESS: u32 = 1;

struct Method {
    /// Characters of the keys, by key code.
    keys: BTreeMap<u8, char>,
    /// Letters since the last committed text.
    typed: String,
}

impl Method {
    fn new(x11: &RustConnection) -> Result<Self, Box<dyn Error>> {
        let (first, last) = (x11.setup().min_keycode, x11.setup().max_keycode);
        let map = x11.get_keyboard_mapping(first, last - first + 1)?.reply()?;
        let keys = map.keysyms.chunks(map.keysyms_per_keycode.into());
        // The keysyms of Latin letters equal their code points.
        let key = |(code, key): (u8, &[u32])| Some((code, char::from_u32(key[0]).filter(char::is_ascii)?));
        Ok(Self { keys: (first..=last).zip(keys).filter_map(key).collect(), typed: String::new() })
    }
}

impl<S: Server<XEvent = KeyPressEvent>> ServerHandler<S> for Method {
    type InputContextData = ();
    type InputStyleArray = [InputStyle; 2];

    fn new_ic_data(&mut self, _: &mut S, _: InputStyle) -> Result<(), ServerError> {
        Ok(())
    }

    fn input_styles(&self) -> [InputStyle; 2] {
        [InputStyle::PREEDIT_CALLBACKS, InputStyle::PREEDIT_NOTHING]
            .map(|style| style | InputStyle::STATUS_NOTHING)
    }

    fn filter_events(&self) -> u32 {
        KEY_PRESS
    }

    fn handle_connect(&mut self, _: &mut S) -> Result<(), ServerError> {
        Ok(())
    }

    fn handle_create_ic(&mut self, server: &mut S, user: &mut UserInputContext<()>) -> Result<(), ServerError> {
        server.set_event_mask(&user.ic, KEY_PRESS, 0)
    }

    fn handle_destroy_ic(&mut self, _: &mut S, _: UserInputContext<()>) -> Result<(), ServerError> {
        Ok(())
    }

    fn handle_reset_ic(&mut self, _: &mut S, _: &mut UserInputContext<()>) -> Result<String, ServerError> {
        Ok(std::mem::take(&mut self.typed))
    }

    fn handle_set_focus(&mut self, _: &mut S, _: &mut UserInputContext<()>) -> Result<(), ServerError> {
        Ok(())
    }

    fn handle_unset_focus(&mut self, _: &mut S, _: &mut UserInputContext<()>) -> Result<(), ServerError> {
        Ok(())
    }

    fn handle_set_ic_values(&mut self, _: &mut S, user: &mut UserInputContext<()>) -> Result<(), ServerError> {
        let spot = user.ic.preedit_spot();
        println!("spot {} {}", spot.x, spot.y);
        Ok(())
    }

    fn handle_forward_event(
        &mut self,
        server: &mut S,
        user: &mut UserInputContext<()>,
        event: &KeyPressEvent,
    ) -> Result<bool, ServerError> {
        if event.state.contains(KeyButMask::CONTROL) {
            return Ok(false);
        }
        match self.keys.get(&event.detail) {
            Some(letter) if letter.is_ascii_lowercase() => {
                self.typed.push(*letter);
                server.preedit_draw(&mut user.ic, &self.typed)?;
            }
            Some(' ') if !self.typed.is_empty() => {
                self.typed.clear();
                server.preedit_draw(&mut user.ic, "")?;
                server.commit(&user.ic, "你")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (x11, screen) = RustConnection::connect(None)?;
    let mut method = Method::new(&x11)?;
    let mut server = X11rbServer::init(&x11, screen, "pulse", ALL_LOCALES)?;
    let mut connections = XimConnections::new();
    println!("ready");
    loop {
        server.filter_event(&x11.wait_for_event()?, &mut connections, &mut method)?;
    }
}
