//! What `butterfly top` shows, and what keys do to it.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use butterfly::text::visible;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};

use super::Look;
use crate::client::Trouble;
use crate::table::{self, age, span};
use crate::view::MemberRow;

/// Round trips that a sparkline has.
const SPARKS: usize = 12;
/// A terminal as wide as this has room for addresses.
const WIDE: u16 = 110;
/// One as high as this has room for the latest changes.
const HIGH: u16 = 16;
/// So many of them are shown.
const LATEST: u16 = 5;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    GoOn,
    Quit,
}

/// What was seen last, and how it is looked at.
pub struct Board {
    look: Look,
    seen: Instant,
    /// Why it is no newer.
    trouble: Option<String>,
    rtts: HashMap<String, VecDeque<u64>>,
    filter: String,
    is_typing: bool,
    table: TableState,
    colours: bool,
}

impl Board {
    pub fn new(look: Look, colours: bool) -> Self {
        let mut board = Board {
            look,
            seen: Instant::now(),
            trouble: None,
            rtts: HashMap::new(),
            filter: String::new(),
            is_typing: false,
            table: TableState::default(),
            colours,
        };
        board.note_round_trips();
        board
    }

    /// The member was looked at again.
    pub fn take(&mut self, look: Result<Look, Trouble>) {
        match look {
            Ok(look) => {
                self.look = look;
                self.seen = Instant::now();
                self.trouble = None;
                self.note_round_trips();
            }
            Err(Trouble::Nobody(why) | Trouble::Silent(why) | Trouble::Other(why)) => {
                self.trouble = Some(why);
            }
        }
    }

    fn note_round_trips(&mut self) {
        let members = &self.look.members;
        let known: HashSet<&String> = members.iter().map(|row| &row.id).collect();
        self.rtts.retain(|id, _| known.contains(id));
        for row in members {
            if let Some(rtt) = row.rtt_us {
                let its = self.rtts.entry(row.id.clone()).or_default();
                its.push_back(rtt);
                if its.len() > SPARKS {
                    its.pop_front();
                }
            }
        }
    }

    pub fn key(&mut self, key: KeyEvent) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return Wish::Quit,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Backspace if self.is_typing => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.is_typing && !is_control => self.filter.push(letter),
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Down | KeyCode::Char('j') => self.table.select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.table.select_previous(),
            KeyCode::PageDown => self.table.scroll_down_by(10),
            KeyCode::PageUp => self.table.scroll_up_by(10),
            KeyCode::Home => self.table.select_first(),
            KeyCode::End => self.table.select_last(),
            _ => {}
        }
        Wish::GoOn
    }

    /// Those that the filter lets through: suspects, the dead, the living, those that left.
    fn shown(&self) -> Vec<&MemberRow> {
        let filter = self.filter.to_lowercase();
        let fits = |row: &&MemberRow| {
            let texts = [
                &*row.name,
                &*row.id,
                &*row.health,
                &*row.swim_addr().to_string(),
            ]
            .map(str::to_lowercase);
            texts.iter().any(|text| text.contains(&filter))
        };
        let mut rows: Vec<_> = self.look.members.iter().filter(fits).collect();
        rows.sort_by(|one, other| {
            let key = |row: &MemberRow| match &*row.health {
                "suspect" => (0, 0),
                // The latest to die first.
                "confirmed" => (1, row.since_ms),
                "alive" => (2, 0),
                _ => (3, row.since_ms),
            };
            let order = key(one).cmp(&key(other));
            order.then_with(|| table::natural(&one.name, &other.name))
        });
        rows
    }

    fn style(&self, health: &str) -> Style {
        let colour = match health {
            _ if !self.colours => return Style::new(),
            "alive" => Color::Green,
            "suspect" => Color::Yellow,
            "confirmed" => Color::Red,
            _ => Color::DarkGray,
        };
        Style::new().fg(colour)
    }

    fn soft(&self) -> Style {
        match self.colours {
            true => Style::new().fg(Color::DarkGray),
            false => Style::new(),
        }
    }

    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let latest = if area.height >= HIGH { LATEST + 1 } else { 0 };
        let [head, middle, below, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Min(1),
            Constraint::Length(latest),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(self.head()), head);
        self.draw_members(frame, middle);
        frame.render_widget(Paragraph::new(self.latest()), below);
        frame.render_widget(Paragraph::new(self.foot()), foot);
    }

    fn head(&self) -> Vec<Line<'static>> {
        let status = &self.look.status;
        let mut first = vec![Span::styled(
            match status.name.as_str() {
                "" => status.id.chars().take(8).collect(),
                name => visible(name).into_owned(),
            },
            Style::new().add_modifier(Modifier::BOLD),
        )];
        if let Some(ring) = &status.ring {
            first.push(Span::raw(format!(" in {}", visible(ring))));
        }
        let counts = [
            ("alive", status.members.alive),
            ("suspect", status.members.suspect),
            ("confirmed", status.members.confirmed),
            ("departed", status.members.departed),
        ];
        for (health, count) in counts {
            let style = match count {
                0 => self.soft(),
                _ => self.style(health),
            };
            first.push(Span::styled(format!("   {count} {health}"), style));
        }
        if let Some(ms) = status.isolated_ms {
            let text = format!("   ISOLATED for {}", age(Duration::from_millis(ms)));
            first.push(Span::styled(text, self.style("confirmed")));
        }
        let second = match &self.trouble {
            Some(why) => {
                let old = age(self.seen.elapsed());
                Line::styled(format!("{old} old: {why}"), self.style("confirmed"))
            }
            None => Line::styled(
                format!(
                    "local health {} of 8   own loop late by {}   {} rumors, {} hot   up {}",
                    status.local_health,
                    span(Duration::from_micros(status.loop_lag_us)),
                    status.rumors.count,
                    status.rumors.hot,
                    age(Duration::from_millis(status.uptime_ms)),
                ),
                self.soft(),
            ),
        };
        vec![Line::from(first), second]
    }

    fn draw_members(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let is_wide = area.width >= WIDE;
        let rows = self.shown();
        let count = rows.len();
        let most = rows
            .iter()
            .filter_map(|row| self.rtts.get(&row.id)?.iter().max())
            .max();
        let made: Vec<_> = rows
            .iter()
            .map(|row| self.row(row, is_wide, most.copied()))
            .collect();
        let mut head = vec!["NAME", "HEALTH", "RTT", "ROUND TRIPS", "SINCE", "NOTE"];
        let mut widths = vec![
            Constraint::Length(18),
            Constraint::Length(9),
            Constraint::Length(8),
            Constraint::Length(SPARKS as u16),
            Constraint::Length(6),
            Constraint::Fill(1),
        ];
        if is_wide {
            head.insert(2, "ADDRESS");
            widths.insert(2, Constraint::Length(24));
        }
        let head = Row::new(head).style(Style::new().add_modifier(Modifier::BOLD));
        let chosen = Style::new().add_modifier(Modifier::REVERSED);
        let table = Table::new(made, widths)
            .header(head)
            .row_highlight_style(chosen);
        if self.table.selected().is_some_and(|at| at >= count) {
            self.table.select(count.checked_sub(1));
        }
        frame.render_stateful_widget(table, area, &mut self.table);
    }

    fn row(&self, row: &MemberRow, is_wide: bool, most: Option<u64>) -> Row<'static> {
        let name = match row.name.as_str() {
            "" => row.id.chars().take(8).collect(),
            name => visible(name).into_owned(),
        };
        let rtt = row
            .rtt_us
            .map_or_else(|| "-".into(), |us| span(Duration::from_micros(us)));
        let sparks = self
            .rtts
            .get(&row.id)
            .map_or_else(String::new, |its| sparkline(its, most));
        let since = self.seen.elapsed() + Duration::from_millis(row.since_ms);
        let mut cells = vec![
            Cell::from(name),
            Cell::from(row.health.clone()).style(self.style(&row.health)),
            Cell::from(rtt),
            Cell::from(sparks).style(self.soft()),
            Cell::from(age(since)),
            Cell::from(self.note(row)),
        ];
        if is_wide {
            cells.insert(2, Cell::from(row.swim_addr().to_string()));
        }
        Row::new(cells)
    }

    /// What is to be said of it; of a suspect first how long it has left, which goes on without the member.
    fn note(&self, row: &MemberRow) -> String {
        let blocked = self.look.status.blocked.contains(&row.id);
        let mut notes = Vec::new();
        if let Some(left) = row.suspicion_left_ms {
            let left = Duration::from_millis(left).saturating_sub(self.seen.elapsed());
            notes.push(format!("{:.1} s left", left.as_secs_f64()));
        }
        let others = table::notes(row, &self.look.members, blocked);
        notes.extend(others.into_iter().filter(|note| !note.ends_with(" s left")));
        visible(&notes.join(", ")).into_owned()
    }

    fn latest(&self) -> Vec<Line<'static>> {
        let is_change = |row: &&crate::history::HistoryRow| row.is_transition();
        let mut rows: Vec<_> = self.look.history.iter().filter(is_change).collect();
        rows.sort_by_key(|row| Reverse(row.time));
        let title = Style::new().add_modifier(Modifier::BOLD);
        let mut lines = vec![Line::styled("LATEST CHANGES (UTC)", title)];
        if rows.is_empty() {
            lines.push(Line::styled("none in the last hour", self.soft()));
        }
        for row in rows.iter().take(LATEST.into()) {
            lines.push(Line::from(vec![
                Span::styled(format!("{}  ", row.time.of_day()), self.soft()),
                Span::raw(visible(&row.text).into_owned()),
            ]));
        }
        lines
    }

    fn foot(&self) -> Line<'static> {
        match (self.is_typing, self.filter.as_str()) {
            (true, filter) => Line::raw(format!(
                "/{}▏  Enter keeps it, Esc ends it",
                visible(filter)
            )),
            (false, "") => Line::styled("q quits   / filters   j k move", self.soft()),
            (false, filter) => Line::raw(format!(
                "those with {:?} alone: Esc shows all   q quits",
                visible(filter)
            )),
        }
    }
}

/// Round trips as bars, the largest of all members' at full height.
fn sparkline(its: &VecDeque<u64>, most: Option<u64>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = most.unwrap_or(0).max(1);
    let bar = |rtt: &u64| {
        let place = rtt.saturating_mul(7).div_ceil(most).min(7);
        BARS.get(usize::try_from(place).unwrap_or(7))
            .copied()
            .unwrap_or('█')
    };
    its.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::table::tests::{row, status_of};

    fn board(members: Vec<MemberRow>) -> Board {
        let mut status = status_of(0);
        status.members.alive = members.len();
        let history = Vec::new();
        Board::new(
            Look {
                status,
                members,
                history,
            },
            true,
        )
    }

    fn screen(board: &mut Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| board.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width));
        let line = |cells: &[ratatui::buffer::Cell]| {
            cells.iter().map(|cell| cell.symbol()).collect::<String>()
        };
        cells.map(line).collect::<Vec<_>>().join("\n")
    }

    fn press(board: &mut Board, keys: &str) {
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            assert_eq!(board.key(KeyEvent::from(code)), Wish::GoOn);
        }
    }

    fn names(screen: &str) -> Vec<String> {
        let rows = screen.lines().skip(3);
        let names = rows.map(|line| line.split(' ').next().unwrap_or_default().to_owned());
        names.take_while(|name| !name.is_empty()).collect()
    }

    #[test]
    fn trouble_comes_first_and_a_filter_hides_the_rest() {
        let mut suspect = row(&"3".repeat(32), "web-10", "suspect");
        suspect.suspected_by = vec!["1".repeat(32)];
        suspect.suspicion_left_ms = Some(3_200);
        let members = vec![
            row(&"1".repeat(32), "web-2", "alive"),
            row(&"2".repeat(32), "web-1", "confirmed"),
            suspect,
            row(&"4".repeat(32), "db", "alive"),
            row(&"5".repeat(32), "old", "departed"),
        ];
        let mut board = board(members);
        let text = screen(&mut board, 80, 24);
        assert_eq!(
            names(&text),
            ["web-10", "web-1", "db", "web-2", "old"],
            "{text}"
        );
        assert!(text.contains(" s left, suspecte"), "{text}");
        assert!(screen(&mut board, 140, 24).contains("s left, suspected by web-2"));
        press(&mut board, "/WEB\n");
        let text = screen(&mut board, 80, 24);
        assert_eq!(names(&text), ["web-10", "web-1", "web-2"], "{text}");
        // What is typed is no command.
        press(&mut board, "\x1b/q");
        assert!(names(&screen(&mut board, 80, 24)).is_empty());
        press(&mut board, "\x1b");
        assert_eq!(names(&screen(&mut board, 80, 24)).len(), 5);
        assert_eq!(board.key(KeyEvent::from(KeyCode::Char('q'))), Wish::Quit);
    }

    #[test]
    fn any_size_has_room_for_something() {
        let members = (0..300).map(|n| row(&format!("{n:032}"), &format!("m{n}"), "alive"));
        let mut board = board(members.collect());
        for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100), (80, 2)] {
            screen(&mut board, width, height);
        }
        press(&mut board, &"j".repeat(200));
        let text = screen(&mut board, 80, 24);
        assert!(text.contains("m199"), "{text}");
        press(&mut board, "/m299\n");
        assert_eq!(names(&screen(&mut board, 80, 24)), ["m299"]);
    }

    #[test]
    fn what_is_old_says_so() {
        let mut board = board(vec![row(&"1".repeat(32), "a\u{202e}b", "alive")]);
        board.take(Err(Trouble::Nobody("no member answers".into())));
        let text = screen(&mut board, 80, 24);
        assert!(text.contains(" old: no member answers"), "{text}");
        assert!(text.contains("a\\u{202e}b"), "{text}");
    }

    #[test]
    fn bars_are_as_high_as_the_highest_of_all() {
        let its = VecDeque::from([0, 1, 50, 100]);
        assert_eq!(sparkline(&its, Some(100)), "▁▂▅█");
        assert_eq!(sparkline(&its, None), "▁███");
    }
}
