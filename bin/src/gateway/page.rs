//! The page that a browser gets: one file, and word that the browser is to run no other script than the one in it, and to ask
//! nobody but this gateway.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::answer::Answer;

macro_rules! style {
    () => {
        include_str!("page/page.css")
    };
}

macro_rules! script {
    () => {
        concat!(
            "\"use strict\";\n{\n",
            include_str!("page/base.js"),
            include_str!("page/model.js"),
            include_str!("page/ring.js"),
            include_str!("page/timeline.js"),
            include_str!("page/tables.js"),
            include_str!("page/actions.js"),
            include_str!("page/live.js"),
            "}\n",
        )
    };
}

/// The page, and what the browser is told of it.
struct Page {
    text: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let (style, script) = (lean_style(style!()), lean(script!()));
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&script),
        hash(&style)
    );
    let (head, body) = (
        lean(include_str!("page/head.html")),
        lean(include_str!("page/body.html")),
    );
    let text = format!("{head}<style>{style}</style>\n{body}<script>{script}</script>\n");
    Page { text, policy }
});

/// The lines without what people alone need: indentation, comments that fill a line, and line ends behind which nothing can end.
fn lean(text: &str) -> String {
    let lines = text.lines().map(str::trim_start);
    let is_code =
        |line: &&str| !(line.is_empty() || line.starts_with("//") || line.starts_with("/**"));
    let end = |line: &str| match line.ends_with([';', '{', ',', '(', '[']) {
        true => "",
        false => "\n",
    };
    lines
        .filter(is_code)
        .flat_map(|line| [line, end(line)])
        .collect()
}

/// The same of a style, in which spaces beside these marks mean nothing.
fn lean_style(text: &str) -> String {
    let tighter = [
        (": ", ":"),
        ("; ", ";"),
        (" { ", "{"),
        (", ", ","),
        (" }", "}"),
        ("\n", ""),
        (";}", "}"),
    ];
    let tight = |text: String, (loose, tight): (&str, &str)| text.replace(loose, tight);
    tighter.into_iter().fold(lean(text), tight)
}

/// The page.
pub fn answer() -> Answer {
    Answer::text("text/html; charset=utf-8", &*PAGE.text)
        .with_header("Content-Security-Policy", &*PAGE.policy)
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Vary", "Accept")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_whole() {
        let page = &PAGE.text;
        assert!(page.len() <= 60 << 10, "{} bytes", page.len());
        for tag in ["style", "script"] {
            assert_eq!(page.matches(&format!("<{tag}>")).count(), 1, "{tag}");
            assert_eq!(page.matches(&format!("</{tag}>")).count(), 1, "{tag}");
        }
        // Text over several lines would lose its indentation, and a comment at the end of a line would go on.
        for line in script!().lines().map(str::trim_start) {
            assert!(line.matches('`').count() % 2 == 0, "{line}");
            assert!(line.starts_with("//") || !line.contains("// "), "{line}");
        }
    }

    /// What peers say of themselves is text, and never becomes anything else.
    #[test]
    fn the_page_asks_nobody_else_and_makes_no_markup_of_text() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            " onclick=",
            " onload=",
            " style=",
            "src=\"http",
            "href=\"http",
            "@import",
            "localStorage",
        ] {
            assert!(!PAGE.text.contains(word), "{word}");
        }
    }

    #[test]
    fn the_policy_names_what_stands_in_the_page() {
        let inside = |tag: &str| {
            let (_, rest) = PAGE.text.split_once(&format!("<{tag}>")).unwrap();
            rest.split_once(&format!("</{tag}>")).unwrap().0
        };
        let (script, style) = (inside("script"), inside("style"));
        let policy = answer().headers.remove(0).1;
        for (kind, text) in [("script", script), ("style", style)] {
            let hash = BASE64_STANDARD.encode(Sha256::digest(text));
            assert!(policy.contains(&format!("{kind}-src 'sha256-{hash}';")));
        }
        assert!(!policy.contains("unsafe"));
    }
}
