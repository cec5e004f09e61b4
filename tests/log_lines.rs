//! Every warning and error that a member logs is made by a test that asserts what it says, and so is every line that
//! docs/guides/operating.md quotes: a diagnostic that nothing ever made fire may never fire, or say something else.
//!
//! `tests/tables/log_lines.txt` names the test of each line. What it says is held to the sources as Rust reads them, without
//! comments: to the format strings of `warn!` and `error!`, and to what the tests assert.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A text stands for a line only if it has so many bytes of it in one piece.
const LEAST: usize = 8;

/// What fails unless the text that it is given is there; those of the tests' harnesses, too.
const ASSERTING: [&str; 4] = ["assert", "assert_eq", "says", "until"];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

/// What Rust's reader makes of a source, as far as it matters here: without comments, blanks, characters and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let bytes = source.as_bytes();
    let starts = |at: usize, with: &str| bytes[at..].starts_with(with.as_bytes());
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if starts(at, "//") {
            at += source[at..].find('\n').unwrap_or(source.len() - at);
        } else if starts(at, "/*") {
            at += source[at..]
                .find("*/")
                .map_or(source.len() - at, |end| end + 2);
        } else if starts(at, "r\"") || starts(at, "r#\"") {
            let hashes = usize::from(bytes[at + 1] == b'#');
            let end = if hashes == 1 { "\"#" } else { "\"" };
            let from = at + 2 + hashes;
            let len = source[from..].find(end).unwrap();
            found.push(Token::Text(source[from..from + len].to_owned()));
            at = from + len + end.len();
        } else if byte == b'"' {
            let (text, end) = text(source, at + 1);
            found.push(Token::Text(text));
            at = end;
        } else if byte == b'\'' {
            at = behind_quote(source, at);
        } else if byte.is_ascii_alphanumeric() || byte == b'_' {
            let len = source[at..]
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(source.len() - at);
            found.push(Token::Word(source[at..at + len].to_owned()));
            at += len;
        } else {
            let mark = source[at..].chars().next().unwrap();
            if !mark.is_whitespace() {
                found.push(Token::Mark(mark));
            }
            at += mark.len_utf8();
        }
    }
    found
}

/// The text of a literal that begins here, and where what follows it begins.
fn text(source: &str, from: usize) -> (String, usize) {
    let mut text = String::new();
    let mut chars = source[from..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, from + at + 1),
            '\\' => match chars.next().unwrap().1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                '\n' => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                'u' => while chars.next().unwrap().1 != '}' {},
                other => text.push(other),
            },
            c => text.push(c),
        }
    }
    panic!("a text without an end");
}

/// Behind a character or a lifetime.
fn behind_quote(source: &str, at: usize) -> usize {
    let rest = &source[at + 1..];
    let mut chars = rest.char_indices();
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => at + 1 + rest[2..].find('\'').unwrap() + 3,
        (Some(_), Some((len, '\''))) => at + 1 + len + 1,
        _ => at + 1,
    }
}

/// The parts of a format string that stand in all that is made of it.
fn parts(format: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.next_if_eq(&c).is_some() => parts.last_mut().unwrap().push(c),
            '{' => {
                chars.by_ref().find(|c| *c == '}');
                parts.push(String::new());
            }
            c => parts.last_mut().unwrap().push(c),
        }
    }
    parts
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(dir)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(path.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

const UNIT_TESTS: &str = "#[cfg(test)]\nmod tests";

/// The code of the library and of the program, without its tests.
fn code() -> Vec<(PathBuf, Vec<Token>)> {
    let paths = ["src", "bin/src"].map(sources).concat();
    let read = |path: PathBuf| {
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split(UNIT_TESTS).next().unwrap_or_default();
        let tokens = tokens(code);
        (path, tokens)
    };
    paths.into_iter().map(read).collect()
}

/// Where the bracket that opens here closes.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a bracket without an end");
}

/// Where the arguments of a call of one of these begin and end, if one begins here.
fn call(tokens: &[Token], at: usize, names: &[&str]) -> Option<(usize, usize)> {
    let Token::Word(name) = &tokens[at] else {
        return None;
    };
    let defines = at > 0 && tokens[at - 1] == Token::Word("fn".to_owned());
    if defines || !names.contains(&name.as_str()) {
        return None;
    }
    let is_macro = tokens.get(at + 1) == Some(&Token::Mark('!'));
    let open = at + 1 + usize::from(is_macro);
    (tokens.get(open) == Some(&Token::Mark('('))).then(|| (open, closing(tokens, open)))
}

fn texts(tokens: &[Token]) -> impl Iterator<Item = &String> {
    tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(text),
        _ => None,
    })
}

/// The format strings of the lines, with where they stand.
fn lines() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (path, tokens) in code() {
        for at in 0..tokens.len() {
            let is_macro = tokens.get(at + 1) == Some(&Token::Mark('!'));
            if let Some((open, close)) = call(&tokens, at, &["warn", "error"])
                && is_macro
            {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                let format = texts(&tokens[open..close]).next();
                let format = format.unwrap_or_else(|| panic!("{name}: a line without a format"));
                lines.push((name, format.clone()));
            }
        }
    }
    assert!(
        lines.len() > 40,
        "only {} lines: read wrongly?",
        lines.len()
    );
    lines
}

/// Whether something is said not to be so.
fn is_negative(arguments: &[Token]) -> bool {
    let not = |at: usize| {
        let after_word = at > 0 && matches!(arguments[at - 1], Token::Word(_));
        let differs = arguments.get(at + 1) == Some(&Token::Mark('='));
        arguments[at] == Token::Mark('!') && !after_word && !differs
    };
    (0..arguments.len()).any(not)
}

/// The texts that this call asserts, unless it says that something is not so.
fn positive(name: &Token, arguments: &[Token]) -> Vec<String> {
    if is_negative(arguments) {
        return Vec::new();
    }
    let name = match name {
        Token::Word(name) => name.as_str(),
        _ => "",
    };
    let arguments: Vec<_> = split(arguments);
    // What is said where it fails is no part of it.
    let counts = match name {
        "assert" => 0..1,
        "assert_eq" => 0..2,
        "until" => 1..2,
        _ => 0..arguments.len(),
    };
    let those = arguments.get(counts).unwrap_or_default().iter();
    those
        .flat_map(|argument| texts(argument))
        .cloned()
        .collect()
}

/// The arguments of a call.
fn split(arguments: &[Token]) -> Vec<&[Token]> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, token) in arguments.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            Token::Mark(',') if depth == 0 => {
                found.push(&arguments[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&arguments[from..]);
    found
}

/// Where the body of a loop opens that begins here.
fn body_of(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Mark('{') if depth == 0 => return Some(place),
            Token::Mark(';') if depth == 0 => return None,
            Token::Mark('(' | '[') => depth += 1,
            Token::Mark(')' | ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The length of the longest text that stands in both.
fn longest_common(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut longest = 0;
    let mut before = vec![0; other.len() + 1];
    for byte in one {
        let mut row = vec![0; other.len() + 1];
        for (at, it) in other.iter().enumerate() {
            if it == byte {
                row[at + 1] = before[at] + 1;
                longest = longest.max(row[at + 1]);
            }
        }
        before = row;
    }
    longest
}

/// How well a text fits a format: bytes that they have in common, and then how few of the format it lacks.
fn fit(text: &str, format: &str) -> (usize, usize) {
    let all: usize = parts(format).iter().map(String::len).sum();
    let common = shared(text, format);
    (common, usize::MAX - (all - common))
}

/// Bytes that the text and the parts of a format have in common.
fn shared(text: &str, format: &str) -> usize {
    let pieces = parts(text);
    let common = |part: &String| {
        let longest = pieces.iter().map(|piece| longest_common(piece, part));
        longest.max().filter(|len| *len >= LEAST).unwrap_or(0)
    };
    parts(format).iter().map(common).sum()
}

/// A row of the table: a line, and the test that makes it and asserts this text of it.
#[derive(Debug)]
enum Row {
    Test {
        line: String,
        file: String,
        test: String,
        text: String,
    },
    /// None can, for a reason.
    Beyond { line: String },
}

impl Row {
    fn line(&self) -> &str {
        match self {
            Row::Test { line, .. } | Row::Beyond { line } => line,
        }
    }
}

/// The table: each line as `FILE: FORMAT`, then, indented, `FILE TEST: TEXT` or `beyond tests: REASON`.
fn table() -> Vec<Row> {
    let path = root().join("tests/tables/log_lines.txt");
    let table = fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    let mut line = "";
    for row in table.lines() {
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let Some(how) = row.strip_prefix("    ") else {
            assert!(line.is_empty(), "nothing makes {line}");
            line = row;
            continue;
        };
        let (by, text) = how.split_once(": ").expect(how);
        let (line, text) = (std::mem::take(&mut line).to_owned(), text.to_owned());
        assert!(!line.is_empty() && !text.is_empty(), "{row}");
        rows.push(match by.split_once(' ').expect(by) {
            ("beyond", "tests") => Row::Beyond { line },
            (file, test) => Row::Test {
                line,
                file: file.to_owned(),
                test: test.to_owned(),
                text,
            },
        });
    }
    rows
}

/// What this test asserts, if it is one.
fn asserted_by(file: &str, test: &str) -> Option<Vec<String>> {
    let source = fs::read_to_string(root().join(file)).ok()?;
    let tokens = tokens(&source);
    let word = |text: &str| Token::Word(text.to_owned());
    let at =
        (1..tokens.len()).find(|at| tokens[*at] == word(test) && tokens[at - 1] == word("fn"))?;
    // `#[test] fn`, perhaps with a `#[cfg(…)]` before or between.
    let before = &tokens[at.saturating_sub(12)..at];
    let marked = [Token::Mark('['), word("test"), Token::Mark(']')];
    before.windows(3).find(|window| *window == marked)?;
    let open = body_of(&tokens, at)?;
    Some(asserted(&tokens[open..closing(&tokens, open)]))
}

/// Texts that are asserted here: in an assertion, or in a list that a loop with one goes through.
fn asserted(tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if let Some((open, close)) = call(tokens, at, &ASSERTING) {
            found.extend(positive(&tokens[at], &tokens[open + 1..close]));
        }
        if tokens[at] == Token::Word("for".to_owned())
            && let Some(body) = body_of(tokens, at)
        {
            let asserts = |at| {
                let call = call(tokens, at, &ASSERTING);
                call.is_some_and(|(open, close)| !is_negative(&tokens[open + 1..close]))
            };
            if (body..closing(tokens, body)).any(asserts) {
                found.extend(texts(&tokens[at..body]).cloned());
            }
        }
    }
    found
}

/// The format of a line that says nothing itself is named by where it stands.
fn code_says(text: &str) -> bool {
    code()
        .iter()
        .any(|(_, tokens)| texts(tokens).any(|it| shared(text, it) >= LEAST))
}

#[test]
fn every_warning_and_error_is_made_by_a_test_that_asserts_it() {
    let lines: BTreeSet<_> = lines()
        .into_iter()
        .map(|(path, format)| format!("{path}: {format}"))
        .collect();
    let rows = table();
    let listed: BTreeSet<_> = rows.iter().map(|row| row.line().to_owned()).collect();
    assert_eq!(listed.len(), rows.len(), "none is listed twice");
    let missing: Vec<_> = lines.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&lines).collect();
    assert!(
        missing.is_empty(),
        "tests/tables/log_lines.txt names no test of {missing:#?}"
    );
    assert!(
        stale.is_empty(),
        "tests/tables/log_lines.txt lists what no code says: {stale:#?}"
    );
    let mut wrong = Vec::new();
    for row in &rows {
        let Row::Test {
            line,
            file,
            test,
            text,
        } = row
        else {
            continue;
        };
        let format = |line: &str| line.split_once(".rs: ").unwrap().1.to_owned();
        let own = fit(text, &format(line));
        let others = lines.iter().filter(|other| *other != line);
        let others = others.map(|other| fit(text, &format(other)));
        let says_nothing = parts(&format(line)).iter().all(|part| part.len() < LEAST);
        if says_nothing {
            if !code_says(text) {
                wrong.push(format!("no code says {text:?}"));
            }
        } else if own.0 < LEAST || others.max() >= Some(own) {
            wrong.push(format!("{text:?} may be another line than {line:?}"));
        }
        match asserted_by(file, test) {
            None => wrong.push(format!("{file} has no test {test}")),
            Some(texts) if !texts.contains(text) => {
                wrong.push(format!("{test} does not assert {text:?}, but {texts:?}"));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands in backticks in the first column of the tables of docs/guides/operating.md, and has a gap or a blank, is what a
/// line says: with … for what differs.
fn quoted() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/guides/operating.md")).unwrap();
    let (_, page) = page.split_once("## When it hurts").unwrap();
    let (section, _) = page.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let first = rows.filter_map(|row| row.split(" | ").next());
    let quoted = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let lines: Vec<_> = quoted
        .filter(|text| text.contains(' '))
        .map(str::to_owned)
        .collect();
    assert!(lines.len() > 12, "{lines:?}");
    lines
}

/// Whether these pieces stand in the text, one after the other.
fn in_order(quoted: &str, text: &str) -> bool {
    let mut rest = text;
    quoted
        .split('…')
        .map(str::trim)
        .all(|piece| match rest.split_once(piece) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
}

#[test]
fn every_line_that_the_page_for_operators_quotes_is_one_that_a_test_makes() {
    let rows = table();
    let asserted = all_asserted();
    let is_made = |quoted: &String| {
        let by_the_table = rows.iter().any(|row| match row {
            Row::Test { line, text, .. } => in_order(quoted, line) || in_order(quoted, text),
            Row::Beyond { .. } => false,
        });
        by_the_table || asserted.iter().any(|text| in_order(quoted, text))
    };
    let wrong: Vec<_> = quoted()
        .into_iter()
        .filter(|quoted| !is_made(quoted))
        .collect();
    assert!(
        wrong.is_empty(),
        "no test makes a line that says {wrong:#?}"
    );
}

/// What all tests assert, those beside the code too.
fn all_asserted() -> Vec<String> {
    let mut found = Vec::new();
    for path in ["src", "bin/src", "tests", "bin/tests"]
        .map(sources)
        .concat()
    {
        let source = fs::read_to_string(&path).unwrap();
        let beside_code = source.split_once(UNIT_TESTS).map(|(_, tests)| tests);
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        if !path.ends_with("log_lines.rs")
            && let Some(tests) = beside_code.or(is_test.then_some(&*source))
        {
            found.extend(asserted(&tokens(tests)));
        }
    }
    found
}

/// The reader reads what there may be.
#[test]
fn a_comment_or_a_negation_asserts_nothing() {
    let of = |source: &str| asserted(&tokens(source));
    assert_eq!(
        of(r#"assert!(log.contains("one")); // assert!("two")"#),
        ["one"]
    );
    assert_eq!(of(r#"assert!(!log.contains("one"), "two");"#), [""; 0]);
    assert_eq!(of(r#"assert!(is, "one"); let text = "two";"#), [""; 0]);
    assert_eq!(of(r#"until("one", || it.contains("two"));"#), ["two"]);
    assert_eq!(
        of(r#"for part in ["one", 'x'] { assert!(it.contains(part)); }"#),
        ["one"]
    );
    assert_eq!(
        of(r#"for part in ["one"] { assert!(!it.contains(part)); }"#),
        [""; 0]
    );
    assert_eq!(
        of("/* assert!(\"one\") */ it.says(\"t\\\"wo \\\n  three\");"),
        ["t\"wo three"]
    );
    assert_eq!(parts("a {b:?} c {{d}} {}"), ["a ", " c {d} ", ""]);
}
