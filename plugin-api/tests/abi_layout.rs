//! The contract's layout, as a text that is checked in: a change of it shows the difference to hosts and remotes
//! that are already built.
//!
//! The text is made from the descriptions that `abi_stable` compares when a library is loaded, so it covers every
//! type that crosses.
#![cfg(target_pointer_width = "64")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use abi_stable::{
    StableAbi,
    type_layout::{TLData, TLField, TLFields, TypeLayout},
};
use plugin_api::abi::{ABI_REVISION, RemoteEntryRef};

#[test]
fn layout_matches_its_revision() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi_layout.txt");
    let now = describe();
    if env::var_os("PULSE_BLESS").is_some() {
        fs::write(&file, &now).expect("the description can be written");
    }
    let known = fs::read_to_string(&file).expect("the description is checked in");
    if known == now {
        return;
    }
    let difference = difference(&known, &now);
    assert!(
        known.lines().next() != now.lines().next(),
        "the contract's layout has changed, and its revision has not: bump ABI_REVISION in plugin-api/src/abi.rs, \
         state the change in CHANGELOG.md, then run this test with PULSE_BLESS=1\n{difference}"
    );
    panic!(
        "the contract has a new revision: run this test with PULSE_BLESS=1 to record its layout\n{difference}"
    );
}

#[test]
fn description_covers_types_that_cross() {
    let text = describe();
    for name in [
        "ClippedMesh",
        "Command",
        "Consumer",
        "Event",
        "EventKind",
        "Font",
        "Frame",
        "FrameInput",
        "Grant",
        "Ime",
        "InitContext",
        "Interface",
        "RemoteError",
        "SharedModule",
        "SurfaceContext",
        "TextureUpdate",
        "Tokens",
        "Vertex",
    ] {
        assert!(text.contains(&format!("::{name}: ")), "`{name}` is not described");
    }
    // Checks the rule for offsets against the compiler.
    let offset = std::mem::offset_of!(plugin_api::abi::FrameInput, tokens);
    assert!(text.contains(&format!("\n{offset:>6} tokens: Tokens\n")), "{text}");
    assert!(text.contains(" meshes: RVec<ClippedMesh>\n"), "{text}");
}

/// Returns the lines that only one of the two texts has.
fn difference(known: &str, now: &str) -> String {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (known.lines().collect(), now.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}\n"));
    let come = after.difference(&before).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

fn describe() -> String {
    let mut described = BTreeMap::new();
    visit(<RemoteEntryRef as StableAbi>::LAYOUT, &mut BTreeSet::new(), &mut described);
    let types: String = described.into_values().collect();
    format!("ABI revision {ABI_REVISION}\n\n{types}")
}

/// Describes the types of this package that `layout` refers to, by path and name.
fn visit(layout: &'static TypeLayout, seen: &mut BTreeSet<usize>, out: &mut BTreeMap<String, String>) {
    if !seen.insert(std::ptr::from_ref(layout).addr()) {
        return;
    }
    let name = format!("{}::{}", layout.mod_path(), layout.full_type());
    // The version of `abi_stable`, which is checked, too, identifies its types.
    if layout.package() == "plugin-api" {
        let text = format!("{name}: {} bytes, aligned to {}\n", layout.size(), layout.alignment());
        out.insert(name, text + &fields(layout) + "\n");
    }
    let below = layout.get_fields().into_iter().chain([layout.phantom_fields()]);
    for field in below.flat_map(|fields| fields.iter().collect::<Vec<_>>()) {
        visit(field.layout(), seen, out);
        for function in field.function_range() {
            let parameters = function.param_type_layouts.iter();
            for layout in parameters.chain(function.return_type_layout()) {
                visit(layout(), seen, out);
            }
        }
    }
    for parameter in layout.generics().type_params() {
        visit(parameter(), seen, out);
    }
}

fn fields(layout: &'static TypeLayout) -> String {
    match layout.data() {
        TLData::Struct { fields } => struct_fields(layout, fields),
        TLData::PrefixType(prefix) => struct_fields(layout, prefix.fields),
        // No type that crosses is one of these; the text would show a new one.
        TLData::Enum(_) | TLData::Union { .. } | TLData::Primitive(_) | TLData::Opaque => {
            format!("       {:?}\n", layout.data_discriminant())
        }
    }
}

/// Returns offset, name and type of each field, by the rules of `repr(C)` and `repr(transparent)`.
fn struct_fields(layout: &'static TypeLayout, fields: TLFields) -> String {
    let mut end = 0_usize;
    let mut text = String::new();
    for field in fields.iter() {
        let start = end.next_multiple_of(field.layout().alignment());
        end = start + field.layout().size();
        text.extend([format!("{start:>6} {}: {}\n", field.name(), type_of(&field))]);
    }
    if !layout.is_prefix_kind() {
        assert_eq!(end.next_multiple_of(layout.alignment()), layout.size(), "{}\n{text}", layout.full_type());
    }
    text
}

fn type_of(field: &TLField) -> String {
    let Some(function) = field.function_range().iter().next().filter(|_| field.is_function()) else {
        return shown(field.layout());
    };
    let parameters: Vec<_> = function.param_type_layouts.iter().map(|layout| shown(layout())).collect();
    let returned = function.return_type_layout().map(|layout| format!(" -> {}", shown(layout())));
    format!("fn({}){}", parameters.join(", "), returned.unwrap_or_default())
}

/// Returns the type's name with its type parameters, which `abi_stable` leaves out.
fn shown(layout: &'static TypeLayout) -> String {
    let held: Vec<&str> = match layout.name() {
        "RVec" => vec!["buffer"],
        "RSlice" => vec!["data"],
        "ROption" => vec!["field_0"],
        "RResult" => {
            layout.get_fields().iter().flat_map(|f| f.iter().map(|f| f.name()).collect::<Vec<_>>()).collect()
        }
        _ => return layout.full_type().to_string().trim_end().to_owned(),
    };
    let fields = layout.get_fields().into_iter().flat_map(|fields| fields.iter().collect::<Vec<_>>());
    let held: Vec<_> =
        fields.filter(|f| held.contains(&f.name())).map(|f| shown(pointee(f.layout()))).collect();
    assert!(!held.is_empty(), "`{}` holds unknown types: {:?}", layout.full_type(), layout.get_fields());
    format!("{}<{}>", layout.name(), held.join(", "))
}

/// Returns the target of a pointer; any other type itself.
fn pointee(layout: &'static TypeLayout) -> &'static TypeLayout {
    match (layout.name(), layout.generics().type_params(), layout.get_fields().and_then(|fields| fields.get(0)))
    {
        ("NonNull", _, Some(pointer)) => pointee(pointer.layout()),
        ("*const" | "*mut", [to], _) => to(),
        _ => layout,
    }
}
