//! A picture as SVG, and as a page that holds one.

use std::fmt::Write as _;

use super::messages::{Fate, Item, Picture, since};

/// Pixels: the width of a column, the height of a row, of a silence, and of what is above them; the room for times.
const COLUMN: usize = 190;
const ROW: usize = 17;
const PAUSE: usize = 26;
const HEAD: usize = 64;
const GUTTER: usize = 96;
/// A silence of so many nanoseconds is drawn as one.
const SILENCE: u128 = 1_000_000_000;

/// The colours of messages and of what members do, as `bin/trace-sequence.rb` has them.
fn colour(item: &Item) -> &'static str {
    let kind = &*item.kind;
    match item.fate {
        Fate::Lost if item.is_message() => "#d1242f",
        Fate::Late(_) => "#e16f24",
        _ if kind == "ProbeConfirmed"
            || item.details.contains("-Confirmed") && kind == "MemberUpdate" =>
        {
            "#d1242f"
        }
        _ if kind == "ProbeSuspect"
            || item.details.contains("-Suspect") && kind == "MemberUpdate" =>
        {
            "#e16f24"
        }
        _ if kind.ends_with("PingReq") => "#9a6700",
        _ if kind.ends_with("Ping") => "#0969da",
        _ if kind.ends_with("Ack") => "#1a7f37",
        _ if kind.ends_with("Rumor") => "#8250df",
        _ => "#57606a",
    }
}

/// As text in XML, and between quotes.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Where each moment is, from top to bottom.
struct Heights {
    /// By item: where it begins and where it ends.
    ends: Vec<[usize; 2]>,
    /// Where there is silence, and for how long.
    silences: Vec<(usize, u128)>,
    bottom: usize,
}

impl Heights {
    fn of(picture: &Picture) -> Self {
        let mut moments: Vec<(u128, usize, usize)> = Vec::new();
        for (place, item) in picture.items.iter().enumerate() {
            moments.push((item.at, place, 0));
            if item.is_message() && matches!(item.fate, Fate::Arrived | Fate::Late(_)) {
                moments.push((item.arrived, place, 1));
            }
        }
        moments.sort();
        let mut ends = vec![[0; 2]; picture.items.len()];
        let (mut silences, mut y, mut last) = (Vec::new(), HEAD + ROW, None);
        for (at, place, end) in moments {
            if let Some(last) = last
                && at - last >= SILENCE
            {
                silences.push((y + PAUSE / 2, at - last));
                y += PAUSE;
            }
            last = Some(at);
            ends[place][end] = y;
            if end == 0 {
                // One that does not arrive ends where it would have.
                ends[place][1] = y + ROW / 2;
            }
            y += ROW;
        }
        Heights {
            ends,
            silences,
            bottom: y + ROW,
        }
    }
}

fn x(column: usize) -> usize {
    GUTTER + column * COLUMN + COLUMN / 2
}

pub fn svg(picture: &Picture) -> String {
    let heights = Heights::of(picture);
    let width = GUTTER + picture.participants.len() * COLUMN + 20;
    let bottom = heights.bottom;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{bottom}\" viewBox=\"0 0 {width} {bottom}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"18\" fill=\"#57606a\">{}</text>\n",
        xml(&picture.summary())
    );
    // Writing to a String cannot fail.
    for (column, participant) in picture.participants.iter().enumerate() {
        let (x, title) = (x(column), xml(&participant.title));
        let _ = writeln!(
            out,
            "<line x1=\"{x}\" y1=\"{HEAD}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#d0d7de\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-size=\"13\" font-weight=\"600\">{title}</text>",
            HEAD - 14
        );
    }
    for (y, silence) in &heights.silences {
        let seconds = *silence as f64 / 1e9;
        let _ = writeln!(
            out,
            "<line x1=\"{GUTTER}\" y1=\"{y}\" x2=\"{width}\" y2=\"{y}\" stroke=\"#d0d7de\" stroke-dasharray=\"1 5\"/>\
             <text x=\"10\" y=\"{}\" fill=\"#8c959f\">{seconds:.1} s of silence</text>",
            y + 4
        );
    }
    for (item, [top, end]) in picture.items.iter().zip(&heights.ends) {
        draw(&mut out, item, *top, *end);
    }
    out += "</svg>\n";
    out
}

fn draw(out: &mut String, item: &Item, top: usize, end: usize) {
    let (from, colour, at) = (x(item.from), colour(item), since(item.at));
    let (kind, details) = (xml(&item.kind), xml(&item.details));
    let _ = writeln!(out, "<g><title>{kind} {at} {details}</title>");
    let _ = writeln!(
        out,
        "<text x=\"10\" y=\"{}\" fill=\"#8c959f\">{at}</text>",
        top + 4
    );
    if !item.is_message() {
        let shown = short(&item.details);
        let _ = writeln!(
            out,
            "<circle cx=\"{from}\" cy=\"{top}\" r=\"3\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{kind} {}</text></g>",
            from + 7,
            top + 4,
            xml(&shown)
        );
        return;
    }
    let to = x(item.to);
    let forwards = to > from;
    // One that is lost ends on its way.
    let (to, end) = match item.fate {
        Fate::Lost => ((from * 2 + to) / 3, top + (end - top) / 2),
        _ => (to, end),
    };
    let dashes = match item.fate {
        Fate::Unknown => " stroke-dasharray=\"4 3\"",
        _ => "",
    };
    let _ = writeln!(
        out,
        "<line x1=\"{from}\" y1=\"{top}\" x2=\"{to}\" y2=\"{end}\" stroke=\"{colour}\" stroke-width=\"1.4\"{dashes}/>"
    );
    let back = |by: usize| if forwards { to - by } else { to + by };
    if item.fate == Fate::Lost {
        let [left, right] = [to - 4, to + 4];
        let [above, below] = [end - 4, end + 4];
        let _ = writeln!(
            out,
            "<path d=\"M{left} {above} L{right} {below} M{left} {below} L{right} {above}\" stroke=\"{colour}\" \
             stroke-width=\"1.8\"/>"
        );
    } else {
        let tail = back(7);
        let _ = writeln!(
            out,
            "<path d=\"M{to} {end} L{tail} {} L{tail} {} Z\" fill=\"{colour}\"/>",
            end - 4,
            end + 4
        );
    }
    let word = match item.fate {
        Fate::Lost => " lost".to_owned(),
        Fate::Late(took) => format!(" late: {took:.1?}"),
        Fate::Arrived | Fate::Unknown => String::new(),
    };
    let (anchor, place) = match forwards {
        true => ("start", from + 8),
        false => ("end", from - 8),
    };
    let _ = writeln!(
        out,
        "<text x=\"{place}\" y=\"{}\" text-anchor=\"{anchor}\" fill=\"{colour}\" paint-order=\"stroke\" \
         stroke=\"#ffffff\" stroke-width=\"3\">{kind}{word}</text></g>",
        top - 3
    );
}

/// As much of it as fits beside a column.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A page that shows it, with the names always in sight; the pointer shows what a message carried.
pub fn html(picture: &Picture) -> String {
    let names: String = picture
        .participants
        .iter()
        .enumerate()
        .map(|(column, it)| {
            let left = x(column) - COLUMN / 2;
            format!("<b style=\"left:{left}px\">{}</b>", xml(&it.title))
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Who sent what to whom</title>\n<style>\nbody {{ margin: 0; background: #fff }}\n\
         nav {{ position: sticky; top: 0; height: 26px; background: #f6f8fa; border-bottom: 1px solid #d0d7de }}\n\
         nav b {{ position: absolute; width: {COLUMN}px; text-align: center; font: 600 13px/26px system-ui, sans-serif }}\n\
         g:hover line, g:hover path {{ stroke-width: 3 }}\n</style>\n<nav>{names}</nav>\n{}</html>\n",
        svg(picture)
    )
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::sample;
    use super::*;

    #[test]
    fn lost_and_late_messages_are_in_sight() {
        let text = svg(&sample());
        assert_eq!(text.matches("SendPing lost</text>").count(), 1);
        assert_eq!(text.matches("SendPing late: 350.0ms</text>").count(), 1);
        assert_eq!(text.matches("stroke-dasharray=\"4 3\"").count(), 1);
        assert!(text.contains(">1.5 s of silence<"), "{text}");
        assert!(text.contains("5 messages of 3 members: 1 lost, 1 late"));
        assert_eq!(text.matches("<g>").count(), text.matches("</g>").count());
    }

    #[test]
    fn a_late_message_arrives_below_one_that_was_sent_after_it() {
        let picture = sample();
        let heights = Heights::of(&picture);
        let late = picture
            .items
            .iter()
            .position(|it| matches!(it.fate, Fate::Late(_)));
        let [late, after] = [late.unwrap(), late.unwrap() + 1].map(|at| heights.ends[at]);
        assert!(
            late[0] < after[0] && late[1] > after[1],
            "{late:?} {after:?}"
        );
    }

    #[test]
    fn a_name_is_no_markup() {
        let mut picture = sample();
        picture.participants[0].title = "<script>\"&\u{1b}".to_owned();
        for text in [svg(&picture), html(&picture)] {
            assert!(!text.contains("<script") && !text.contains('\u{1b}'));
            assert!(text.contains("&lt;script&gt;&quot;&amp;"));
        }
    }
}
