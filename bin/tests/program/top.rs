//! `butterfly top` in a terminal of its own.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::{Member, PATIENCE, assert_exit, butterfly, pair, program, said, until};

/// A terminal with the program in it.
struct Terminal {
    host: OwnedFd,
    child: Child,
    bytes: Receiver<Vec<u8>>,
    screen: Screen,
}

/// What stands on the screen, as far as the program's few ways to write there need it.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    line: usize,
    column: usize,
    /// The sequence that is not whole yet.
    sequence: Option<String>,
    /// The screen that was there before is there again.
    is_back: bool,
}

impl Screen {
    fn write(&mut self, bytes: &[u8]) {
        for letter in String::from_utf8_lossy(bytes).chars() {
            match (&mut self.sequence, letter) {
                (Some(sequence), letter) => {
                    sequence.push(letter);
                    if letter.is_ascii_alphabetic() {
                        let sequence = std::mem::take(sequence);
                        self.sequence = None;
                        self.obey(&sequence);
                    }
                }
                (None, '\x1b') => self.sequence = Some(String::new()),
                (None, letter) => {
                    if self.lines.len() <= self.line {
                        self.lines.resize(self.line + 1, Vec::new());
                    }
                    let line = &mut self.lines[self.line];
                    if line.len() <= self.column {
                        line.resize(self.column + 1, ' ');
                    }
                    line[self.column] = letter;
                    self.column += 1;
                }
            }
        }
    }

    fn obey(&mut self, sequence: &str) {
        if let Some(place) = sequence
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix('H'))
        {
            let mut numbers = place
                .split(';')
                .map(|it| it.parse::<usize>().unwrap_or(1) - 1);
            self.line = numbers.next().unwrap_or(0);
            self.column = numbers.next().unwrap_or(0);
        } else if sequence == "[2J" {
            self.lines.clear();
        }
        self.is_back |= sequence == "[?1049l";
    }

    fn text(&self) -> String {
        let lines = self
            .lines
            .iter()
            .map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Terminal {
    fn start(member: &Member, columns: u16, rows: u16) -> Self {
        let host = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&host).unwrap();
        unlockpt(&host).unwrap();
        let name = ptsname(&host, Vec::new()).unwrap().into_string().unwrap();
        resize(&host, columns, rows);
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(&name)
                .unwrap()
        };
        let mut command = program(&[
            "top",
            "--every",
            "100ms",
            "--http",
            &member.http.to_string(),
        ]);
        command.env("TERM", "xterm-256color");
        command
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, bytes) = mpsc::channel();
        let mut reader = File::from(host.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            host,
            child,
            bytes,
            screen: Screen::default(),
        }
    }

    fn type_in(&self, keys: &str) {
        let mut host = File::from(self.host.try_clone().unwrap());
        host.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is so.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.screen) {
            assert!(
                Instant::now() < end,
                "never {what}:\n{}",
                self.screen.text()
            );
            if let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(50)) {
                self.screen.write(&bytes);
            }
        }
    }

    #[track_caller]
    fn shows(&mut self, wanted: &str) {
        self.until(wanted, |screen| screen.text().contains(wanted));
    }

    /// What it ended with, and whether the terminal is as it was.
    #[track_caller]
    fn ends(mut self) -> (Option<i32>, bool) {
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.until("the screen is back", |screen| screen.is_back);
        let modes = tcgetattr(self.host.as_fd()).unwrap().local_modes;
        let is_cooked = modes.contains(LocalModes::ICANON | LocalModes::ECHO);
        (status.unwrap().code(), is_cooked)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(host: &OwnedFd, ws_col: u16, ws_row: u16) {
    let size = Winsize {
        ws_row,
        ws_col,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(host, size).unwrap();
}

#[test]
fn the_ring_is_live_and_keys_work() {
    let (amber, birch) = pair();
    let mut terminal = Terminal::start(&amber, 80, 24);
    terminal.shows("2 alive");
    terminal.shows("birch");
    terminal.shows("q quits");
    drop(birch);
    terminal.shows("1 alive   0 suspect   1 confirmed");
    terminal.shows("suspect -> confirmed");
    terminal.type_in("/ambe\r");
    terminal.shows("those with \"ambe\" alone");
    terminal.until("birch is hidden", |screen| {
        !screen.lines[3..5]
            .iter()
            .any(|line| line.starts_with(&['b', 'i', 'r']))
    });
    // What is larger is drawn anew, with room for more.
    resize(&terminal.host, 120, 30);
    terminal.shows("ADDRESS");
    resize(&terminal.host, 60, 12);
    terminal.until("what no longer fits is gone", |screen| {
        let text = screen.text();
        !text.contains("ADDRESS") && !text.contains("LATEST") && text.contains("amber")
    });
    terminal.type_in("\x1b");
    terminal.shows("birch");
    terminal.type_in("q");
    assert_eq!(terminal.ends(), (Some(0), true));
}

#[test]
fn a_signal_leaves_no_garbage_and_a_silent_member_is_old() {
    let amber = Member::start(&["--name", "amber"]);
    let mut terminal = Terminal::start(&amber, 80, 24);
    terminal.shows("amber");
    drop(amber);
    terminal.shows("old: no member answers");
    let id = rustix::process::Pid::from_child(&terminal.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(terminal.ends(), (Some(0), true));
}

#[test]
fn it_ends_with_its_terminal() {
    let amber = Member::start(&["--name", "amber"]);
    let mut terminal = Terminal::start(&amber, 80, 24);
    terminal.shows("amber");
    // The thread that reads holds it open, too, until there is nobody to tell.
    let Terminal { host, bytes, .. } = &mut terminal;
    *host = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    *bytes = mpsc::channel().1;
    until("it ends", || terminal.child.try_wait().unwrap().is_some());
    let mut complaints = String::new();
    let errors = terminal.child.stderr.as_mut().unwrap();
    errors.read_to_string(&mut complaints).unwrap();
    assert_eq!(complaints, "");
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let output = butterfly(&["top"]);
    assert_exit(&output, 2);
    assert!(said(&output).contains("butterfly members"), "{output:?}");
}
