//! `include/butterfly.h` is what the functions and types are. `BLESS=1` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_that_of_the_functions() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let sources = [
        "status", "log", "config", "member", "event", "tags", "talk", "view",
    ];
    let builder = sources
        .iter()
        .fold(cbindgen::Builder::new(), |builder, source| {
            builder.with_src(here.join(format!("src/{source}.rs")))
        });
    let mut written = Vec::new();
    let bindings = builder.with_config(config).generate().unwrap();
    bindings.write(&mut written);
    // What Rust calls safety are the conditions of a call.
    let header = String::from_utf8(written).unwrap();
    let header = header.replace("// # Safety\n", "// Needed:\n");
    let path = here.join("include/butterfly.h");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &header).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == header, "run `BLESS=1 cargo test --test header`");
    // Whatever C calls has to be in it.
    for source in sources {
        let text = std::fs::read_to_string(here.join(format!("src/{source}.rs"))).unwrap();
        let names = text.split("extern \"C\" fn butterfly_").skip(1);
        for name in names.filter_map(|rest| rest.split('(').next()) {
            assert!(
                header.contains(&format!("butterfly_{name}(")),
                "butterfly_{name}"
            );
        }
    }
}
