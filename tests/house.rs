//! Keeps the house in order: what may stand in which room.

#[path = "house/calls.rs"]
mod calls;
#[path = "house/edges.rs"]
mod edges;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The drivers, which may touch the world; the last stands in for `disk`.
const DRIVERS: [&str; 4] = ["net", "disk", "sim", "no_disk.rs"];

/// What nothing below the drivers may use, beside the types and methods that clippy denies there (`.clippy.toml`).
const OUTSIDE: [&str; 9] = [
    "mio::",
    "socket2",
    "std::fs",
    "std::io",
    "std::process",
    "println!",
    "log::",
    "zmq",
    "static mut",
];

/// Lines, its unit tests aside, that a file may have before it has to be asked whether it does one thing.
const LONG: usize = 600;

/// The files with this extension in a folder and below, but for what was built there.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|there| there == extension) {
            found.push(path);
        }
    }
    found
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    files(dir, "rs")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The code of a file, without its tests and comments, with line numbers.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = code.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect()
}

fn below_the_drivers() -> Vec<PathBuf> {
    let src = root().join("src");
    let is_driver = |path: &Path| DRIVERS.iter().any(|room| path.starts_with(src.join(room)));
    let below: Vec<_> = sources(&src)
        .into_iter()
        .filter(|path| !is_driver(path))
        .collect();
    assert!(
        below.len() > 20,
        "only {} files below the drivers: looked in the wrong place?",
        below.len()
    );
    below
}

/// The words in a line that may not stand below the drivers.
fn outside(line: &str) -> impl Iterator<Item = &'static str> {
    OUTSIDE.into_iter().filter(|word| line.contains(word))
}

#[test]
fn nothing_below_the_drivers_touches_the_world() {
    let mut found = Vec::new();
    for path in below_the_drivers() {
        for (number, line) in code(&path) {
            let complain = |word| format!("{}:{number}: {word}", path.display());
            found.extend(outside(&line).map(complain));
        }
    }
    assert!(found.is_empty(), "below the drivers:\n{}", found.join("\n"));
    for planted in [
        "println!(\"x\");",
        "std::process::abort();",
        "use zmq::Socket;",
    ] {
        assert_eq!(outside(planted).count(), 1, "{planted}");
    }
}

#[test]
fn unsafe_code_stands_in_one_small_room() {
    let mut allowed = Vec::new();
    for path in ["src", "bin"]
        .map(|room| sources(&root().join(room)))
        .concat()
    {
        let lines = code(&path);
        let allows = |(_, line): &&(usize, String)| line.contains("(unsafe_code)");
        allowed.extend(lines.iter().filter(allows).map(|_| path.clone()));
    }
    assert_eq!(allowed, [root().join("src/net/mod.rs")], "for ffi alone");
    let room = root().join("src/net/ffi.rs");
    let lines = code(&room);
    let uses = lines.iter().filter(|(_, line)| line.contains("unsafe "));
    let text = fs::read_to_string(room).unwrap();
    let proofs = text.matches("// SAFETY:").count();
    assert_eq!(uses.count(), proofs, "each use has its proof");
}

#[test]
fn files_are_short() {
    let rooms = ["src", "bin"].map(|room| root().join(room));
    for path in rooms.iter().flat_map(|room| sources(room)) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default()
            .lines()
            .count();
        assert!(
            lines <= LONG,
            "{} has {lines} lines: does it still do one thing?",
            path.display()
        );
    }
}

/// The state machines, whose files call each other in no circle that takes long to read.
const MACHINES: [&str; 2] = ["src/swim", "src/gossip"];

/// The most fields that a struct of the membership has.
const MOST_FIELDS: usize = 14;

/// A circle of so many files can be taken in at a glance.
const SMALL_CIRCLE: usize = 2;

/// The sources in a folder, by their names without extension.
fn texts(folder: &str) -> Vec<(String, String)> {
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let files = sources(&root().join(folder));
    let texts = files
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()));
    texts.collect()
}

#[test]
fn no_more_than_two_files_of_a_state_machine_call_each_other_in_a_circle() {
    for folder in MACHINES {
        let files = texts(folder);
        assert!(files.len() > 10, "{folder}: looked in the wrong place?");
        let found = calls::cycles(&calls::calls(&files), SMALL_CIRCLE);
        assert!(found.is_empty(), "{folder}: {found:?}");
    }
}

#[test]
fn no_struct_of_the_membership_has_too_many_fields() {
    let files = texts("src/swim");
    let sizes = calls::field_counts(&files);
    assert!(sizes.len() > 40, "only {} structs", sizes.len());
    let large: Vec<_> = sizes
        .iter()
        .filter(|(_, fields)| *fields > MOST_FIELDS)
        .collect();
    assert!(
        large.is_empty(),
        "more than {MOST_FIELDS} fields: {large:?}"
    );
}

/// Calls whose name says what the bool is: a flag that is set, or what a place held is replaced by.
const SAY_IT: [&str; 3] = ["set", "replace", "fold"];

#[test]
fn no_argument_is_a_bare_bool() {
    let found = |text: &str| -> Vec<String> {
        let mut found = calls::bare_bools(text);
        found.retain(|name| !SAY_IT.contains(&name.as_str()));
        found
    };
    for path in sources(&root().join("src")) {
        let found = found(&fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
    assert_eq!(
        found("fn f() { begin(env, true); set(flag, true) }"),
        ["begin"]
    );
}

/// A subject is a struct of the membership; what all use is none.
#[test]
fn no_function_of_the_membership_changes_more_than_two_subjects() {
    let files = texts("src/swim");
    let names = files.iter().flat_map(|(_, text)| calls::struct_names(text));
    let mut subjects: BTreeSet<String> = names.collect();
    for passing in ["Incoming", "Outgoing"] {
        subjects.remove(passing);
    }
    assert!(subjects.len() > 40, "only {} subjects", subjects.len());
    for (file, text) in &files {
        let found = calls::with_more_than(2, text, &subjects);
        assert!(found.is_empty(), "{file}: {found:?}");
    }
    let planted = "fn join(&mut self, table: &mut Table, news: &mut News) {}";
    let subjects = ["Table", "News"].map(str::to_owned).into();
    assert_eq!(calls::with_more_than(2, planted, &subjects), ["join"]);
}

#[test]
fn a_planted_call_closes_a_circle() {
    let chain = [
        (
            "probe",
            "impl Engine { fn probe(&mut self) { self.push() } }\nfn again() {}",
        ),
        (
            "push",
            "impl Engine { fn push(&self) { let Engine { table, .. } = self; table.count() } }",
        ),
        (
            "table",
            "struct Engine { table: Table }\nstruct Table;\nimpl Table { fn count(&self) {} }",
        ),
    ];
    let circles = |planted: &str| -> Vec<Vec<String>> {
        let plant = |(name, text): (&str, &str)| (name.to_owned(), format!("{text}\n{planted}"));
        let mut files: Vec<_> = chain.map(|(name, text)| plant((name, text))).into();
        // Only the last of the chain has it.
        (0..2).for_each(|place| files[place].1 = chain[place].1.to_owned());
        let circles = calls::cycles(&calls::calls(&files), SMALL_CIRCLE);
        circles
            .into_iter()
            .map(|circle| circle.into_iter().collect())
            .collect()
    };
    for planted in [
        "fn back(engine: &mut Engine) { engine.probe() }",
        "impl Table { fn back() { Engine::probe(it) } }",
        "impl Engine { fn back(&mut self) { self.probe() } }",
        "use super::probe::again;\nfn back() { again() }",
        "fn back() { probe::again() }",
    ] {
        assert_eq!(circles(planted), [["probe", "push", "table"]], "{planted}");
    }
    for harmless in [
        "impl Table { fn probe(&self) { self.count() } }",
        "fn back() { \"probe::again()\"; } // probe::again()",
        "#[cfg(test)]\nmod tests { fn back() { probe::again() } }",
    ] {
        assert_eq!(circles(harmless), Vec::<Vec<String>>::new(), "{harmless}");
    }
}

/// Calls that change a node and need not be recorded: what they change decides nothing, or only benchmarks make them.
const UNRECORDED: [&str; 9] = [
    "set_history",
    "set_tracing",
    "poll_trace",
    "hear_membership",
    "poll_recorded",
    "cut_recording",
    "reuse_recorded",
    "end_recording",
    // Has an input of its own.
    "poll_event",
];

/// The methods of a node that others call and that may change it, each with its body.
fn changing(text: &str) -> Vec<(String, String)> {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let methods = code.split("\n    pub").skip(1);
    let methods = methods.filter_map(|rest| {
        let method = rest.split("\n    }\n").next()?;
        let rest = method.strip_prefix("(crate)").unwrap_or(method);
        let (name, rest) = rest.strip_prefix(" fn ")?.split_once(['(', '<'])?;
        let signature = rest.split("{\n").next()?;
        signature
            .contains("&mut self")
            .then(|| (name.to_owned(), rest.to_owned()))
    });
    methods.collect()
}

#[test]
fn every_call_that_changes_a_node_is_recorded() {
    let src = root().join("src");
    let mut all = sources(&src.join("node"));
    all.push(src.join("node.rs"));
    // They are no calls of the node itself.
    let apart = ["replaying.rs", "clock.rs", "pushes.rs"];
    all.retain(|path| apart.iter().all(|name| !path.ends_with(name)));
    let mut found = 0;
    for path in all {
        for (name, body) in changing(&fs::read_to_string(&path).unwrap()) {
            found += 1;
            let is_recorded = body.contains("self.record(");
            let is_exempt = UNRECORDED.contains(&&*name);
            assert!(
                is_recorded != is_exempt,
                "{}: {name}: a call that changes a node is recorded, so that a replay makes it too (src/recording/input.rs)",
                path.display()
            );
        }
    }
    assert!(found > 50, "only {found} calls");
    let planted =
        "impl Node {\n    pub fn shake(&mut self, now: Time) {\n        self.x();\n    }\n}\n";
    assert_eq!(changing(planted).len(), 1);
}

/// What SECURITY.md promises, and the test that holds it: each that it names is there.
#[test]
fn the_tests_that_security_md_names_are_there() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let rooms =
        ["src", "tests", "benches", "bin", "fuzz/subjects"].map(|room| sources(&root().join(room)));
    let all: String = rooms
        .concat()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        if word.ends_with(".rs") {
            assert!(root().join(word).is_file(), "SECURITY.md names {word}");
        } else if word.matches('_').count() >= 3 && !word.contains(' ') {
            named += 1;
            let signature = format!("fn {word}(");
            assert!(all.contains(&signature), "SECURITY.md names {word}");
        }
    }
    assert!(named > 20, "only {named} tests are named");
}

/// The book's pages, and the documents beside them.
fn documents() -> Vec<PathBuf> {
    let beside = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ]
    .map(|name| root().join(name));
    let mut found = files(&root().join("docs"), "md");
    found.extend(beside);
    found
}

/// The lines of a document, without its code blocks.
fn prose(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    });
    lines.map(str::to_owned).collect()
}

/// Where the links and images of a document lead, those to other sites aside.
fn links(path: &Path) -> Vec<String> {
    let text = prose(path).join("\n");
    // Between two backticks there is code, and no link.
    let text: String = text.split('`').step_by(2).collect();
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .filter(|target| !target.contains("://"))
        .collect()
}

/// The anchors of a document's headings, as GitHub and mdBook make them.
fn anchors(path: &Path) -> Vec<String> {
    let lines = prose(path);
    let headings = lines.iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|char| char.is_alphanumeric() || " -_".contains(*char));
            kept.map(|char| if char == ' ' { '-' } else { char })
                .collect()
        })
        .collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let (mut broken, mut followed, mut to_headings) = (Vec::new(), 0, 0);
    for page in documents() {
        for link in links(&page) {
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().unwrap().join(file),
            };
            let is_there = target.exists()
                && (anchor.is_empty() || anchors(&target).iter().any(|there| there == anchor));
            to_headings += usize::from(!anchor.is_empty());
            if !is_there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "these lead nowhere:\n{}",
        broken.join("\n")
    );
    assert!(
        followed > 40 && to_headings > 1,
        "only {followed} links, {to_headings} to headings: looked in the wrong place?"
    );
}

#[test]
fn the_summary_lists_every_page_of_the_book_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let mut listed: Vec<_> = links(&summary).iter().map(|link| docs.join(link)).collect();
    listed.sort();
    let mut pages = files(&docs, "md");
    pages.retain(|page| *page != summary);
    pages.sort();
    assert_eq!(
        listed, pages,
        "what docs/SUMMARY.md lists, and what is there"
    );
}

/// Comments and messages that name a page name one that exists.
#[test]
fn sources_name_pages_that_exist() {
    let folders = ["src", "bin", "tests", "examples", "benches", "protocols"];
    let mut named = 0;
    for (folder, extension) in folders
        .iter()
        .flat_map(|folder| [(folder, "rs"), (folder, "proto")])
    {
        for path in files(&root().join(folder), extension) {
            let text = fs::read_to_string(&path).unwrap();
            for rest in text.split("docs/").skip(1) {
                let is_part = |char: char| char.is_ascii_alphanumeric() || "/_-.".contains(char);
                let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
                let page = rest[..end].trim_end_matches('.');
                if !page.ends_with(".md") {
                    continue;
                }
                named += 1;
                assert!(
                    root().join("docs").join(page).is_file(),
                    "{} names docs/{page}",
                    path.display()
                );
            }
        }
    }
    assert!(
        named > 5,
        "only {named} are named: looked in the wrong place?"
    );
}
