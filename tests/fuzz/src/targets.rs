//! What any bytes are held to. libFuzzer draws them (`lib.rs`, `fuzz_targets/`, `cargo xtask fuzz`), and the ordinary
//! tests repeat those that are known (`replay/`).
//!
//! Not here: the configuration, which opens the files that it names, so that arbitrary text must not be loaded, and the
//! spool's records, which are read within `ci-bridge-publisher` alone and damaged at every byte by its own tests.

mod callback;
mod invariants;
mod template;

/// A target: what is done with an input, and what must hold then.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its program in `fuzz_targets/` and of its folder in `corpus/`.
    pub name: &'static str,
    /// An `Err` says what does not hold. A panic is a find as well.
    pub check: fn(&[u8]) -> Result<(), String>,
}

/// Every target, in the order of their names.
pub const TARGETS: [Target; 4] = [
    Target { name: "callback", check: callback::check },
    Target { name: "json", check: invariants::json::agree },
    Target { name: "template", check: template::check },
    Target { name: "xml", check: invariants::xml::agree },
];
