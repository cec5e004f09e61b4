//! News is pushed at once to a few members, by Acks nobody asked for, and not only when a probe is due:
//! each hop takes a round trip instead of half a period.

use super::news::RowKey;
use super::row::flag;
use super::send::{Body, Outgoing};
use super::{Row, Swim};
use crate::env::{Env, Timer};
use crate::limits::ORDINARY_DATAGRAM;

/// How often news is pushed in a ring of that many: at least so often, and so often that hardly a member of
/// thousands is missed, as each is with a probability of e⁻ⁿ after n tellings by everyone.
fn enough(least: usize, living: usize) -> usize {
    const MARGIN: f64 = 2.0;
    least.max(((living as f64).ln() + MARGIN).ceil() as usize)
}

impl Swim {
    /// There is news: it is pushed soon, together with what comes until then.
    pub(super) fn push_soon(&mut self, env: &mut Env) {
        if !self.pushing && self.timing.push_fanout > 0 {
            self.pushing = true;
            env.timers.insert(env.now, Timer::PushDue);
        }
    }

    /// Pushes what was told to few, and goes on until it was told to some more. From then on it only
    /// rides on probes.
    pub(super) fn push_due(&mut self, env: &mut Env) {
        self.pushing = false;
        let enough = enough(self.timing.push_tellings, self.table.living());
        let fresh = self.news.least_told().is_some_and(|times| times < enough);
        if !fresh || self.push(env) == 0 {
            return;
        }
        self.pushing = true;
        env.timers
            .insert(env.now + self.timing.push_interval, Timer::PushDue);
    }

    /// Pushes news to some Alive members; how many. Whose address is not proved gets a ping that has it
    /// prove it, and nothing more until it did: nobody can have pushes sent to somebody else.
    fn push(&mut self, env: &mut Env) -> usize {
        let mut chosen = std::mem::take(&mut self.helpers);
        let fits = |row: &Row| {
            (row.has(flag::PROVED) || !row.has(flag::ASKED)) && !self.is_blocked(&row.id)
        };
        let most = self.timing.push_fanout;
        self.table.some_alive(most, fits, &mut env.rng, &mut chosen);
        for key in &chosen {
            let Some(row) = self.table.get_mut(*key) else {
                continue;
            };
            if row.has(flag::PROVED) {
                self.tell(*key);
            } else {
                row.set(flag::ASKED, true);
                self.ping_aside(*key, false);
            }
        }
        let count = chosen.len();
        self.helpers = chosen;
        count
    }

    /// Tells a member the news, and what is held of it, by an Ack that it did not ask for.
    pub(super) fn tell(&mut self, key: RowKey) {
        let (Some(member), told) = (self.table.member(key), self.table.get(key).map(Row::state))
        else {
            return;
        };
        let body = Body::Ack {
            forward_to: None,
            number: 0,
            news: true,
        };
        let (to, id, limit) = (member.swim_addr(), Some(member.id), ORDINARY_DATAGRAM);
        self.queue(Outgoing {
            to,
            id,
            row: key,
            told,
            limit,
            ages: true,
            body,
        });
    }
}
