//! What the repository says of the program, held to what the program is.

use std::fs;
use std::path::Path;

/// The page has this between its marks; with UPDATE=1 in the environment it is written there.
fn hold(page: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- generated: begin -->\n", "<!-- generated: end -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (there, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{begin}\n{generated}\n{end}{after}")).unwrap();
        return;
    }
    assert_eq!(
        there.trim(),
        generated.trim(),
        "{page}: UPDATE=1 cargo test -p butterfly-cli --test repository"
    );
}

#[test]
fn the_page_of_settings_has_them_all() {
    hold(
        "docs/reference/configuration.md",
        &butterfly_bin::reference::configuration(),
    );
}
