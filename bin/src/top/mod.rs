//! `butterfly top`: a ring live in the terminal.

mod board;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::TopArgs;
use crate::client::{Client, Trouble};
use crate::failure::Failure;
use crate::history::HistoryRow;
use crate::output;
use crate::view::{MemberRow, Status};
use board::{Board, Wish};

/// The longest that a key or a signal waits, and the shortest that a countdown stands still.
const REDRAW: Duration = Duration::from_millis(200);

/// What a member says at one time.
struct Look {
    status: Status,
    members: Vec<MemberRow>,
    history: Vec<HistoryRow>,
}

impl Look {
    fn take(client: &Client) -> Result<Self, Trouble> {
        Ok(Look {
            status: client.get("/v1/status")?,
            members: client.get("/v1/members")?,
            history: client.get("/v1/history?since=1h")?,
        })
    }
}

/// Why it ended.
enum Over {
    /// Somebody has seen enough.
    Enough,
    /// There is no terminal any more.
    Gone,
}

/// Shows the ring until somebody has seen enough.
pub fn top(args: &TopArgs) -> Result<(), Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "top needs a terminal: \"butterfly members\" prints the ring once, \"butterfly events\" what happens",
        ));
    }
    let client = Client::new(&args.gateway)?;
    // If there is none to look at, that is said before the screen is taken.
    let board = Board::new(Look::take(&client)?, output::colours_wanted(&io::stdout()));
    let ended = Arc::new(AtomicBool::new(false));
    // A hangup ends it as it is: there is no terminal to restore.
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ended)).map_err(Failure::failed)?;
    }
    let looks = follow(client, args.every);
    let mut terminal = ratatui::try_init().map_err(Failure::failed)?;
    let shown = show(&mut terminal, board, &looks, &ended);
    let restored = match shown {
        Ok(Over::Gone) => {
            // It would complain that it cannot show the cursor.
            std::mem::forget(terminal);
            Ok(())
        }
        _ => ratatui::try_restore(),
    };
    shown
        .and(restored)
        .map_err(|error| Failure::failed(format_args!("the terminal cannot be used: {error}")))
}

/// Looks again and again, for as long as somebody takes what is seen: a member that does not answer stalls no key.
fn follow(client: Client, every: Duration) -> Receiver<Result<Look, Trouble>> {
    let (sender, looks) = mpsc::sync_channel(1);
    thread::spawn(move || {
        loop {
            thread::sleep(every);
            if sender.send(Look::take(&client)).is_err() {
                return;
            }
        }
    });
    looks
}

/// Waits for a key, and for no longer than that; whether the terminal is gone. It would be read for ever then.
fn is_gone() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    let patience = Timespec::try_from(REDRAW).map_err(io::Error::other)?;
    match rustix::event::poll(&mut watched, Some(&patience)) {
        // A signal came: it ends this, or says that the terminal has another size.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [watched] = watched;
    Ok(watched
        .revents()
        .intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
}

fn show(
    terminal: &mut DefaultTerminal,
    mut board: Board,
    looks: &Receiver<Result<Look, Trouble>>,
    ended: &AtomicBool,
) -> io::Result<Over> {
    while !ended.load(Ordering::Relaxed) {
        while let Ok(look) = looks.try_recv() {
            board.take(look);
        }
        terminal.draw(|frame| board.draw(frame))?;
        if is_gone()? {
            return Ok(Over::Gone);
        }
        if event::poll(Duration::ZERO)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && board.key(key) == Wish::Quit
        {
            break;
        }
    }
    Ok(Over::Enough)
}
