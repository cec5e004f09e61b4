//! The shared library's name for the dynamic linker: another major version gets another one.

fn main() {
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libbutterfly.so.{major}");
    println!("cargo:rerun-if-changed=build.rs");
}
