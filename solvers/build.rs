//! With feature `z3`: a run path to the library that pkg-config names, so that this crate's tests start without settings.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    if std::env::var_os("CARGO_FEATURE_Z3").is_none() {
        return;
    }
    // Without pkg-config the library is the system's, and needs no run path.
    let Ok(output) = Command::new("pkg-config").args(["--libs-only-L", "z3"]).output() else { return };
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    for dir in flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-L")) {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}");
    }
}
