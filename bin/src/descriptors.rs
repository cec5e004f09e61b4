//! How many files and sockets this process may have open: raised at the start, and watched where it may run out.

use std::io;
use std::os::unix::net::UnixDatagram;

use butterfly::limits::{MAX_GOSSIP_CONNECTIONS, MAX_PUSH_SOCKETS};
use log::warn;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::gateway::MAX_CONNECTIONS;

/// What the program has open besides connections: its sockets, its poll, its log, its data directory.
const OTHERS: u64 = 64;

/// Raises the limit as far as the system lets us, and warns if that is less than all our connections may take.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where that fails, the old one stays, and is what is warned of.
    let _ = setrlimit(Resource::Nofile, raised);
    // `None` stands for no limit at all.
    if let Some(most) = getrlimit(Resource::Nofile).current
        && let Some(warning) = too_few(most)
    {
        warn!("{warning}");
    }
}

/// What all our connections may take at the same time, those of two gateways among them.
const fn wanted() -> u64 {
    (MAX_GOSSIP_CONNECTIONS + MAX_PUSH_SOCKETS + 2 * MAX_CONNECTIONS) as u64 + OTHERS
}

fn too_few(most: u64) -> Option<String> {
    let wanted = wanted();
    (most < wanted).then(|| {
        format!(
            "this process may open {most} files and sockets (RLIMIT_NOFILE), fewer than the {wanted} that all its \
             connections may take: connections are refused when they run out (\"ulimit -Hn {wanted}\", or \
             LimitNOFILE={wanted} in its systemd unit)"
        )
    })
}

/// Whether nothing more can be opened, by this process or by any.
pub fn ran_out(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&code)
}

/// What to do about an error, if it is that too few can be opened.
pub fn help(error: &io::Error) -> String {
    match (ran_out(error), getrlimit(Resource::Nofile).current) {
        (true, Some(most)) => {
            let wanted = wanted();
            format!(
                "; this process may have {most} open (RLIMIT_NOFILE), and a member wants {wanted}: \"ulimit -n {wanted}\", or \
                 LimitNOFILE={wanted} in its systemd unit"
            )
        }
        _ => String::new(),
    }
}

/// Descriptors that are held back, so that some are left where they matter when others have taken all the rest.
pub struct Spare {
    /// Sockets without a name, which cost nothing else and need no file system.
    held: Vec<UnixDatagram>,
    most: usize,
}

impl Spare {
    /// So many if this process can run out of them, else none.
    pub fn if_scarce(most: usize) -> Self {
        let is_scarce = getrlimit(Resource::Nofile)
            .current
            .is_some_and(|most| most < wanted());
        Spare::new(if is_scarce { most } else { 0 })
    }

    /// So many, or as many as there are.
    pub fn new(most: usize) -> Self {
        let mut spare = Spare {
            held: Vec::with_capacity(most),
            most,
        };
        spare.refill();
        spare
    }

    /// Takes back what is missing, as far as there is any.
    pub fn refill(&mut self) {
        while self.held.len() < self.most {
            match UnixDatagram::unbound() {
                Ok(socket) => self.held.push(socket),
                Err(_) => break,
            }
        }
    }

    /// Lets one go, to be used at once; `false`: there is none.
    pub fn release(&mut self) -> bool {
        self.held.pop().is_some()
    }

    /// Whether some are missing, and none is left.
    pub fn is_used_up(&self) -> bool {
        self.most > 0 && self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_our_caps_is_told_with_its_name_and_both_numbers() {
        assert_eq!(too_few(wanted()), None);
        let warning = too_few(1_024).unwrap();
        for part in [
            "RLIMIT_NOFILE",
            "1024",
            &format!(
                "fewer than the {} that all its connections may take",
                wanted()
            ),
            "LimitNOFILE",
            "ulimit",
        ] {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn what_is_held_back_is_given_once_and_taken_back() {
        let mut spare = Spare::new(2);
        assert!(spare.release() && spare.release());
        assert!(spare.is_used_up() && !spare.release());
        spare.refill();
        assert!(!spare.is_used_up());
        assert!(!Spare::new(0).is_used_up(), "none is missing");
    }
}
