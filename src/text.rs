//! Text that others wrote: what of it people would not see, or would see as something else.
//!
//! Texts from the network are kept as they are; what shows them to people passes them through [`visible`] first. Names that
//! lines of a log, tables and directories are made of are refused instead, see [`is_name`].

use std::borrow::Cow;

/// The most combining marks on one character that are shown: more would cover other lines.
const MAX_MARKS: usize = 3;

/// Characters that nobody sees, that move what stands around them, or that look like a space: of the categories Cc, Cf, Co,
/// Zl, Zp and Zs but for the space, default ignorable code points, and noncharacters. (Of the last, two are at the end of each
/// plane and not listed here.) The table is fixed, as members of different builds must agree on which names there are.
const HIDDEN: [(char, char); 33] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{f0000}', '\u{10ffff}'),
];

/// Whether a character is one of those that no name holds: a control or format character, a line break, a space that is
/// not `' '`, one that shows nothing, or one for private use.
pub const fn is_hidden(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    let mut left: &[(char, char)] = &HIDDEN;
    while let [(first, last), rest @ ..] = left {
        if c <= *last {
            return *first <= c;
        }
        left = rest;
    }
    c as u32 & 0xfffe == 0xfffe
}

/// Whether a text can be the name of a file in a directory, or part of one, on any system, and shows as what it is: it
/// is not empty, `.` or `..`, it neither begins nor ends with a space, and holds no `/`, no `\` and nothing
/// [hidden](is_hidden). Nor does it begin like `C:`.
///
/// ```
/// use butterfly::text::is_name;
/// assert!(is_name("users.acl") && is_name(".env") && is_name("résumé"));
/// assert!(!is_name("../../etc/passwd") && !is_name("red\n2026-11-30 ERROR forged"));
/// ```
pub fn is_name(text: &str) -> bool {
    let is_drive = |text: &[u8]| matches!(text, [letter, b':', ..] if letter.is_ascii_alphabetic());
    !matches!(text, "" | "." | "..")
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains(|c| c == '/' || c == '\\' || is_hidden(c))
        && !is_drive(text.as_bytes())
}

/// The text as people may see it: whatever would drive a terminal, break a line, change the order of letters or not be
/// seen at all is written as in Rust, `\n` or `\u{202e}`, and so is what this build knows no character for.
///
/// It is for whole lines: a line break in it is none any more.
///
/// ```
/// assert_eq!(butterfly::text::visible("red\n\u{202e}der"), r"red\n\u{202e}der");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    // Nearly every text is of this kind.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    // A mark at the beginning would be one on what stands before the text.
    let mut marks = MAX_MARKS;
    for c in text.chars() {
        let is_mark = is_mark(c);
        marks = if is_mark { marks + 1 } else { 0 };
        let shows = !is_hidden(c) && (is_mark || is_printable(c)) && marks <= MAX_MARKS;
        if shows {
            shown.push(c);
        } else if c.is_ascii() {
            shown.extend(c.escape_debug());
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    if shown == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(shown)
    }
}

/// The text with a `?` for everything [hidden](is_hidden): not longer than it was.
pub(crate) fn cleaned(text: &str) -> Cow<'_, str> {
    if text.contains(is_hidden) {
        Cow::Owned(text.replace(is_hidden, "?"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a character is there, by the standard library's tables.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// Whether it is shown on the character before it: what the standard library escapes only where none is before it.
fn is_mark(c: char) -> bool {
    if c.is_ascii() || is_printable(c) {
        return false;
    }
    let mut text = [b'a'; 5];
    let rest = text.get_mut(1..).unwrap_or_default();
    let len = c.encode_utf8(rest).len();
    let behind = str::from_utf8(text.get(..=len).unwrap_or_default());
    behind.is_ok_and(|text| text.escape_debug().count() == 2)
}

/// Whether the whole text is one that a pattern stands for: `*` stands for any text, `?` for one character.
///
/// ```
/// use butterfly::text::fits_pattern;
/// assert!(fits_pattern("web-*", "web-12") && !fits_pattern("web-?", "web-12"));
/// ```
pub fn fits_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut next) = (0, 0);
    // Where the last `*` stands, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while next < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || text.get(next) == Some(wanted) => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((stood, reached)) = star else {
                    return false;
                };
                star = Some((stood, reached + 1));
                (at, next) = (stood + 1, reached + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_shown_as_it_is() {
        for text in [
            "",
            "web-1",
            r#"it's "quoted" \ here"#,
            "größer → 10 % … ✓",
            "हिन्दी",
            "e\u{301}",
            "日本語",
            "🦋",
        ] {
            assert!(
                matches!(visible(text), Cow::Borrowed(shown) if shown == text),
                "{text}"
            );
        }
    }

    #[test]
    fn what_would_be_taken_for_something_else_is_written_out() {
        for (text, shown) in [
            (
                "red\n2026-11-30 ERROR forged",
                r"red\n2026-11-30 ERROR forged",
            ),
            ("\x1b[2Jweb\r", r"\u{1b}[2Jweb\r"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{7f}", r"\u{7f}"),
            ("a\u{2028}b\u{2029}\u{85}", r"a\u{2028}b\u{2029}\u{85}"),
            ("\u{202e}fdp.exe\u{2066}", r"\u{202e}fdp.exe\u{2066}"),
            ("we\u{200b}b\u{feff}", r"we\u{200b}b\u{feff}"),
            ("we\u{200d}b", r"we\u{200d}b"),
            ("hid\u{e0041}den", r"hid\u{e0041}den"),
            ("a\u{3164}\u{115f}\u{34f}", r"a\u{3164}\u{115f}\u{34f}"),
            ("no\u{a0}break", r"no\u{a0}break"),
            ("\u{e000}\u{10ffff}\u{ffff}", r"\u{e000}\u{10ffff}\u{ffff}"),
            // Not assigned, and never to be.
            ("\u{2ffff}", r"\u{2ffff}"),
            ("\u{301}e", r"\u{301}e"),
            (
                "e\u{301}\u{301}\u{301}\u{301}",
                "e\u{301}\u{301}\u{301}\\u{301}",
            ),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown, "what is shown is shown as it is");
        }
    }

    #[test]
    fn names_are_of_characters_that_show_and_stay_in_their_directory() {
        for name in [
            "a",
            "users.acl",
            ".env",
            "...",
            "a b",
            "größe",
            "ab:cd",
            "2:x",
            "日本",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "/",
            "../../etc/passwd",
            "a/b",
            r"a\b",
            "/etc",
            " a",
            "a ",
            "C:x",
            "c:",
            "a\0",
            "a\nb",
            "a\tb",
            "a\u{1b}",
            "a\u{85}",
            "a\u{202e}b",
            "a\u{200b}",
            "\u{feff}a",
            "a\u{a0}b",
            "a\u{2028}",
            "a\u{e0061}",
            "a\u{e000}",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_holds_all_controls() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
        for c in '\0'..=char::MAX {
            if c.is_control() || c.is_whitespace() && c != ' ' {
                assert!(is_hidden(c), "{c:?}");
            }
            if c.is_alphanumeric() {
                // But for fillers and vowels that show nothing.
                let is_filler = matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
                assert_eq!(is_hidden(c), is_filler, "{c:?}");
            }
        }
    }

    #[test]
    fn a_cleaned_text_has_a_question_mark_for_each_hidden_character() {
        assert_eq!(cleaned("web-1"), "web-1");
        assert_eq!(cleaned("\x1b[2Jwe\u{202e}b"), "?[2Jwe?b");
    }
}
