//! News is pushed at once to a few members, by Acks nobody asked for, and not only when a probe is due:
//! each hop takes a round trip instead of half a period.

use super::news::{self, Enough, RowKey};
use super::outbox::Compare;
use super::row::flag;
use super::{Row, Swim};
use crate::env::{Env, Timer};
use crate::limits::MAX_CROWD_PUSHES;
use crate::member::{Health, MemberId};

/// Records that fit in a push: with a name they have up to 110 bytes each, and as much is needed besides.
const RECORDS: usize = 4;

/// How often news is pushed in a ring of that many: at least so often, and so often that hardly a member of
/// thousands is missed, as each is with a probability of e⁻ⁿ after n tellings by everyone.
fn enough(least: usize, living: usize) -> usize {
    const MARGIN: f64 = 4.0;
    tellings(least, living, MARGIN)
}

/// The same for the death of a process, which is told once and not again by each accuser: none of thousands is to be missed.
pub(crate) fn enough_of_death(least: usize, living: usize) -> usize {
    const MARGIN: f64 = 7.0;
    tellings(least, living, MARGIN)
}

fn tellings(least: usize, living: usize, margin: f64) -> usize {
    least.max((libm::log(living as f64) + margin).ceil() as usize)
}

impl Swim {
    /// When news is known to all. In a ring that pushes, each hears as often of it as it tells (Demers' feedback).
    pub(super) fn enough_news(&self) -> Enough {
        let living = self.table.living();
        Enough {
            told: news::tellings(self.timing.news_factor, living),
            told_and_heard: match self.timing.push_fanout {
                0 => usize::MAX,
                _ => 2 * enough(self.timing.push_tellings, living),
            },
        }
    }

    /// Pushes what was told to few, and goes on until it was told to some more. From then on it only
    /// rides on probes.
    pub(super) fn push_due(&mut self, env: &mut Env) {
        self.updates.pushing = false;
        let enough = enough(self.timing.push_tellings, self.table.living());
        let least_told = self.updates.news.least_told();
        let fresh = least_told.is_some_and(|times| times < enough) || self.has_fresh_death();
        // Who hears nobody waits until it does.
        if !fresh || !self.heard_of_late(env.now) || self.push(env, enough) == 0 {
            return;
        }
        self.updates.pushing = true;
        env.timers
            .insert(env.now + self.timing.push_interval, Timer::PushDue);
    }

    /// Whether the death of a process is news that was not told often enough.
    fn has_fresh_death(&mut self) -> bool {
        /// After so many others that were told as often, there is none.
        const LOOKED_AT: usize = 64;
        let enough = enough_of_death(self.timing.push_tellings, self.table.living());
        let (table, suspicions) = (&self.table, &self.suspicions);
        let is_death = |key: RowKey| {
            table.get(key).is_some_and(|row| match row.health {
                Health::Suspect => suspicions.of(row).is_some_and(|one| one.refusals() != 0),
                Health::Confirmed => true,
                _ => false,
            })
        };
        let mut told_less = self.updates.news.told_less(enough).take(LOOKED_AT);
        told_less.any(is_death)
    }

    /// Pushes news to some Alive members; how many datagrams. Whose address is not proved gets a ping that has it
    /// prove it, and nothing more until it did: nobody can have pushes sent to somebody else.
    fn push(&mut self, env: &mut Env, enough: usize) -> usize {
        let most = self.fanout(enough);
        let mut chosen = std::mem::take(&mut self.detector.helpers);
        let fits = |row: &Row| self.may_be_pushed(row);
        self.table.some_alive(most, fits, &mut env.rng, &mut chosen);
        self.successor_first(&mut chosen, most);
        for key in &chosen {
            let Some(row) = self.table.get_mut(*key) else {
                continue;
            };
            if row.has(flag::PROVED) {
                self.tell(*key);
            } else if !row.has(flag::ASKED) {
                row.set(flag::ASKED, true);
                self.ping_aside(*key, Compare::Nothing);
            }
        }
        let count = chosen.len();
        self.detector.helpers = chosen;
        count
    }

    fn may_be_pushed(&self, row: &Row) -> bool {
        (row.has(flag::PROVED) || !row.has(flag::ASKED)) && !self.is_blocked(&row.id)
    }

    /// What was not pushed yet goes to the successor, in as many of the datagrams as it takes, before it goes to
    /// those that were chosen at random. An Ack or a ping may have told somebody of it before.
    fn successor_first(&mut self, chosen: &mut Vec<RowKey>, most: usize) {
        let unpushed = self.updates.news.told_less(self.timing.push_fanout);
        let fresh = unpushed.take(RECORDS * most).count();
        let Some(key) = self.successor().filter(|_| fresh > 0) else {
            return;
        };
        // Who has yet to prove its address gets a ping, once.
        let proved = self.table.get(key).is_some_and(|row| row.has(flag::PROVED));
        let enough = if proved { fresh.div_ceil(RECORDS) } else { 1 };
        // One alone is random, else the news would go around the circle.
        let datagrams = enough.min(most.saturating_sub(1));
        chosen.retain(|other| *other != key);
        chosen.truncate(most - datagrams);
        chosen.splice(0..0, std::iter::repeat_n(key, datagrams));
    }

    /// The Alive member that comes next and may be pushed to.
    fn successor(&mut self) -> Option<RowKey> {
        let key = self.next_alive()?;
        let row = self.table.get(key);
        row.is_some_and(|row| self.may_be_pushed(row))
            .then_some(key)
    }

    /// The Alive member that comes next.
    pub(super) fn next_alive(&mut self) -> Option<RowKey> {
        let (table, successor) = (&self.table, &mut self.updates.successor);
        let me = table.get(table.me()).map(|row| row.id)?;
        let alive = |row: &Row| row.health == Health::Alive && row.id != me;
        let lives = |id: &MemberId| {
            let row = table.find(id).and_then(|key| table.get(key));
            row.is_some_and(alive)
        };
        let all = || {
            let living = table.iter().filter(|(_, row)| alive(row));
            living.map(|(_, row)| row.id)
        };
        table.find(&successor.get(&me, lives, all)?)
    }

    /// How many members are pushed to. Who left is learned of by news alone: no table tells it, and no probe
    /// finds it out. So when a crowd leaves, as many datagrams go out as hold each of its members once. Only members
    /// count whose address was proved here: others can be made up by the crowd.
    fn fanout(&mut self, enough: usize) -> usize {
        let left = |key: &RowKey| {
            let row = self.table.get(*key);
            row.is_some_and(|row| row.has_all(flag::LEFT | flag::PROVED))
        };
        let fresh = self
            .updates
            .news
            .told_less(enough)
            .take(RECORDS * MAX_CROWD_PUSHES);
        let crowd = fresh.filter(left).count();
        crowd.div_ceil(RECORDS).max(self.timing.push_fanout)
    }
}
