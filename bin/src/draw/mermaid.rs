//! A picture in Mermaid's language.

use std::fmt::Write as _;

use super::messages::{Fate, Picture, since};

/// The text without what ends a line of Mermaid's, or is markup there.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " .,:+()/_-@".contains(c);
    text.chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect()
}

pub fn mermaid(picture: &Picture) -> String {
    let mut text = "sequenceDiagram\n".to_owned();
    // Writing to a String cannot fail.
    for (column, participant) in picture.participants.iter().enumerate() {
        let _ = writeln!(
            text,
            "    participant m{column} as {}",
            plain(&participant.title)
        );
    }
    for item in &picture.items {
        let (from, to, kind) = (item.from, item.to, plain(&item.kind));
        let details = match &*item.details {
            "" => String::new(),
            details => format!("<br/>{}", plain(details)),
        };
        let at = since(item.at);
        let _ = match item.fate {
            _ if !item.is_message() => {
                writeln!(text, "    Note over m{from}: {kind} {at}{details}")
            }
            Fate::Lost => writeln!(text, "    m{from}-xm{to}: {kind} {at} lost{details}"),
            Fate::Late(took) => {
                writeln!(
                    text,
                    "    m{from}->>m{to}: {kind} {at} late, {took:.1?}{details}"
                )
            }
            Fate::Arrived => writeln!(text, "    m{from}->>m{to}: {kind} {at}{details}"),
            Fate::Unknown => writeln!(text, "    m{from}-->>m{to}: {kind} {at}{details}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::sample;
    use super::*;

    #[test]
    fn each_fate_has_its_arrow() {
        let text = mermaid(&sample());
        for line in [
            "sequenceDiagram",
            "    participant m0 as a",
            "    Note over m0: ProbeBegin +0.0 ms",
            "    m0-xm1: SendPing +1.0 ms lost<br/>x-1-Suspect",
            "    m0->>m1: SendPing +100.0 ms late, 350.0ms",
            "    m0->>m1: SendPing +200.0 ms<br/>y-1-Alive",
            "    m0-->>m2: SendPing +460.0 ms",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn a_name_is_no_markup() {
        let mut picture = sample();
        picture.participants[0].title = "a; m1->>m2: #x\n<script>".to_owned();
        let text = mermaid(&picture);
        assert!(
            text.contains("participant m0 as a_ m1-__m2: _x__script_\n"),
            "{text}"
        );
    }
}
