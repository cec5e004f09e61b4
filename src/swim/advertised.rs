//! Members that say where they are reached, as their datagrams come from elsewhere: behind an address translation, a load
//! balancer, a VPN (PROTOCOL.md §2, "Advertised addresses").
//!
//! Such a member is held there once it answered a question there, and only then. Its datagrams go on coming from their
//! source, and their answers go back to it. A source can be forged, so what an answer may hold is bounded until the member
//! answered a question there, too; that is what is remembered here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::incoming::Incoming;
use super::news::RowKey;
use super::records::is_somewhere;
use super::row::flag;
use super::{Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::limits::ORDINARY_DATAGRAM;

/// Of a member that is held where it says that it is reached.
#[derive(Clone, Copy, Hash)]
struct Advertiser {
    /// Where its datagrams come from: it answered there.
    source: SocketAddr,
    /// A probe of it failed since it last answered where it is held.
    silent: bool,
}

#[derive(Default, Hash)]
pub(super) struct Advertisers {
    held: BTreeMap<RowKey, Advertiser>,
}

impl Advertisers {
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// The member in this row answered a question at the source of its datagrams.
    pub fn note_source(&mut self, key: RowKey, source: SocketAddr) {
        let silent = self.is_silent(key);
        self.held.insert(key, Advertiser { source, silent });
    }

    /// It answered where it is held.
    pub fn answered(&mut self, key: RowKey) {
        if let Some(it) = self.held.get_mut(&key) {
            it.silent = false;
        }
    }

    /// A probe of it failed.
    pub fn fell_silent(&mut self, key: RowKey) {
        if let Some(it) = self.held.get_mut(&key) {
            it.silent = true;
        }
    }

    /// It moved, or is forgotten.
    pub fn forget(&mut self, key: RowKey) {
        self.held.remove(&key);
    }

    fn comes_from(&self, key: RowKey, source: SocketAddr) -> bool {
        self.held.get(&key).is_some_and(|it| it.source == source)
    }

    fn is_silent(&self, key: RowKey) -> bool {
        self.held.get(&key).is_some_and(|it| it.silent)
    }
}

impl Swim {
    /// The sender says that it is reached at this address.
    #[cold]
    pub(super) fn note_advertised(&self, env: &mut Env, incoming: &mut Incoming<'_>, ip: IpAddr) {
        let (from, port) = (incoming.from, incoming.sender.swim_port);
        // It comes from there, as most do.
        if ip == from.ip() || incoming.observer || port == 0 {
            return;
        }
        // Loopback is another host's own.
        if !is_somewhere(ip) || ip.is_loopback() && !from.ip().is_loopback() {
            return env.journal.rejected(env.now, Reject::BadAddress, from);
        }
        let there = SocketAddr::new(ip, port);
        incoming.advertised = Some(there);
        if let Some(key) = incoming.row
            && self.is_held_at(key, there)
        {
            (incoming.place, incoming.ask_at) = (there, there);
            incoming.proved = self.is_proved_home(incoming, key);
            incoming.word = self.word_of(incoming);
            if incoming.proved {
                (incoming.allowance, incoming.on_the_wire) = (usize::MAX, usize::MAX);
            }
        }
    }

    fn is_held_at(&self, key: RowKey, addr: SocketAddr) -> bool {
        let row = self.table.get(key);
        row.is_some_and(|row| self.table.is_at(row, addr))
    }

    /// Whether the sender is held to be where its message came from, or where it says that it is reached, and answered at
    /// this source.
    #[inline]
    pub(super) fn is_home(&self, incoming: &Incoming<'_>, row: &Row) -> bool {
        self.table.is_at(row, incoming.from) || self.is_home_elsewhere(incoming, row)
    }

    fn is_home_elsewhere(&self, incoming: &Incoming<'_>, row: &Row) -> bool {
        let (Some(there), Some(key)) = (incoming.advertised, incoming.row) else {
            return false;
        };
        self.table.is_at(row, there) && self.advertisers.comes_from(key, incoming.from)
    }

    /// Whether it is home in that sense, and answered where it is held.
    pub(super) fn is_proved_home(&self, incoming: &Incoming<'_>, key: RowKey) -> bool {
        let proved = |row: &Row| row.has(flag::PROVED) && self.is_home(incoming, row);
        self.table.get(key).is_some_and(proved)
    }

    /// Whether, and where, the sender is to be asked if it is there.
    #[inline]
    pub(super) fn chooses_to_ask(&mut self, env: &Env, incoming: &mut Incoming<'_>) -> bool {
        match incoming.advertised {
            None => !incoming.proved && self.is_to_be_asked(incoming),
            Some(there) => self.chooses_where_to_ask(env, incoming, there),
        }
    }

    /// The same for one that says where it is reached: there, once in a turn; else where its message came from, like any
    /// other. So a wrong address neither has more sent to it, nor keeps the member out.
    #[cold]
    fn chooses_where_to_ask(
        &mut self,
        env: &Env,
        incoming: &mut Incoming<'_>,
        there: SocketAddr,
    ) -> bool {
        let source = incoming.from;
        let asks = !incoming.proved && self.is_to_be_asked(incoming);
        let is_held_there = incoming.row.is_some_and(|key| self.is_held_at(key, there));
        if is_held_there && !asks {
            incoming.ask_at = source;
            let answered = |key| self.advertisers.comes_from(key, source);
            return !incoming.row.is_some_and(answered);
        }
        // One that has to hear first what is held of it is not asked, and so not in vain.
        let may_ask = !self.is_outdone(incoming) || incoming.proved;
        if may_ask && self.may_ask_advertiser(env, incoming, there) {
            incoming.ask_at = there;
            return true;
        }
        incoming.ask_at = SocketAddr::new(source.ip(), incoming.sender.swim_port);
        asks
    }

    /// Whether an Ack brings the number of a question that its sender was asked: where it is taken to be, where it says
    /// that it is reached, or where its datagrams come from.
    #[inline]
    pub(super) fn answers_question(&self, incoming: &mut Incoming<'_>, number: u64) -> bool {
        self.is_cookie(number, incoming.place)
            || incoming
                .advertised
                .is_some_and(|there| self.answers_elsewhere(incoming, number, there))
    }

    #[cold]
    fn answers_elsewhere(
        &self,
        incoming: &mut Incoming<'_>,
        number: u64,
        there: SocketAddr,
    ) -> bool {
        let source = incoming.from;
        if self.is_cookie(number, there) {
            incoming.place = there;
            return true;
        }
        let contact = SocketAddr::new(source.ip(), incoming.sender.swim_port);
        let key = incoming.row.filter(|key| self.is_held_at(*key, there));
        let silent =
            key.is_some_and(|key| self.advertisers.is_silent(key) || self.is_given_up(key));
        if silent && self.is_cookie(number, contact) {
            // It is not reached where it says, any more.
            incoming.place = contact;
            return true;
        }
        incoming.answers_at_source =
            self.is_cookie(number, source) || self.is_cookie(number, contact);
        incoming.answers_at_source
    }

    fn is_given_up(&self, key: RowKey) -> bool {
        let row = self.table.get(key);
        row.is_some_and(super::comeback::is_dead)
    }

    /// A member that does not answer where it says that it is reached is asked where its datagrams come from, too, and is
    /// held there if it answers.
    pub(super) fn ask_silent_at_source(&mut self, key: RowKey) {
        let silent = self.advertisers.held.get(&key).filter(|it| it.silent);
        let (Some(it), Some(row)) = (silent, self.table.get(key)) else {
            return;
        };
        let contact = SocketAddr::new(it.source.ip(), row.swim_port);
        let (id, told) = (row.id, row.state());
        self.ask(contact, Some(id), Some(told), ORDINARY_DATAGRAM, false);
    }
}
