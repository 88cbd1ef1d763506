//! egui's own demo as a remote, and the same demo as a part of an eframe program. After the same input, both have the
//! same tree and the same pixels.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

use egui::{
    Event, Key, Modifiers, MouseWheelUnit, PointerButton, Pos2, Rect, TouchPhase, Vec2, accesskit::Role,
};
use pulse::fonts;

use crate::{
    driver::{Desktop, Picture, Window},
    support::{cargo_build, workspace},
};

mod outline;

use outline::Outline;

/// Time for both to become equal; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Allowed difference of a channel: the host clips in its own coordinates, and so rounds a second time.
const ROUNDING: u8 = 1;

/// Number of pixels of a window that may differ by [`ROUNDING`]; five were seen.
const ROUNDED: usize = 16;

/// Number of differences that end a test: more of them are consequences.
const ENOUGH: usize = 10;

/// Parts of the demos' names.
const DEMOS: [&str; 28] = [
    "Band",
    "Bézier Curve",
    "Code Editor",
    "Code Example",
    "Completion",
    "Dancing Strings",
    "Drag and Drop",
    "Font Book",
    "Frame",
    "Highlighting",
    "Interactive Container",
    "Misc Demos",
    "Modals",
    "Multi Touch",
    "Painting",
    "Panels",
    "Popups",
    "Scene",
    "Screenshot",
    "Scrolling",
    "Sliders",
    "Strip",
    "Table",
    "TextEdit",
    "Text Layout",
    "Tooltips",
    "Undo Redo",
    "Widget Gallery",
];

/// Demos that never stop moving.
const RESTLESS: [&str; 2] = ["Band", "Dancing Strings"];

/// Title of the expose in the remote's manifest.
const TITLE: &str = "Every demo";

/// Builds the remote's library and the program with the same demo; returns their paths.
fn demo() -> &'static (PathBuf, PathBuf) {
    static BUILT: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let package = workspace().join("shell/tests/fixtures/egui-demo");
        let mut built = cargo_build(&package, &["--locked", "--lib", "--example", "plain"]);
        let mut find = |name: &str| built.remove(name).unwrap_or_else(|| panic!("cargo built no `{name}`"));
        (find("fixture_egui_demo"), find("plain"))
    })
}

/// Writes the shell's fonts into `folder` for the plain program.
fn write_fonts(folder: &Path) {
    let fonts = fonts::all();
    let list: Vec<_> =
        fonts.iter().map(|font| (font.name.as_str(), font.index, font.families, font.scale)).collect();
    fs::write(folder.join("fonts.json"), serde_json::to_vec(&list).expect("plain data")).expect("a file");
    for (at, font) in fonts.iter().enumerate() {
        fs::write(folder.join(at.to_string()), font.data.as_slice()).expect("a file");
    }
}

/// The demo as a part of a program, and in a surface, at the same place in windows of the same size.
struct Pair {
    plain: Window,
    surface: Window,
    slot: Rect,
    faults: Vec<String>,
    // Dropped last: the windows are on these desktops.
    _desktops: [Desktop; 2],
    _fonts: tempfile::TempDir,
}

impl Pair {
    fn open() -> Self {
        let (library, program) = demo();
        let desktops = [Desktop::new(), Desktop::new()];
        let mut command = desktops[0].command(env!("CARGO_BIN_EXE_pulse"));
        command.arg("standalone").arg(library);
        let mut surface = desktops[0].open(command);
        surface.wait_for_parts(&["Widget Gallery"]);
        let pane =
            surface.tree().of_role(Role::Pane).find(|item| item.name == TITLE).cloned().expect("a surface");

        let fonts = tempfile::tempdir().expect("a folder");
        write_fonts(fonts.path());
        let mut command: Command = desktops[1].command(program);
        let (size, slot) = (surface.size(), pane.bounds);
        command.args([size.x.to_string(), size.y.to_string()]);
        command.arg([slot.min.x, slot.min.y, slot.max.x, slot.max.y].map(|side| side.to_string()).join(","));
        command.arg(fonts.path());
        let mut plain = desktops[1].open(command);
        plain.wait_for_parts(&["Widget Gallery"]);
        plain.focus();
        surface.focus();
        let mut pair = Self { plain, surface, slot, faults: Vec::new(), _desktops: desktops, _fonts: fonts };
        // The demo's windows have found their places.
        pair.same("start");
        pair
    }

    /// Returns the centre, in the plain window, of the `nth` element with this role and `part` in its name.
    fn at(&mut self, role: Role, part: &str, nth: usize) -> Pos2 {
        self.plain.until(&format!("{role:?} {part:?} {nth}"), |tree| {
            let mut items = tree.of_role(role).filter(|item| item.name.contains(part));
            items.nth(nth).map(|item| item.bounds.center())
        })
    }

    /// Sends both the same events, one per frame.
    fn events(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.surface.events(vec![event.clone()]);
            self.plain.events(vec![event]);
        }
    }

    fn point(&mut self, pos: Pos2) {
        self.events([Event::PointerMoved(pos)]);
    }

    fn click_at(&mut self, pos: Pos2, button: PointerButton) {
        self.point(pos);
        self.events([true, false].map(|pressed| pressing(pos, button, pressed)));
    }

    fn click(&mut self, role: Role, part: &str, nth: usize) {
        let pos = self.at(role, part, nth);
        self.click_at(pos, PointerButton::Primary);
    }

    /// Opens the windows of these demos, or closes them.
    fn toggle(&mut self, demos: &[&str]) {
        for demo in demos {
            self.click(Role::Button, demo, 0);
        }
    }

    /// Presses at `from`, moves along `way`, and releases.
    fn drag(&mut self, from: Pos2, way: &[Vec2]) {
        let primary = PointerButton::Primary;
        self.point(from);
        self.events([pressing(from, primary, true)]);
        let mut pos = from;
        for step in way {
            pos += *step;
            self.point(pos);
        }
        self.events([pressing(pos, primary, false)]);
    }

    fn key(&mut self, modifiers: Modifiers, key: Key) {
        let event = |pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers };
        self.events([true, false].map(event));
        if modifiers != Modifiers::NONE {
            self.events([Event::ModifiersChanged(Modifiers::NONE)]);
        }
    }

    fn wheel(&mut self, pos: Pos2, delta: Vec2) {
        self.point(pos);
        self.events([Event::MouseWheel {
            unit: MouseWheelUnit::Point,
            delta,
            phase: TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
            modifiers: Modifiers::NONE,
        }]);
        self.plain.settle();
        self.surface.settle();
        // A table knows the row under the pointer one frame later. A screenshot draws that frame of the window, but
        // a surface keeps its last one; so send another event.
        self.point(pos);
    }

    fn outlines(&mut self) -> [Outline; 2] {
        [Outline::of_window(&self.plain.update().1), Outline::of_surface(&self.surface.update().1, TITLE)]
    }

    /// Waits until both have the same tree; otherwise records a fault.
    fn same_tree(&mut self, step: &str) {
        // The output of a failing test shows its last step.
        eprintln!("{step}");
        let give_up = Instant::now() + PATIENCE;
        let [plain, surface] = loop {
            let pair = self.outlines();
            if pair[0] == pair[1] && !pair[0].is_empty() {
                return;
            }
            if Instant::now() > give_up {
                break pair;
            }
        };
        self.fault(format!("{step}: {}", plain.difference(&surface)));
        self.save(step);
    }

    /// Waits until both have the same tree, and the same pixels at rest; otherwise records a fault.
    fn same(&mut self, step: &str) {
        self.same_tree(step);
        let give_up = Instant::now() + PATIENCE;
        let difference = loop {
            let [plain, surface] = self.pictures();
            let Some(difference) = plain.difference(&surface) else { return };
            if difference.most <= ROUNDING && difference.pixels <= ROUNDED {
                return;
            }
            if Instant::now() > give_up {
                break difference;
            }
        };
        self.save(step);
        difference.picture.save(&format!("demo-{step}-difference.png"));
        self.fault(format!("{step}: {} pixels differ, by up to {}", difference.pixels, difference.most));
    }

    fn pictures(&mut self) -> [Picture; 2] {
        self.plain.settle();
        self.surface.settle();
        [&mut self.plain, &mut self.surface].map(|window| window.picture().0.part(self.slot))
    }

    fn save(&mut self, step: &str) {
        for (picture, name) in self.pictures().iter().zip(["plain", "surface"]) {
            picture.save(&format!("demo-{step}-{name}.png"));
        }
    }

    fn fault(&mut self, fault: String) {
        eprintln!("{fault}");
        self.faults.push(fault);
        assert!(self.faults.len() < ENOUGH, "surface and program differ:\n{}", self.faults.join("\n"));
    }

    fn end(self) {
        assert!(self.faults.is_empty(), "surface and program differ:\n{}", self.faults.join("\n"));
    }
}

fn pressing(pos: Pos2, button: PointerButton, pressed: bool) -> Event {
    Event::PointerButton { pos, button, pressed, modifiers: Modifiers::NONE }
}

#[test]
fn surface_behaves_like_part_of_the_program() {
    let mut pair = Pair::open();
    presses(&mut pair);
    types(&mut pair);
    chooses(&mut pair);
    drags(&mut pair);
    pair.end();
}

#[test]
fn windows_and_menus_behave_like_part_of_the_program() {
    let mut pair = Pair::open();
    pair.toggle(&["About egui", "Code Example"]);
    hovers(&mut pair);
    uses_keyboard(&mut pair);
    opens_menus(&mut pair);
    moves(&mut pair);
    pair.end();
}

#[test]
fn dialogs_and_drags_behave_like_part_of_the_program() {
    let mut pair = Pair::open();
    folds(&mut pair);
    picks_a_date(&mut pair);
    pair.toggle(&["Widget Gallery"]);
    writes_lines(&mut pair);
    drags_between_columns(&mut pair);
    opens_dialogs(&mut pair);
    pair.end();
}

#[test]
fn every_demo_looks_like_part_of_the_program() {
    let mut pair = Pair::open();
    pair.toggle(&["About egui", "Code Example", "Widget Gallery"]);
    for demo in DEMOS {
        pair.toggle(&[demo]);
        if RESTLESS.contains(&demo) {
            pair.same_tree(demo);
        } else {
            pair.same(demo);
        }
        pair.toggle(&[demo]);
    }
    pair.end();
}

/// Presses buttons, checkboxes and radio buttons.
fn presses(pair: &mut Pair) {
    pair.toggle(&["About egui", "Code Example"]);
    pair.same("one-window");
    pair.click(Role::Button, "Click me!", 0);
    pair.same_tree("button");
    pair.click(Role::CheckBox, "Checkbox", 0);
    pair.same_tree("checkbox");
    pair.click(Role::RadioButton, "Second", 0);
    pair.same_tree("radio");
    pair.click(Role::Button, "Third", 0);
    pair.same("selectable");
    pair.click(Role::CheckBox, "Interactive", 0);
    pair.same("disabled");
    pair.click(Role::CheckBox, "Interactive", 0);
    pair.same_tree("enabled");
}

/// Types text, selects, undoes and redoes.
fn types(pair: &mut Pair) {
    pair.click(Role::TextInput, "", 0);
    pair.same_tree("text-focus");
    pair.events(["two", " words"].map(|text| Event::Text(text.to_owned())));
    pair.same("text");
    pair.key(Modifiers::SHIFT, Key::ArrowLeft);
    pair.key(Modifiers::SHIFT | Modifiers::CTRL | Modifiers::COMMAND, Key::ArrowLeft);
    pair.same("text-selected");
    pair.events([Event::Text("things".to_owned())]);
    pair.same_tree("text-replaced");
    pair.key(Modifiers::COMMAND | Modifiers::CTRL, Key::Z);
    pair.same_tree("text-undone");
    pair.key(Modifiers::COMMAND | Modifiers::CTRL | Modifiers::SHIFT, Key::Z);
    pair.same_tree("text-redone");
    // In one frame: a double click must not take more than a third of a second.
    let pos = pair.at(Role::TextInput, "", 0) - Vec2::new(40.0, 0.0);
    let clicks = [true, false, true, false].map(|pressed| pressing(pos, PointerButton::Primary, pressed));
    pair.surface.events(clicks.to_vec());
    pair.plain.events(clicks.to_vec());
    pair.same("text-word");
    pair.events([Event::Cut, Event::Paste("pasted".to_owned())]);
    pair.same_tree("text-pasted");
}

/// Uses a combo box and a colour picker.
fn chooses(pair: &mut Pair) {
    pair.click(Role::ComboBox, "", 0);
    pair.same("combo-open");
    // In the list, which follows its combo box in the tree.
    pair.click(Role::Button, "First", 1);
    pair.same("combo-chosen");
    pair.click(Role::ColorWell, "", 0);
    pair.same_tree("color-open");
    let pos = pair.at(Role::ColorWell, "", 0);
    pair.click_at(pos, PointerButton::Primary);
    pair.same_tree("color-closed");
}

/// Drags sliders and numbers.
fn drags(pair: &mut Pair) {
    let right = [Vec2::new(15.0, 0.0), Vec2::new(25.0, 3.0), Vec2::new(-8.0, 0.0)];
    let slider = pair.at(Role::Slider, "", 0);
    pair.drag(slider, &right);
    pair.same("slider");
    let number = pair.at(Role::SpinButton, "", 0);
    pair.drag(number, &right);
    pair.same_tree("number-dragged");
    let number = pair.at(Role::SpinButton, "", 0);
    pair.click_at(number, PointerButton::Primary);
    pair.key(Modifiers::COMMAND | Modifiers::CTRL, Key::A);
    pair.events([Event::Text("77".to_owned())]);
    pair.key(Modifiers::NONE, Key::Enter);
    pair.same("number-typed");
}

/// Opens and closes a collapsing section.
fn folds(pair: &mut Pair) {
    pair.toggle(&["About egui", "Code Example"]);
    pair.click(Role::DisclosureTriangle, "Click to see", 0);
    // The spinner in it never stops, so pixels are not compared.
    pair.same_tree("unfolded");
    pair.click(Role::DisclosureTriangle, "Click to see", 0);
    pair.same_tree("folded");
}

/// Picks a day of this month.
fn picks_a_date(pair: &mut Pair) {
    pair.click(Role::Button, "📆", 0);
    pair.same("date-open");
    pair.click(Role::Button, "15", 0);
    pair.same_tree("date-day");
    pair.click(Role::Button, "Save", 0);
    pair.same("date-saved");
}

/// Edits text of several lines.
fn writes_lines(pair: &mut Pair) {
    pair.toggle(&["TextEdit"]);
    pair.same("lines-window");
    pair.click(Role::MultilineTextInput, "", 0);
    pair.key(Modifiers::COMMAND | Modifiers::CTRL, Key::End);
    pair.key(Modifiers::NONE, Key::Enter);
    pair.events([Event::Text("A second line".to_owned())]);
    pair.key(Modifiers::NONE, Key::Enter);
    pair.events([Event::Text("and a third".to_owned())]);
    pair.same("lines-written");
    pair.key(Modifiers::NONE, Key::ArrowUp);
    pair.key(Modifiers::SHIFT, Key::Home);
    pair.same_tree("lines-selected");
    let field = pair.at(Role::MultilineTextInput, "", 0);
    pair.drag(field - Vec2::new(60.0, 8.0), &[Vec2::new(20.0, 2.0), Vec2::new(30.0, 12.0)]);
    pair.same("lines-dragged-over");
    pair.key(Modifiers::NONE, Key::Delete);
    pair.same_tree("lines-removed");
    pair.click(Role::Button, "Center", 0);
    pair.same("lines-centered");
    pair.toggle(&["TextEdit"]);
}

/// Drags an item from one column into another.
fn drags_between_columns(pair: &mut Pair) {
    pair.toggle(&["Drag and Drop"]);
    let from = pair.at(Role::Label, "Item B", 0);
    let to = pair.at(Role::Label, "Item F", 0);
    let primary = PointerButton::Primary;
    pair.point(from);
    pair.events([pressing(from, primary, true)]);
    pair.point(from + Vec2::new(10.0, 4.0));
    pair.point(to + Vec2::new(0.0, 4.0));
    pair.same("drag-held");
    pair.events([pressing(to + Vec2::new(0.0, 4.0), primary, false)]);
    pair.same("drag-dropped");
    pair.toggle(&["Drag and Drop"]);
}

/// Opens a dialog over another, and a list over a dialog.
fn opens_dialogs(pair: &mut Pair) {
    pair.toggle(&["Modals"]);
    pair.click(Role::Button, "Open User Modal", 0);
    pair.same("modal");
    pair.click(Role::ComboBox, "", 0);
    pair.same("modal-combo");
    pair.click(Role::Button, "admin", 0);
    pair.same_tree("modal-chosen");
    // The second button: the first belongs to another dialog.
    pair.click(Role::Button, "Save", 1);
    pair.same("modal-above");
    pair.click(Role::Button, "No Thanks", 0);
    pair.same_tree("modal-below");
    pair.key(Modifiers::NONE, Key::Escape);
    pair.same("modal-gone");
}

/// Moves a window within the surface by its title.
fn moves(pair: &mut Pair) {
    pair.toggle(&["About egui"]);
    let title = pair.plain.until("the window", |tree| {
        tree.of_role(Role::Window).find(|item| item.name.contains("About")).map(|item| item.bounds)
    });
    pair.drag(title.center_top() + Vec2::new(0.0, 12.0), &[Vec2::new(30.0, 8.0), Vec2::new(60.0, 12.0)]);
    pair.same("window-moved");
}

/// Shows a tooltip.
fn hovers(pair: &mut Pair) {
    let pos = pair.at(Role::CheckBox, "Visible", 0);
    pair.point(pos);
    pair.plain.wait_for("Uncheck to hide all the widgets.");
    pair.same("tooltip");
    pair.point(Pos2::new(5.0, 400.0));
    pair.same_tree("tooltip-gone");
}

/// Tabs through controls, and presses them with the keyboard.
fn uses_keyboard(pair: &mut Pair) {
    pair.click(Role::CheckBox, "Checkbox", 0);
    for step in 0..4 {
        pair.key(Modifiers::NONE, Key::Tab);
        pair.same_tree(&format!("tab-{step}"));
    }
    pair.key(Modifiers::NONE, Key::Space);
    pair.same_tree("space");
    pair.key(Modifiers::SHIFT, Key::Tab);
    pair.same("shift-tab");
}

/// Opens menus, and sorts and scrolls a table.
fn opens_menus(pair: &mut Pair) {
    pair.click(Role::Button, "File", 0);
    pair.same("menu");
    pair.key(Modifiers::NONE, Key::Escape);
    pair.same_tree("menu-closed");
    pair.toggle(&["Widget Gallery"]);
    pair.toggle(&["Table"]);
    pair.same("table");
    pair.click(Role::Button, "⬇", 0);
    pair.same_tree("table-sorted");
    let row = pair.at(Role::Label, "16", 0);
    pair.wheel(row, Vec2::new(0.0, -60.0));
    pair.same("table-scrolled");
    pair.toggle(&["Table"]);
    pair.toggle(&["Popups"]);
    pair.same_tree("popups");
    let pos = pair.at(Role::Button, "Click, right-click and hover me!", 0);
    pair.click_at(pos, PointerButton::Secondary);
    pair.same("context-menu");
}
