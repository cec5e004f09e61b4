//! A command that runs: it reads the event from its standard input, and what it says is kept for the log, in part.

use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use butterfly::UserEvent;
use butterfly::limits::MAX_ANSWER;
use butterfly::text::visible;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::process::{Pid, Signal, kill_process_group};

use super::Owner;
use crate::events::EventRow;

/// How much is kept of what a command says last, in bytes.
const LAST_WORDS: usize = 256;
/// How much is read in one turn.
const PORTION: usize = 16 << 10;

/// A command that runs.
pub struct Child {
    process: process::Child,
    input: Option<ChildStdin>,
    unsent: Vec<u8>,
    output: Option<PipeReader>,
    said: Vec<u8>,
    /// The question that its output answers.
    question: Option<Arc<UserEvent>>,
    deadline: Instant,
    is_killed: bool,
    is_woken: bool,
    about: String,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// What it was run for.
    pub about: String,
    /// Why that was no success.
    pub failure: Option<String>,
    pub is_killed: bool,
    /// The question that its output answers.
    pub question: Option<Arc<UserEvent>>,
    said: Vec<u8>,
}

impl Ended {
    pub fn not_started(
        row: &EventRow,
        error: &io::Error,
        question: Option<Arc<UserEvent>>,
    ) -> Self {
        Ended {
            about: row.says.text.clone(),
            failure: Some(format!("cannot run sh: {error}")),
            is_killed: false,
            question,
            said: Vec::new(),
        }
    }

    /// What it said, as an answer; one that is too large is left to whoever sends it.
    pub fn answer(&self) -> Result<Vec<u8>, String> {
        match &self.failure {
            None => Ok(self.said.clone()),
            Some(failure) => Err(format!("{failure}{}", self.last_words())),
        }
    }

    /// The last line that it said.
    pub fn last_words(&self) -> String {
        let said = String::from_utf8_lossy(&self.said);
        let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        line.map_or(String::new(), |line| format!(": {}", visible(line)))
    }
}

impl Child {
    /// Runs it by `sh -c`, in a process group of its own, with this on its standard input; `tokens`: for its input and its output.
    pub fn start(
        command: &str,
        (row, unsent, question): (&EventRow, Vec<u8>, Option<Arc<UserEvent>>),
        owner: &Owner,
        registry: &Registry,
        tokens: [Token; 2],
        deadline: Instant,
    ) -> io::Result<Self> {
        let (output, said) = io::pipe()?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(said.try_clone()?)
            .stderr(match question {
                // What it complains of is no part of an answer.
                Some(_) => Stdio::null(),
                None => said.into(),
            });
        // What the service manager tells the member alone.
        for name in [
            "NOTIFY_SOCKET",
            "WATCHDOG_PID",
            "WATCHDOG_USEC",
            "CREDENTIALS_DIRECTORY",
        ] {
            shell.env_remove(name);
        }
        for (name, value) in variables(row, owner) {
            // No variable can hold a NUL.
            shell.env(name, value.replace('\0', ""));
        }
        let mut process = shell.spawn()?;
        // Else the pipe never ends.
        drop(shell);
        let input = process.stdin.take();
        let mut child = Child {
            process,
            input,
            unsent,
            output: Some(output),
            said: Vec::new(),
            question,
            deadline,
            is_killed: false,
            is_woken: true,
            about: row.says.text.clone(),
        };
        if let Err(error) = child.watch(registry, tokens) {
            child.kill();
            // Killed, it has ended or is about to; the system keeps no more than its number.
            let _ = child.process.try_wait();
            return Err(error);
        }
        Ok(child)
    }

    fn watch(&mut self, registry: &Registry, [input, output]: [Token; 2]) -> io::Result<()> {
        if let Some(pipe) = &self.input {
            rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
            let fd = pipe.as_raw_fd();
            registry.register(&mut SourceFd(&fd), input, Interest::WRITABLE)?;
        }
        if let Some(pipe) = &self.output {
            rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
            let fd = pipe.as_raw_fd();
            registry.register(&mut SourceFd(&fd), output, Interest::READABLE)?;
        }
        Ok(())
    }

    pub fn woken(&mut self) {
        self.is_woken = true;
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Writes and reads what its pipes take and have.
    pub fn turn(&mut self, registry: &Registry) {
        if std::mem::take(&mut self.is_woken) {
            self.write(registry);
            self.read(registry);
        }
    }

    fn write(&mut self, registry: &Registry) {
        let Some(pipe) = &mut self.input else {
            return;
        };
        let is_done = loop {
            match pipe.write(&self.unsent) {
                Ok(taken) => {
                    self.unsent.drain(..taken);
                    if self.unsent.is_empty() {
                        break true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It need not read.
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        if is_done {
            let fd = pipe.as_raw_fd();
            let _ = registry.deregister(&mut SourceFd(&fd));
            self.input = None;
        }
    }

    fn read(&mut self, registry: &Registry) {
        let Some(pipe) = &mut self.output else {
            return;
        };
        let mut portion = [0; 1_024];
        let mut left = PORTION;
        let is_done = loop {
            match pipe.read(&mut portion) {
                Ok(0) => break true,
                Ok(got) => {
                    self.said.extend_from_slice(&portion[..got]);
                    match self.question {
                        // One byte more shows that it is too large.
                        Some(_) => self.said.truncate(MAX_ANSWER + 1),
                        None => {
                            let excess = self.said.len().saturating_sub(LAST_WORDS);
                            self.said.drain(..excess);
                        }
                    }
                    left = left.saturating_sub(got);
                    if left == 0 {
                        // The poll tells of a new portion only, so the next turn reads on by itself.
                        self.is_woken = true;
                        break false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        if is_done {
            self.hang_up(registry);
        }
    }

    fn hang_up(&mut self, registry: &Registry) {
        if let Some(pipe) = self.output.take() {
            let fd = pipe.as_raw_fd();
            let _ = registry.deregister(&mut SourceFd(&fd));
        }
    }

    /// Whether it wants another turn at once.
    pub fn has_work(&self) -> bool {
        self.is_woken
    }

    /// How it ended, if it has. What it left running goes on without its pipes.
    pub fn ended(&mut self, registry: &Registry) -> Option<Ended> {
        let status = self.process.try_wait().transpose()?;
        self.is_woken = true;
        self.turn(registry);
        self.hang_up(registry);
        if let Some(pipe) = self.input.take() {
            let fd = pipe.as_raw_fd();
            let _ = registry.deregister(&mut SourceFd(&fd));
        }
        let failure = match status {
            _ if self.is_killed => Some("killed, as it took longer than 30 s".to_owned()),
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("failed with {status}")),
            Err(error) => Some(format!("cannot tell how it ended: {error}")),
        };
        Some(Ended {
            about: std::mem::take(&mut self.about),
            failure,
            is_killed: self.is_killed,
            question: self.question.take(),
            said: std::mem::take(&mut self.said),
        })
    }

    /// Ends it, and what it started.
    pub fn kill(&mut self) {
        if !self.is_killed && matches!(self.process.try_wait(), Ok(None)) {
            self.is_killed = true;
            let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        }
        // It ends at once, and the system says so.
        self.deadline += super::PATIENCE;
    }
}

/// The member ends, and its commands with it.
impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.process.try_wait();
    }
}

/// What a command finds in its environment.
fn variables<'a>(row: &'a EventRow, owner: &'a Owner) -> Vec<(&'static str, String)> {
    let says = &row.says;
    let mut variables = vec![
        ("BUTTERFLY_EVENT", says.kind.clone()),
        ("BUTTERFLY_EVENT_ID", row.id.clone()),
        ("BUTTERFLY_EVENT_TIME", row.time.clone()),
        ("BUTTERFLY_EVENT_TEXT", says.text.clone()),
        ("BUTTERFLY_EVENT_SELF", owner.id.clone()),
        ("BUTTERFLY_EVENT_SELF_NAME", owner.name.clone()),
    ];
    let more = [
        ("BUTTERFLY_EVENT_GATEWAY", owner.gateway.clone()),
        ("BUTTERFLY_EVENT_MEMBER", says.member.clone()),
        ("BUTTERFLY_EVENT_MEMBER_NAME", says.name.clone()),
        (
            "BUTTERFLY_EVENT_ADDRESS",
            says.address.map(|it| it.to_string()),
        ),
        ("BUTTERFLY_EVENT_FROM", says.from.clone()),
        (
            "BUTTERFLY_EVENT_INCARNATION",
            says.incarnation.map(|it| it.to_string()),
        ),
        ("BUTTERFLY_EVENT_GROUP", says.group.clone()),
        ("BUTTERFLY_EVENT_NAME", says.user_event.clone()),
        (
            "BUTTERFLY_EVENT_LAMPORT",
            says.lamport.map(|it| it.to_string()),
        ),
    ];
    // One that is left out must not be that of another program.
    let more = more.map(|(name, value)| (name, value.unwrap_or_default()));
    variables.extend(more);
    variables
}
