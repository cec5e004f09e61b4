//! Where others hold this very member to be. If it was told its address, that they hold it elsewhere is something for its
//! operator; if not, its address is what they say, and it follows it while it runs.
//!
//! One that lies must not make noise or move this member: two members that proved where they are, at addresses of their
//! own, have to say the same, or the only one that there is.

use super::speaker::Speaker;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Swim;
use super::unproved::Word;
use crate::env::Env;
use crate::event::Event;
use crate::limits::ELSEWHERE_INTERVAL;
use crate::member::Incarnation;
use crate::time::Time;
use crate::wire::MembershipRecord;

/// Periods for which others have to go on holding it elsewhere before its operator is told: they may be about to ask it
/// where it says that it is.
const SETTLED: u32 = 8;
/// Periods after which what was said counts no more.
const MEMORY: u32 = 32;
/// Periods between two moves, if not all say the same.
const PAUSE: u32 = 16;

/// Others say that it is there.
#[derive(Clone, Copy, Hash)]
struct Said {
    addr: SocketAddr,
    /// Who said so first.
    by: u64,
    /// Another one said so, too, or there is no other.
    agreed: bool,
    since: Time,
    last: Time,
}

#[derive(Default, Hash)]
pub(super) struct Whereabouts {
    said: Option<Said>,
    /// Its address was learned from a member that proved its own.
    learned: bool,
    /// Its address before this one, at which others may still hold it.
    before: Option<IpAddr>,
    next_move: Time,
    next_told: Time,
}

impl Whereabouts {
    /// Another address than its own was said; what is known of it now.
    fn hear(&mut self, now: Time, memory: Duration, addr: SocketAddr, by: u64, sole: bool) -> Said {
        let fresh = Said {
            addr,
            by,
            agreed: sole,
            since: now,
            last: now,
        };
        let is_old = |said: &Said| now.since(said.last) >= memory;
        let said = match self.said.filter(|said| !is_old(said)) {
            Some(said) if said.addr == addr => Said {
                agreed: said.agreed || sole || said.by != by,
                last: now,
                ..said
            },
            // What more than one say stays until they say so no more.
            Some(said) if said.agreed => return fresh,
            _ => fresh,
        };
        self.said = Some(said);
        said
    }
}

impl Swim {
    /// A record of this very member says where it is.
    pub(super) fn hear_where_it_is(
        &mut self,
        env: &mut Env,
        speaker: &Speaker,
        record: &MembershipRecord<'_>,
    ) {
        // Its own disk says where it was.
        let Some(ip) = record.member.address.filter(|_| speaker.word != Word::Own) else {
            return;
        };
        if !self.identity.advertised
            && (!self.identity.addressed || speaker.proved && !self.identity.whereabouts.learned)
        {
            self.identity.whereabouts.learned = speaker.proved;
            return self.be_at(env, ip);
        }
        let me = self.me();
        let mine = SocketAddr::new(self.table.ip_of(me), me.swim_port);
        let addr = SocketAddr::new(ip, record.member.swim_port);
        let same = addr == mine || !self.identity.advertised && ip == mine.ip();
        // What is said of an earlier life says where that was.
        if same || !speaker.proved || record.member.incarnation != me.incarnation {
            return;
        }
        env.journal.stats.seen_elsewhere += 1;
        let (by, sole) = (self.informant(speaker), self.table.living() <= 2);
        let memory = self.timing.period * MEMORY;
        let said = self
            .identity
            .whereabouts
            .hear(env.now, memory, addr, by, sole);
        if !said.agreed {
            return;
        }
        if self.identity.advertised {
            if self.is_settled(env.now, &said) && env.now >= self.identity.whereabouts.next_told {
                self.identity.whereabouts.next_told = env.now + ELSEWHERE_INTERVAL;
                let (told, seen) = (mine, addr);
                env.journal.event(Event::SeenElsewhere { told, seen });
            }
        } else if sole || env.now >= self.identity.whereabouts.next_move {
            self.identity.whereabouts.next_move = env.now + self.timing.period * PAUSE;
            self.identity.whereabouts.said = None;
            self.be_at(env, ip);
            // Whoever does not hear it hears of it.
            let next = self.me().incarnation.next();
            if next < Incarnation::MAX && !self.is_leaving() {
                self.raise(env, next);
            }
        }
    }

    fn is_settled(&self, now: Time, said: &Said) -> bool {
        said.agreed
            && said.last.since(said.since) >= self.timing.period * SETTLED
            && now.since(said.last) < self.timing.period * MEMORY
    }

    /// Where others hold this member to be, if that is not where it says that it is.
    pub fn seen_elsewhere(&self, now: Time) -> Option<SocketAddr> {
        let said = self
            .identity
            .whereabouts
            .said
            .filter(|_| self.identity.advertised);
        said.filter(|said| self.is_settled(now, said))
            .map(|said| said.addr)
    }

    /// Where this member is, if another process with its id is there: others may know it at either address.
    pub(super) fn own_address(&self, there: SocketAddr) -> SocketAddr {
        let me = self.me();
        let here = SocketAddr::new(self.table.ip_of(me), me.swim_port);
        match self.identity.whereabouts.before {
            Some(ip) if here == there => SocketAddr::new(ip, me.swim_port),
            _ => here,
        }
    }

    /// Others know this member at this address.
    fn be_at(&mut self, env: &mut Env, ip: IpAddr) {
        self.identity.addressed = true;
        let (key, me) = (self.table.me(), self.me());
        let before = self.table.ip_of(me);
        if before == ip {
            return;
        }
        let (swim_port, gossip_port) = (me.swim_port, me.gossip_port);
        self.table.set_contact(key, ip, swim_port, gossip_port);
        self.trust.echoes.clear();
        let before = Some(before).filter(|before| !before.is_unspecified());
        self.identity.whereabouts.before = before;
        env.journal.event(Event::AddressLearned { before, ip });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY_OF: Duration = Duration::from_secs(32);

    fn at(seconds: u64) -> Time {
        Time::from_millis(1_000_000 + 1_000 * seconds)
    }

    fn addr(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 1))
    }

    #[test]
    fn another_address_counts_when_two_say_so_or_the_only_one_there_is() {
        let mut whereabouts = Whereabouts::default();
        let mut hear = |second, host, by, sole| {
            whereabouts
                .hear(at(second), MEMORY_OF, addr(host), by, sole)
                .agreed
        };
        assert!(!hear(0, 2, 1, false) && !hear(1, 2, 1, false), "one alone");
        assert!(hear(2, 2, 7, false), "another one");
        assert!(!hear(3, 3, 8, false), "what two say stays");
        assert!(hear(4, 2, 1, false));
        assert!(!hear(40, 3, 8, false), "they say so no more");
        assert!(hear(41, 4, 8, true), "the only one");
    }
}
