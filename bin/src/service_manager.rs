//! What a member tells the service manager that started it, such as systemd: that it is ready, that it still turns, that it
//! stops (`sd_notify`). Where there is none, nothing is told.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use log::warn;

/// What is told to whom, and how often at least.
#[derive(Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// The pause from one sign of life to the next.
    pause: Option<Duration>,
    next: Option<Instant>,
}

impl ServiceManager {
    /// The one that the environment names.
    pub fn of_process() -> Self {
        let Some(at) = env::var_os("NOTIFY_SOCKET") else {
            return ServiceManager::default();
        };
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        match connect(&at) {
            Ok(socket) => ServiceManager {
                socket: Some(socket),
                // Twice within the patience of who waits, as sd_watchdog_enabled(3) has it.
                pause: patience.map(|micros| Duration::from_micros(micros) / 2),
                next: None,
            },
            Err(error) => {
                warn!(
                    "cannot tell the service manager at {} anything: {error}",
                    at.display()
                );
                ServiceManager::default()
            }
        }
    }

    /// The member listens.
    pub fn ready(&mut self, now: Instant) {
        self.tell("READY=1");
        self.next = self.pause.map(|pause| now + pause);
    }

    /// The member leaves.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=leaving");
    }

    /// When the next message is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Tells that the member's loop turns, if it is time to.
    pub fn turn(&mut self, now: Instant, status: impl FnOnce() -> String) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.tell(&format!("WATCHDOG=1\nSTATUS={}", status()));
        self.next = self.pause.map(|pause| now + pause);
    }

    fn tell(&self, what: &str) {
        if let Some(socket) = &self.socket {
            // Never waits. One that is not heard is made up for by the next.
            let _ = socket.send(what.as_bytes());
        }
    }
}

/// A path, or behind `@` a name without one.
fn connect(at: &OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match at.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
        }
        _ => socket.connect_addr(&SocketAddr::from_pathname(at)?)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(pause: Duration) -> (UnixDatagram, tempfile::TempDir, ServiceManager) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listening = UnixDatagram::bind(&path).unwrap();
        listening.set_nonblocking(true).unwrap();
        let manager = ServiceManager {
            socket: Some(connect(path.as_os_str()).unwrap()),
            pause: Some(pause),
            next: None,
        };
        (listening, dir, manager)
    }

    fn told(listening: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 100];
        let length = listening.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn a_sign_of_life_comes_in_each_pause_from_ready_on() {
        let pause = Duration::from_secs(5);
        let (listening, _dir, mut manager) = manager(pause);
        let start = Instant::now();
        assert_eq!(manager.deadline(), None);
        manager.ready(start);
        assert_eq!(told(&listening).unwrap(), "READY=1");
        assert_eq!(manager.deadline(), Some(start + pause));
        manager.turn(start + pause - Duration::from_millis(1), || unreachable!());
        assert_eq!(told(&listening), None);
        manager.turn(start + pause, || "3 alive".to_owned());
        assert_eq!(told(&listening).unwrap(), "WATCHDOG=1\nSTATUS=3 alive");
        assert_eq!(manager.deadline(), Some(start + 2 * pause));
        manager.stopping();
        assert_eq!(told(&listening).unwrap(), "STOPPING=1\nSTATUS=leaving");
    }

    #[test]
    fn a_manager_that_takes_nothing_holds_nothing_up() {
        let (_listening, _dir, mut manager) = manager(Duration::from_secs(1));
        let start = Instant::now();
        manager.ready(start);
        for turn in 1..10_000 {
            manager.turn(start + turn * Duration::from_secs(1), String::new);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_without_a_path_is_reached() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("butterfly-test-{}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        let listening = UnixDatagram::bind_addr(&addr).unwrap();
        let socket = connect(OsStr::new(&format!("@{name}"))).unwrap();
        socket.send(b"READY=1").unwrap();
        assert_eq!(told(&listening).unwrap(), "READY=1");
    }
}
