//! Who is suspected by whom, and until when: the more independent accusers, the sooner it is over
//! (Lifeguard §III, "local health aware suspicion").

use std::time::Duration;

use super::Row;
use super::news::RowKey;
use super::slots::Slots;
use super::table::Table;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::expected::Expected;
use crate::growth;
use crate::limits::{MAX_ACCUSERS, MAX_LAST_WORDS, MAX_MEMBERS};
use crate::member::{Evidence, Health, MemberId};
use crate::stats::Gauge;
use crate::time::Time;
use crate::timer::TimerKey;

/// One member is suspected.
#[derive(Hash)]
pub(crate) struct Suspicion {
    began: Time,
    /// When the member is Confirmed.
    over: Time,
    /// Whether it was asked for its last word.
    asked: bool,
    /// The number with which others are to ask it; 0: with none.
    number: u64,
    timer: TimerKey,
    accusers: [MemberId; MAX_ACCUSERS],
    count: usize,
    /// A bit for each accuser: the suspect's system told it that nobody listens at its port.
    refused: u8,
    /// Who found that the suspect's system answers for it: its process stands still.
    stalled: Option<MemberId>,
    /// Whether this member decided if it pings the suspect out of turn, as it was refused elsewhere.
    pub drawn: bool,
}

impl Suspicion {
    pub fn accusers(&self) -> &[MemberId] {
        self.accusers.get(..self.count).unwrap_or_default()
    }

    pub fn over(&self) -> Time {
        self.over
    }

    /// Those whose pings were refused, a bit for each accuser.
    pub fn refusals(&self) -> u8 {
        self.refused
    }

    /// Who found that the suspect's process stands still.
    pub fn stalled(&self) -> Option<MemberId> {
        self.stalled
    }

    /// What stands behind it.
    pub fn evidence(&self) -> Evidence {
        match (self.refused, self.stalled) {
            (0, None) => Evidence::Silent,
            (0, Some(_)) => Evidence::Stalled,
            _ => Evidence::Refused,
        }
    }

    /// When it is over with so many confirmations, and how long before that the suspect is asked for its last word.
    fn ends(&self, timing: &Timing, living: usize, confirmations: usize) -> (Time, Duration) {
        let (mut over, last) = (
            self.began + length(timing, living, confirmations),
            timing.verdict_timeout,
        );
        if self.stalled.is_some() {
            // It did not answer a period before.
            over = over.max(self.began - timing.period + timing.stall_patience);
        }
        if self.is_sure(timing, living) {
            let short = timing.refused_suspicion;
            return (over.min(self.began + short), last.min(short / 2));
        }
        (over, last)
    }

    /// Whether this accuser's pings were refused.
    pub fn is_refused_by(&self, accuser: &MemberId) -> bool {
        let place = self.accusers().iter().position(|id| id == accuser);
        place.is_some_and(|place| self.refused >> place & 1 != 0)
    }

    /// Whether it is as short as refusals make it.
    fn is_sure(&self, timing: &Timing, living: usize) -> bool {
        let refusals = self.refused.count_ones() as usize;
        !timing.refused_suspicion.is_zero() && refusals > confirmations_needed(timing, living)
    }

    /// The place of one more accuser, if it counts; and whether it is another one's, which was not refused.
    fn place_for(&self, accuser: &MemberId, evidence: Evidence) -> Option<usize> {
        let is_marked = |place: &usize| self.refused >> place & 1 != 0;
        let refused = evidence == Evidence::Refused;
        match self.accusers().iter().position(|id| id == accuser) {
            Some(place) => Some(place).filter(|place| refused && !is_marked(place)),
            None if self.count < MAX_ACCUSERS => Some(self.count),
            None if refused => (0..self.count).find(|place| !is_marked(place)),
            None => None,
        }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the member is being asked for its last word.
    pub fn is_ending(&self) -> bool {
        self.asked
    }
}

/// What follows when the time of a suspicion is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: the member is not suspected any more.
    Nothing,
    /// The member is asked for its last word, by others with this number.
    LastWord { number: u64 },
    /// Nobody vouched for it in time.
    Confirm,
}

/// What an accusation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accused {
    /// Nothing: it was counted before, or there are enough, or the member is not suspected.
    Before,
    /// It is counted.
    Anew,
    /// It shortens the suspicion, and is news.
    Sooner,
}

#[derive(Hash)]
pub(super) struct Suspicions {
    held: Slots<Suspicion>,
    /// Suspects that were asked for their last word through others in this period.
    last_words: usize,
}

impl Suspicions {
    pub fn new() -> Self {
        Suspicions {
            held: Slots::new(),
            last_words: 0,
        }
    }

    /// The row's suspicion, if it is Suspect.
    pub fn of(&self, row: &Row) -> Option<&Suspicion> {
        if row.health == Health::Suspect {
            self.held.get(row.side as usize)
        } else {
            None
        }
    }

    pub fn accusers(&self, row: &Row) -> &[MemberId] {
        self.of(row).map_or(&[], Suspicion::accusers)
    }

    /// The row's suspicion, to be changed.
    pub fn of_mut(&mut self, row: &Row) -> Option<&mut Suspicion> {
        if row.health == Health::Suspect {
            self.held.get_mut(row.side as usize)
        } else {
            None
        }
    }

    /// Whether the row's member is suspected as its system refuses pings, and one more that is refused, this member,
    /// would shorten that.
    pub fn wants_refusal(&self, table: &Table, timing: &Timing, row: &Row) -> bool {
        let me = table.own().id;
        self.of(row).is_some_and(|suspicion| {
            suspicion.refused != 0
                && !suspicion.asked
                && !suspicion.is_sure(timing, table.living())
                && !suspicion.is_refused_by(&me)
        })
    }

    /// The member in this row is Suspect from now on.
    pub fn begin(&mut self, env: &mut Env, table: &mut Table, timing: &Timing, key: RowKey) {
        let over = env.now + length(timing, table.living(), 0);
        let timer = ask_before(env, key, over, timing.verdict_timeout);
        let nobody = MemberId::from_bytes([0; 16]);
        let suspicion = Suspicion {
            began: env.now,
            over,
            asked: false,
            number: 0,
            timer,
            accusers: [nobody; MAX_ACCUSERS],
            count: 0,
            refused: 0,
            stalled: None,
            drawn: false,
        };
        let side = self.held.insert(suspicion) as u32;
        if let Some(row) = table.get_mut(key) {
            row.side = side;
        }
    }

    /// The suspicion in this place is over; its timer, which is still to be cancelled.
    pub fn end(&mut self, side: u32) -> Option<TimerKey> {
        let suspicion = self.held.try_remove(side as usize);
        growth::slim_slab(&mut self.held);
        suspicion.map(|suspicion| suspicion.timer)
    }

    /// This member says that the one in the row does not answer. A new accuser may shorten the suspicion.
    pub fn accuse(
        &mut self,
        env: &mut Env,
        table: &Table,
        timing: &Timing,
        key: RowKey,
        accuser: MemberId,
        evidence: Evidence,
    ) -> Accused {
        let suspect = |row: &&Row| row.health == Health::Suspect;
        let Some(row) = table.get(key).expected().filter(suspect) else {
            return Accused::Before;
        };
        let needed = confirmations_needed(timing, table.living());
        let Some(suspicion) = self.held.get_mut(row.side as usize).expected() else {
            return Accused::Before;
        };
        let place = suspicion.place_for(&accuser, evidence);
        let Some(place) = place.filter(|_| accuser != row.id) else {
            return Accused::Before;
        };
        let was_sure = suspicion.is_sure(timing, table.living());
        let more = place == suspicion.count;
        let Some(named) = suspicion.accusers.get_mut(place) else {
            return Accused::Before;
        };
        *named = accuser;
        suspicion.count += usize::from(more);
        let confirmations = suspicion.count - 1;
        let refused = evidence == Evidence::Refused;
        if refused {
            suspicion.refused |= 1 << place;
        }
        let confirms = more && confirmations > 0 && confirmations <= needed;
        if !confirms && (!refused || was_sure) {
            return Accused::Anew;
        }
        if !suspicion.asked {
            env.timers.cancel(suspicion.timer);
            let (over, last) = suspicion.ends(timing, table.living(), confirmations);
            suspicion.over = over.max(env.now);
            suspicion.timer = ask_before(env, key, suspicion.over, last);
        }
        Accused::Sooner
    }

    /// This member found that the suspect's system answers for it: the suspicion lasts until the patience with a process
    /// that stands still is over. Whether that is new.
    pub fn stall(
        &mut self,
        env: &mut Env,
        table: &Table,
        timing: &Timing,
        key: RowKey,
        by: MemberId,
    ) -> bool {
        let suspect = |row: &&Row| row.health == Health::Suspect && row.id != by;
        let row = table.get(key).filter(suspect);
        let Some(suspicion) = row.and_then(|row| self.held.get_mut(row.side as usize)) else {
            return false;
        };
        if timing.stall_patience.is_zero()
            || suspicion.stalled.is_some()
            || suspicion.is_sure(timing, table.living())
        {
            return false;
        }
        suspicion.stalled = Some(by);
        let confirmations = suspicion.count.saturating_sub(1);
        let (over, last) = suspicion.ends(timing, table.living(), confirmations);
        if over > suspicion.over {
            env.timers.cancel(suspicion.timer);
            (suspicion.over, suspicion.asked) = (over, false);
            suspicion.timer = ask_before(env, key, over, last);
        }
        true
    }

    /// Whether one more accuser, this member, would shorten the suspicion.
    pub fn wants_witness(&self, table: &Table, timing: &Timing, key: RowKey) -> bool {
        let suspicion = table.get(key).and_then(|row| self.of(row));
        suspicion.is_some_and(|suspicion| {
            let accusers = suspicion.accusers();
            !suspicion.asked
                && accusers.len() <= confirmations_needed(timing, table.living())
                && !accusers.contains(&table.own().id)
        })
    }

    /// Nobody vouched for the suspect yet. Its refutation may have come to everyone but this member, so it is
    /// to be asked for its last word, by others with this number; then it is Confirmed.
    pub fn due(
        &mut self,
        env: &mut Env,
        table: &Table,
        timing: &Timing,
        key: RowKey,
        number: u64,
    ) -> Due {
        let suspect = |row: &&Row| row.health == Health::Suspect;
        let row = table.get(key).filter(suspect);
        let Some(suspicion) = row.and_then(|row| self.held.get_mut(row.side as usize)) else {
            return Due::Nothing;
        };
        let mut last = timing.verdict_timeout;
        if suspicion.is_sure(timing, table.living()) {
            last = last.min(timing.refused_suspicion / 2);
        }
        if suspicion.asked || last.is_zero() {
            return Due::Confirm;
        }
        suspicion.asked = true;
        suspicion.number = number;
        suspicion.over = env.now + last;
        suspicion.timer = env.timers.insert(suspicion.over, Timer::SuspicionDue(key));
        Due::LastWord { number }
    }

    /// Whether others may be asked to ask one more suspect in this period, which is then counted.
    pub fn may_ask_others(&mut self) -> bool {
        let may = self.last_words < MAX_LAST_WORDS;
        self.last_words += usize::from(may);
        may
    }

    pub fn begin_period(&mut self) {
        self.last_words = 0;
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        [Gauge::new("suspicions", self.held.len(), MAX_MEMBERS)]
    }
}

impl Suspicion {
    /// It is to be over at once: its timer, which is still to be cancelled; `None`: it is ending.
    pub fn cut_short(&self) -> Option<TimerKey> {
        (!self.asked).then_some(self.timer)
    }
}

/// Independent accusations, beside the first, that make a suspicion as short as it gets: no more than
/// there are others who could accuse.
pub(super) fn confirmations_needed(timing: &Timing, living: usize) -> usize {
    let others = living.saturating_sub(2);
    timing
        .suspicion_confirmations
        .min(others)
        .min(MAX_ACCUSERS - 1)
}

/// How long a suspicion lasts with so many confirmations. Who has few others to ask, in a small ring,
/// gives a suspect more time.
fn length(timing: &Timing, living: usize, confirmations: usize) -> Duration {
    let needed = confirmations_needed(timing, living);
    let wanted = timing.suspicion_confirmations;
    let lacking = if wanted == 0 {
        0.0
    } else {
        1.0 - needed as f64 / wanted as f64
    };
    let shortest = timing
        .period
        .mul_f64(timing.suspicion_periods * (1.0 + lacking));
    if confirmations >= needed {
        return shortest;
    }
    let scale = if timing.suspicion_scaled {
        libm::log10(living as f64).max(1.0)
    } else {
        1.0
    };
    let longest = timing
        .period
        .mul_f64(timing.suspicion_periods * timing.suspicion_stretch * scale);
    let share = libm::log(confirmations as f64 + 1.0) / libm::log(needed as f64 + 1.0);
    longest.saturating_sub(longest.saturating_sub(shortest).mul_f64(share))
}

/// Sets the timer that has a suspect asked for its last word, early enough for the answer to come before
/// the suspicion is over.
fn ask_before(env: &mut Env, key: RowKey, over: Time, last: Duration) -> TimerKey {
    let ask = (over - last).max(env.now);
    env.timers.insert(ask, Timer::SuspicionDue(key))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id, ring_of};
    use super::*;

    /// A ring of so many, of which the last is Suspect.
    fn suspecting(living: u8) -> (Env, Table, Suspicions, RowKey) {
        let mut env = env();
        let mut table = ring_of(&mut env, living);
        let key = table.find(&id(living)).unwrap();
        let mut suspicions = Suspicions::new();
        table.get_mut(key).unwrap().health = Health::Suspect;
        suspicions.begin(&mut env, &mut table, &Timing::lan(), key);
        (env, table, suspicions, key)
    }

    fn over(table: &Table, suspicions: &Suspicions, key: RowKey) -> Time {
        suspicions.of(table.get(key).unwrap()).unwrap().over()
    }

    /// The member with this number accuses the one in the row.
    fn accuse(
        env: &mut Env,
        table: &Table,
        suspicions: &mut Suspicions,
        key: RowKey,
        accuser: u8,
        evidence: Evidence,
    ) -> Accused {
        suspicions.accuse(env, table, &Timing::lan(), key, id(accuser), evidence)
    }

    #[test]
    fn each_further_accuser_shortens_a_suspicion_and_is_news() {
        let timing = Timing::lan();
        let (mut env, table, mut suspicions, key) = suspecting(20);
        assert!(
            accuse(&mut env, &table, &mut suspicions, key, 1, Evidence::Silent) != Accused::Sooner,
            "the first"
        );
        let mut before = over(&table, &suspicions, key);
        for accuser in 2..2 + timing.suspicion_confirmations as u8 {
            assert_eq!(
                accuse(
                    &mut env,
                    &table,
                    &mut suspicions,
                    key,
                    accuser,
                    Evidence::Silent
                ),
                Accused::Sooner
            );
            assert!(
                accuse(
                    &mut env,
                    &table,
                    &mut suspicions,
                    key,
                    accuser,
                    Evidence::Silent
                ) != Accused::Sooner,
                "again"
            );
            let now = over(&table, &suspicions, key);
            assert!(now < before, "accuser {accuser}");
            before = now;
        }
        assert!(
            accuse(&mut env, &table, &mut suspicions, key, 19, Evidence::Silent) != Accused::Sooner,
            "one more than needed"
        );
        assert!(
            accuse(&mut env, &table, &mut suspicions, key, 20, Evidence::Silent) != Accused::Sooner,
            "itself"
        );
    }

    #[test]
    fn refusals_of_enough_members_make_a_suspicion_as_short_as_it_gets() {
        let timing = Timing::lan();
        for (living, enough) in [(2, 1), (3, 2), (4, 3), (5, 4), (50, 4)] {
            let (mut env, table, mut suspicions, key) = suspecting(living);
            let began = env.now;
            let length = |suspicions: &Suspicions| over(&table, suspicions, key).since(began);
            // Those that were not refused make room for those that were.
            for accuser in 40..44 {
                accuse(
                    &mut env,
                    &table,
                    &mut suspicions,
                    key,
                    accuser,
                    Evidence::Silent,
                );
            }
            for accuser in 1..=enough {
                assert!(length(&suspicions) > timing.refused_suspicion);
                let before = suspicions.of(table.get(key).unwrap()).unwrap().refusals();
                let accused = accuse(
                    &mut env,
                    &table,
                    &mut suspicions,
                    key,
                    60 + accuser,
                    Evidence::Refused,
                );
                assert_eq!(accused, Accused::Sooner);
                let after = suspicions.of(table.get(key).unwrap()).unwrap().refusals();
                assert_eq!(after.count_ones(), before.count_ones() + 1);
            }
            assert_eq!(
                length(&suspicions),
                timing.refused_suspicion,
                "{living} members"
            );
            let again = accuse(
                &mut env,
                &table,
                &mut suspicions,
                key,
                61,
                Evidence::Refused,
            );
            assert_eq!(again, Accused::Before);
            let itself = accuse(
                &mut env,
                &table,
                &mut suspicions,
                key,
                living,
                Evidence::Refused,
            );
            assert_eq!(itself, Accused::Before);
        }
    }

    #[test]
    fn an_accuser_may_be_refused_later() {
        let timing = Timing::lan();
        let (mut env, table, mut suspicions, key) = suspecting(50);
        let row = table.get(key).unwrap();
        accuse(&mut env, &table, &mut suspicions, key, 1, Evidence::Silent);
        assert!(
            !suspicions.wants_refusal(&table, &timing, row),
            "nobody was refused"
        );
        accuse(&mut env, &table, &mut suspicions, key, 2, Evidence::Refused);
        assert!(suspicions.wants_refusal(&table, &timing, row));
        let refused = accuse(&mut env, &table, &mut suspicions, key, 1, Evidence::Refused);
        assert_eq!(refused, Accused::Sooner);
        let suspicion = suspicions.of(row).unwrap();
        assert!(suspicion.is_refused_by(&id(1)) && suspicion.is_refused_by(&id(2)));
        assert_eq!(suspicion.accusers(), [id(1), id(2)]);
        assert!(
            !suspicions.wants_refusal(&table, &timing, row),
            "this member was"
        );
    }

    #[test]
    fn a_suspect_is_asked_for_its_last_word_before_it_is_confirmed() {
        let timing = Timing::lan();
        let (mut env, mut table, mut suspicions, key) = suspecting(5);
        assert!(suspicions.wants_witness(&table, &timing, key));
        let due = suspicions.due(&mut env, &table, &timing, key, 7);
        assert_eq!(due, Due::LastWord { number: 7 });
        assert!(!suspicions.wants_witness(&table, &timing, key));
        assert_eq!(
            over(&table, &suspicions, key),
            env.now + timing.verdict_timeout
        );
        let due = suspicions.due(&mut env, &table, &timing, key, 8);
        assert_eq!(due, Due::Confirm);
        table.get_mut(key).unwrap().health = Health::Alive;
        let due = suspicions.due(&mut env, &table, &timing, key, 9);
        assert_eq!(due, Due::Nothing);
    }

    #[test]
    fn others_are_asked_for_so_many_last_words_in_a_period() {
        let mut suspicions = Suspicions::new();
        for _ in 0..2 {
            let asked = (0..100).filter(|_| suspicions.may_ask_others()).count();
            assert_eq!(asked, MAX_LAST_WORDS);
            suspicions.begin_period();
        }
    }
}
