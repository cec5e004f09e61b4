//! What the repository says of the program, held to what the program is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

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
fn the_page_of_the_gateway_has_all_routes() {
    hold("docs/reference/http.md", &butterfly_bin::reference::http());
}

#[test]
fn the_page_of_settings_has_them_all() {
    hold(
        "docs/reference/configuration.md",
        &butterfly_bin::reference::configuration(),
    );
}

#[test]
fn the_page_of_commands_has_them_all() {
    hold(
        "docs/reference/commands.md",
        &butterfly_bin::reference::commands(),
    );
}

#[test]
fn the_page_of_metrics_has_them_all() {
    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    let scraped = scrape();
    let about = |name: &str, what: &str| {
        let line = format!("# {what} {name} ");
        let found = scraped.lines().find_map(|it| it.strip_prefix(&line));
        found.unwrap_or_default().replace('|', "\\|")
    };
    let helps = scraped.lines().filter_map(|it| it.strip_prefix("# HELP "));
    for name in helps.filter_map(|it| it.split(' ').next()) {
        let mut labels = BTreeMap::<&str, Vec<&str>>::new();
        let series = scraped.lines().filter_map(|it| it.strip_prefix(name));
        for pairs in series.filter_map(|it| it.strip_prefix('{')) {
            let pairs = pairs.split_once('}').unwrap().0;
            for (label, value) in pairs.split(',').filter_map(|it| it.split_once('=')) {
                let values = labels.entry(label).or_default();
                if !values.contains(&value.trim_matches('"')) {
                    values.push(value.trim_matches('"'));
                }
            }
        }
        labels.remove("version");
        let few = |(label, values): (&&str, &Vec<&str>)| match values.len() {
            0..=12 => format!("`{label}`: {}", values.join(", ")),
            more => format!("`{label}`: {more} values"),
        };
        let labels: Vec<_> = labels.iter().map(few).collect();
        let (kind, help) = (about(name, "TYPE"), about(name, "HELP"));
        text += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join("; "));
    }
    hold("docs/reference/metrics.md", &text);
}

/// What a member with a data directory says of itself.
fn scrape() -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut member = Command::new(env!("CARGO_BIN_EXE_butterfly"))
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "none",
            "--log",
            "error",
        ])
        .args(["--metrics", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("amber"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(member.stdout.take().unwrap()).lines();
    let addr = lines.map(Result::unwrap).find_map(|line| {
        let addr = line.strip_prefix("metrics ")?;
        Some(addr.to_owned())
    });
    let mut stream = TcpStream::connect(addr.unwrap()).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    member.kill().unwrap();
    member.wait().unwrap();
    text
}

#[test]
fn the_page_of_limits_has_them_all() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/limits.rs");
    let source = fs::read_to_string(path).unwrap();
    let mut text = String::from("| limit | value | what it holds |\n|---|---|---|\n");
    let mut about = String::new();
    let mut declared = String::new();
    let mut in_docs = false;
    for line in source.lines() {
        if let Some(words) = line.strip_prefix("///") {
            if !std::mem::take(&mut in_docs) {
                about.clear();
            }
            in_docs = true;
            about += words;
            continue;
        }
        in_docs = false;
        if line.starts_with("pub const ") || !declared.is_empty() {
            declared += &format!(" {}", line.trim());
            if line.ends_with(';') {
                let (name, value) = declared.split_once(" = ").unwrap();
                let name = name.trim().strip_prefix("pub const ").unwrap();
                let name = name.split(':').next().unwrap();
                let value = value.trim_end_matches(';').replace('|', "\\|");
                let about = about.trim().replace('|', "\\|");
                text += &format!("| `{name}` | `{value}` | {about} |\n");
                declared.clear();
            }
        }
    }
    hold("docs/reference/limits.md", &text);
}
