//! Compares the layouts of a type in two builds, and describes the difference.

use abi_stable::{
    abi_stability::abi_checking::{
        AbiInstability, AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
    },
    type_layout::{TLFieldOrFunction, TypeLayout},
};

/// Compares the layout in another image (`found`) with the layout that this image was built for (`expected`).
///
/// Keeps nothing between calls, so the other image may be unloaded afterwards.
///
/// # Errors
/// Returns the innermost difference, as a part of a sentence.
pub fn check(expected: &'static TypeLayout, found: &'static TypeLayout) -> Result<(), String> {
    // The default globals of `abi_stable` would keep references into libraries that are unloaded later.
    check_layout_compatibility_with_globals(expected, found, &CheckingGlobals::new())
        .map_err(|errors| describe(&errors))
}

/// Describes the innermost difference: the others follow from it.
fn describe(errors: &AbiInstabilityErrors) -> String {
    let innermost = errors.errors.iter().max_by_key(|error| error.stack_trace.len());
    let Some((error, what)) = innermost.and_then(|error| Some((error, error.errs.first()?))) else {
        return "the difference is unknown".to_owned();
    };
    let path: Vec<_> = error.stack_trace.iter().map(|step| name(&step.expected)).collect();
    match path.last() {
        Some(at) => format!("in `{at}` there is {}", difference(what)),
        None => format!("there is {}", difference(what)),
    }
}

fn name(step: &TLFieldOrFunction) -> &str {
    match step {
        TLFieldOrFunction::Field(field) => field.layout().name(),
        TLFieldOrFunction::Function(function) => function.name.as_str(),
    }
}

fn difference(what: &AbiInstability) -> String {
    match what {
        AbiInstability::UnexpectedField(v) => {
            format!("a field `{}` instead of `{}`", v.found.name(), v.expected.name())
        }
        AbiInstability::FieldCountMismatch(v) => {
            format!("a number of {} fields instead of {}", v.found, v.expected)
        }
        AbiInstability::Name(v) => format!("a `{}` instead of a `{}`", v.found, v.expected),
        AbiInstability::Size(v) => format!("a size of {} bytes instead of {}", v.found, v.expected),
        AbiInstability::Alignment(v) => format!("an alignment of {} instead of {}", v.found, v.expected),
        AbiInstability::PackageVersion(v) => format!("a type of version {} instead of {}", v.found, v.expected),
        other => {
            let kind = format!("{other:?}");
            format!("another {}", kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use abi_stable::StableAbi;

    use super::*;

    mod one {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Inner {
            pub(super) first: u32,
            pub(super) second: u32,
        }
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Outer {
            pub(super) inner: Inner,
        }
    }

    mod other {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Inner {
            pub(super) first: u32,
            pub(super) third: u32,
        }
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Outer {
            pub(super) inner: Inner,
        }
    }

    mod more {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Outer {
            pub(super) inner: u8,
        }
    }

    #[test]
    fn difference_names_the_innermost_type() {
        let expected = <one::Outer as StableAbi>::LAYOUT;
        assert_eq!(check(expected, expected), Ok(()));
        let other = check(expected, <other::Outer as StableAbi>::LAYOUT);
        assert_eq!(other, Err("in `Inner` there is a field `third` instead of `second`".to_owned()));
        let more = check(expected, <more::Outer as StableAbi>::LAYOUT).expect_err("another type");
        assert!(more.contains("in `Inner` there is a `u8` instead of a `Inner`"), "{more}");
    }
}
