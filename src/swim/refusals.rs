//! Refusals: numbers of pings of which a member's system may say that nobody listens there, what is asked of others about
//! such a member, and which refusals were refuted.

use std::net::SocketAddr;
use std::time::Duration;

use super::news::RowKey;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::growth;
use crate::limits::{
    MAX_HELPER_REPORTS, MAX_INQUIRIES, MAX_NUMBERS, MAX_REFUTED_REFUSALS, REFUTED_MEMORY,
};
use crate::member::{Incarnation, MemberId};
use crate::stats::Gauge;
use crate::time::Time;
use crate::timer::TimerKey;

/// If not all that were asked were refused, an answer may be on its way through one of them: this is waited for it, and twice
/// as long as the first of them took to say that it was refused.
const REPORTS_WAIT: Duration = Duration::from_millis(20);

/// A hint may come before the socket is closed, and a ping be lost: so long after it others follow.
const FIRST_HINTED_PING: Duration = Duration::from_millis(10);
const HINTED_PINGS: [Duration; 3] = [
    FIRST_HINTED_PING,
    Duration::from_millis(50),
    Duration::from_millis(150),
];

/// Others are asked again after this, while none of them was refused.
const ASKED_AGAIN: Duration = Duration::from_millis(50);

/// How often others are asked.
const ROUNDS: u8 = 8;

/// Why a ping was sent, outside of probes and inquiries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// This member asked for it.
    For {
        asker: MemberId,
        row: RowKey,
        at: SocketAddr,
    },
    /// Others were refused, and this member sees for itself.
    Witness,
}

/// A ping that may be refused.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Outstanding {
    pub number: u64,
    pub to: SocketAddr,
    pub target: MemberId,
    pub why: Why,
    pub incarnation: Incarnation,
    at: Time,
    refused: bool,
}

/// Why a member is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    Refusal,
    Hint,
}

/// What a member is asked about of which there was a hint, or that refused a probe.
#[derive(Clone, Debug, Hash)]
pub(super) struct Inquiry {
    pub target: MemberId,
    pub number: u64,
    /// Its incarnation when this began.
    pub incarnation: Incarnation,
    began: Time,
    /// Pings that were sent because of a hint; `None`: a probe's is enough.
    hinted: Option<u8>,
    refused: Option<Time>,
    helpers: Helpers,
    answered: bool,
    /// It answered, or it was accused.
    settled: bool,
    timer: TimerKey,
}

/// Those that were asked.
#[derive(Clone, Debug, Hash)]
struct Helpers {
    /// How many members of ours, in so many rounds.
    asked: usize,
    rounds: u8,
    asked_at: Time,
    /// How long the first report took.
    first_in: Duration,
    /// Those that were refused, too.
    reports: [MemberId; MAX_HELPER_REPORTS],
    reported: usize,
}

/// What is to be done about an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Ping it again.
    Ping,
    /// Ask others.
    AskOthers,
    /// Accuse it.
    Accuse,
    /// It was accused: this one is one more that was refused.
    AccuseToo,
    /// It is over.
    End,
}

impl Inquiry {
    /// Those that were refused, too.
    pub fn reports(&self) -> &[MemberId] {
        self.helpers
            .reports
            .get(..self.helpers.reported)
            .unwrap_or_default()
    }

    /// How long an answer is waited for, once there is a report.
    fn waits(&self) -> Duration {
        REPORTS_WAIT + self.helpers.first_in * 2
    }

    /// Whether enough others were refused. Where nobody else could say so, the own refusal is enough.
    fn is_sure(&self, now: Time, others: usize) -> bool {
        let Some(since) = self.refused else {
            return false;
        };
        let all = self.helpers.reported >= self.helpers.asked.min(MAX_HELPER_REPORTS);
        others == 0 || self.helpers.reported > 0 && (all || now.since(since) >= self.waits())
    }
}

#[derive(Default, Hash)]
pub(super) struct Refusals {
    outstanding: Vec<Outstanding>,
    inquiries: Vec<Inquiry>,
    /// Members whose refusals an Ack refuted, and when.
    refuted: Vec<(MemberId, Time)>,
    /// Pings out of turn in this period.
    witnessed: usize,
    /// Members whose ports are to be tested.
    tests: Vec<MemberId>,
}

impl Refusals {
    pub fn sizes(&self) -> [Gauge; 4] {
        [
            Gauge::new("numbers_outstanding", self.outstanding.len(), MAX_NUMBERS),
            Gauge::new("inquiries", self.inquiries.len(), MAX_INQUIRIES),
            Gauge::new("port_tests", self.tests.len(), MAX_INQUIRIES),
            Gauge::new("refuted_refusals", self.refuted.len(), MAX_REFUTED_REFUSALS),
        ]
    }

    pub fn begin_period(&mut self, now: Time, timing: &Timing) {
        self.witnessed = 0;
        if self.outstanding.is_empty() && self.refuted.is_empty() {
            return;
        }
        let fresh = timing.period * 2;
        self.outstanding.retain(|ping| now.since(ping.at) < fresh);
        self.refuted
            .retain(|(_, at)| now.since(*at) < REFUTED_MEMORY);
        growth::slim_list(&mut self.outstanding);
        growth::slim_list(&mut self.refuted);
    }

    /// The port of this member is to be tested.
    pub fn test(&mut self, id: MemberId) {
        if self.tests.len() < MAX_INQUIRIES && !self.tests.contains(&id) {
            self.tests.push(id);
        }
    }

    pub fn next_test(&mut self) -> Option<MemberId> {
        self.tests.pop()
    }

    /// Whether one more suspect may be pinged out of turn in this period, which is then counted.
    pub fn may_witness(&mut self) -> bool {
        let may = self.witnessed < MAX_INQUIRIES;
        self.witnessed += usize::from(may);
        may
    }

    /// A ping with this number leaves.
    pub fn sent(&mut self, now: Time, ping: (u64, SocketAddr, MemberId, Incarnation), why: Why) {
        let (number, to, target, incarnation) = ping;
        if self.outstanding.len() >= MAX_NUMBERS {
            self.outstanding.remove(0);
        }
        self.outstanding.push(Outstanding {
            number,
            to,
            target,
            why,
            incarnation,
            at: now,
            refused: false,
        });
    }

    /// The ping with this number, sent there, is refused, for the first time.
    pub fn take(&mut self, number: u64, to: SocketAddr) -> Option<Outstanding> {
        let is_it = |ping: &&mut Outstanding| ping.number == number && ping.to == to;
        let ping = self.outstanding.iter_mut().find(is_it)?;
        (!std::mem::replace(&mut ping.refused, true)).then_some(*ping)
    }

    /// Whether refusals of this member say nothing, as it answered though it was refused.
    pub fn is_refuted(&self, id: &MemberId) -> bool {
        self.refuted.iter().any(|(refuted, _)| refuted == id)
    }

    /// This member lives, though its system refused pings.
    pub fn refute(&mut self, now: Time, id: MemberId) {
        self.refuted.retain(|(refuted, _)| *refuted != id);
        if self.refuted.len() >= MAX_REFUTED_REFUSALS {
            self.refuted.remove(0);
        }
        self.refuted.push((id, now));
    }

    /// It died, or moved: what was known of its refusals is past.
    pub fn forget(&mut self, id: &MemberId) {
        self.refuted.retain(|(refuted, _)| refuted != id);
    }

    /// It answered with this number. Whether it was refused before, at this incarnation.
    pub fn answered(&mut self, id: &MemberId, number: u64, incarnation: Incarnation) -> bool {
        let mut refuted = false;
        self.outstanding.retain(|ping| {
            let is_it = ping.number == number && ping.target == *id;
            refuted |= is_it && ping.refused && ping.incarnation == incarnation;
            !is_it
        });
        let is_it = |inquiry: &&mut Inquiry| inquiry.number == number && inquiry.target == *id;
        if let Some(inquiry) = self.inquiries.iter_mut().find(is_it) {
            refuted |= inquiry.refused.is_some() && inquiry.incarnation == incarnation;
            (inquiry.settled, inquiry.answered) = (true, true);
        }
        refuted
    }

    /// Nothing is awaited.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.outstanding.is_empty() && self.inquiries.is_empty()
    }

    /// Whether this member was refused a moment ago by one that has not answered since.
    pub fn was_refused(&self, id: &MemberId) -> bool {
        let mut about = self.inquiries.iter().filter(|one| one.target == *id);
        about.any(|one| one.refused.is_some() && !one.answered)
    }

    /// Begins to ask about a member, unless that is going on; whether it began.
    pub fn begin(
        &mut self,
        env: &mut Env,
        target: MemberId,
        number: u64,
        incarnation: Incarnation,
        occasion: Occasion,
    ) -> bool {
        let goes_on = |one: &Inquiry| {
            one.target == target && (occasion == Occasion::Hint || one.number == number)
        };
        if self.inquiries.len() >= MAX_INQUIRIES || self.inquiries.iter().any(goes_on) {
            return false;
        }
        let first = env.now + FIRST_HINTED_PING;
        self.inquiries.push(Inquiry {
            target,
            number,
            incarnation,
            began: env.now,
            hinted: (occasion == Occasion::Hint).then_some(0),
            refused: None,
            helpers: Helpers {
                asked: 0,
                rounds: 0,
                asked_at: env.now,
                first_in: Duration::ZERO,
                reports: [MemberId::from_bytes([0; 16]); MAX_HELPER_REPORTS],
                reported: 0,
            },
            answered: false,
            settled: false,
            timer: env.timers.insert(first, Timer::InquiryDue(number as u32)),
        });
        true
    }

    pub fn inquiry(&self, number: u64) -> Option<&Inquiry> {
        self.inquiries.iter().find(|one| one.number == number)
    }

    fn inquiry_mut(&mut self, number: u64) -> Option<&mut Inquiry> {
        self.inquiries.iter_mut().find(|one| one.number == number)
    }

    /// The member's system refuses the ping with this number: whether that is new.
    pub fn refused(&mut self, env: &mut Env, number: u64) -> bool {
        let now = env.now;
        let Some(inquiry) = self.inquiry_mut(number) else {
            return false;
        };
        if inquiry.settled || inquiry.refused.is_some() {
            return false;
        }
        inquiry.refused = Some(now);
        wake(env, inquiry, now + REPORTS_WAIT);
        true
    }

    /// So many members of ours were asked.
    pub fn asked(&mut self, now: Time, number: u64, helpers: usize) {
        if let Some(inquiry) = self.inquiry_mut(number) {
            inquiry.helpers.asked += helpers;
            inquiry.helpers.rounds += 1;
            inquiry.helpers.asked_at = now;
        }
    }

    /// A helper was refused, too. What follows, where so many `others` could be.
    pub fn reported(
        &mut self,
        env: &mut Env,
        number: u64,
        helper: MemberId,
        others: usize,
    ) -> Step {
        let now = env.now;
        let Some(inquiry) = self.inquiry_mut(number).filter(|one| !one.answered) else {
            return Step::Nothing;
        };
        if inquiry.reports().contains(&helper) || helper == inquiry.target {
            return Step::Nothing;
        }
        if inquiry.helpers.reported == 0 {
            inquiry.helpers.first_in = now.since(inquiry.helpers.asked_at);
        }
        if let Some(next) = inquiry.helpers.reports.get_mut(inquiry.helpers.reported) {
            *next = helper;
            inquiry.helpers.reported += 1;
        }
        if inquiry.settled {
            return Step::AccuseToo;
        }
        if let Some(since) = inquiry.refused {
            wake(env, inquiry, (since + inquiry.waits()).max(now));
        }
        step_if_sure(inquiry, now, others)
    }

    /// Whether there is enough to accuse it now.
    pub fn may_accuse(&mut self, now: Time, number: u64, others: usize) -> Step {
        match self.inquiry_mut(number).filter(|one| !one.settled) {
            Some(inquiry) => step_if_sure(inquiry, now, others),
            None => Step::Nothing,
        }
    }

    /// Its time has come.
    pub fn due(&mut self, env: &mut Env, timing: &Timing, number: u64, others: usize) -> Step {
        let end = timing.period;
        let Some(inquiry) = self.inquiry_mut(number) else {
            return Step::Nothing;
        };
        let (now, lasts) = (env.now, env.now.since(inquiry.began));
        let over = inquiry.began + end;
        if lasts >= end {
            self.inquiries.retain(|one| one.number != number);
            growth::slim_list(&mut self.inquiries);
            return Step::End;
        }
        if inquiry.settled {
            wake(env, inquiry, over);
            return Step::Nothing;
        }
        if inquiry.refused.is_some() {
            let step = step_if_sure(inquiry, now, others);
            if step == Step::Nothing
                && inquiry.helpers.rounds < ROUNDS
                && inquiry.helpers.reported == 0
            {
                wake(env, inquiry, (now + ASKED_AGAIN).min(over));
                return Step::AskOthers;
            }
            wake(env, inquiry, over);
            return step;
        }
        let Some(sent) = inquiry.hinted else {
            wake(env, inquiry, over);
            return Step::Nothing;
        };
        let next = HINTED_PINGS.get(usize::from(sent) + 1);
        let at = next.map_or(over, |next| inquiry.began + *next);
        let pings = usize::from(sent) < HINTED_PINGS.len();
        inquiry.hinted = Some(sent.saturating_add(1));
        wake(env, inquiry, at.max(now));
        if pings { Step::Ping } else { Step::Nothing }
    }
}

fn step_if_sure(inquiry: &mut Inquiry, now: Time, others: usize) -> Step {
    if inquiry.is_sure(now, others) {
        inquiry.settled = true;
        return Step::Accuse;
    }
    Step::Nothing
}

fn wake(env: &mut Env, inquiry: &mut Inquiry, at: Time) {
    env.timers.cancel(inquiry.timer);
    inquiry.timer = env
        .timers
        .insert(at, Timer::InquiryDue(inquiry.number as u32));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id};
    use super::*;

    const THERE: &str = "10.0.0.2:1";

    fn there() -> SocketAddr {
        THERE.parse().unwrap()
    }

    /// An inquiry about the second member, with number 7.
    fn inquiry(env: &mut Env, occasion: Occasion) -> Refusals {
        let mut refusals = Refusals::default();
        assert!(refusals.begin(env, id(2), 7, Incarnation::ZERO, occasion));
        refusals
    }

    /// What is done about it, and when: milliseconds since it began.
    fn steps(env: &mut Env, refusals: &mut Refusals, others: usize) -> Vec<(u64, Step)> {
        let (start, timing) = (env.now, Timing::lan());
        let mut steps = Vec::new();
        while let Some(next) = env.timers.next_deadline() {
            env.now = next;
            while let Some((_, timer)) = env.timers.pop(next) {
                assert_eq!(timer, Timer::InquiryDue(7));
                let step = refusals.due(env, &timing, 7, others);
                if step != Step::Nothing {
                    steps.push((env.now.since(start).as_millis() as u64, step));
                }
                if step == Step::AskOthers {
                    refusals.asked(env.now, 7, 6);
                }
            }
        }
        steps
    }

    #[test]
    fn a_member_of_which_there_is_a_hint_is_pinged_three_times_more() {
        let mut env = env();
        let mut refusals = inquiry(&mut env, Occasion::Hint);
        assert!(
            !refusals.begin(&mut env, id(2), 8, Incarnation::ZERO, Occasion::Hint),
            "it goes on"
        );
        let pings = [10, 50, 150].map(|at| (at, Step::Ping)).into_iter();
        let all: Vec<_> = pings.chain([(1_000, Step::End)]).collect();
        assert_eq!(steps(&mut env, &mut refusals, 3), all);
        assert!(refusals.is_idle());
        // Once it answers, it has its peace.
        let mut refusals = inquiry(&mut env, Occasion::Hint);
        assert!(!refusals.answered(&id(2), 8, Incarnation::ZERO));
        assert!(
            !refusals.answered(&id(2), 7, Incarnation::ZERO),
            "it was not refused"
        );
        assert_eq!(steps(&mut env, &mut refusals, 3), [(1_000, Step::End)]);
    }

    #[test]
    fn it_is_accused_when_all_that_were_asked_are_refused_or_some_after_a_while() {
        for (asked, reports, later, step) in [
            (2, 2, 0, Step::Accuse),
            (6, 2, 0, Step::Nothing),
            (6, 6, 0, Step::Accuse),
            (6, 5, 0, Step::Nothing),
            (6, 1, 20, Step::Nothing),
            (0, 1, 0, Step::Accuse),
        ] {
            let mut env = env();
            let mut refusals = inquiry(&mut env, Occasion::Refusal);
            assert!(refusals.refused(&mut env, 7));
            assert!(!refusals.refused(&mut env, 7), "once");
            refusals.asked(env.now, 7, asked);
            assert_eq!(refusals.may_accuse(env.now, 7, 3), Step::Nothing);
            env.now += Duration::from_millis(later);
            let all = (0..reports).map(|helper| refusals.reported(&mut env, 7, id(10 + helper), 3));
            assert_eq!(all.last(), Some(step), "{reports} of {asked}");
            if step == Step::Accuse {
                let one_more = refusals.reported(&mut env, 7, id(30), 3);
                assert_eq!(one_more, Step::AccuseToo);
            }
        }
    }

    #[test]
    fn an_answer_is_waited_for_twice_as_long_as_the_first_report_took() {
        for (took, waits) in [(3, 26), (30, 80)] {
            let mut env = env();
            let mut refusals = inquiry(&mut env, Occasion::Refusal);
            refusals.refused(&mut env, 7);
            refusals.asked(env.now, 7, 6);
            let start = env.now;
            env.now += Duration::from_millis(took);
            assert_eq!(refusals.reported(&mut env, 7, id(10), 3), Step::Nothing);
            let at = steps(&mut env, &mut refusals, 3);
            let accused = at.iter().find(|(_, step)| *step == Step::Accuse).unwrap();
            assert_eq!(accused.0 + took, waits);
            assert!(env.now > start);
        }
    }

    #[test]
    fn nobody_is_accused_on_the_word_of_others_alone() {
        let mut env = env();
        let mut refusals = inquiry(&mut env, Occasion::Hint);
        refusals.asked(env.now, 7, 1);
        env.now += Duration::from_millis(100);
        assert_eq!(refusals.reported(&mut env, 7, id(3), 3), Step::Nothing);
        assert!(refusals.refused(&mut env, 7));
        assert_eq!(
            refusals.reported(&mut env, 7, id(3), 3),
            Step::Nothing,
            "again"
        );
        assert_eq!(refusals.may_accuse(env.now, 7, 3), Step::Accuse);
        // Where there are no others, the own refusal is enough.
        let mut alone = inquiry(&mut env, Occasion::Refusal);
        assert!(alone.refused(&mut env, 7));
        assert_eq!(alone.may_accuse(env.now, 7, 0), Step::Accuse);
    }

    #[test]
    fn others_are_asked_again_while_none_of_them_is_refused() {
        let mut env = env();
        let mut refusals = inquiry(&mut env, Occasion::Refusal);
        refusals.refused(&mut env, 7);
        refusals.asked(env.now, 7, 6);
        let asked = (0..7).map(|round| (20 + 50 * round, Step::AskOthers));
        let all: Vec<_> = asked.chain([(1_000, Step::End)]).collect();
        assert_eq!(steps(&mut env, &mut refusals, 3), all);
    }

    #[test]
    fn an_answer_is_worth_more_than_all_refusals_and_remembered() {
        let mut env = env();
        let mut refusals = inquiry(&mut env, Occasion::Refusal);
        refusals.refused(&mut env, 7);
        refusals.asked(env.now, 7, 2);
        assert!(refusals.was_refused(&id(2)));
        refusals.reported(&mut env, 7, id(3), 3);
        assert!(refusals.answered(&id(2), 7, Incarnation::ZERO));
        assert!(!refusals.was_refused(&id(2)));
        assert_eq!(refusals.reported(&mut env, 7, id(4), 3), Step::Nothing);
        // One that started again is another process than the one that was gone.
        let mut restarted = inquiry(&mut env, Occasion::Refusal);
        restarted.refused(&mut env, 7);
        assert!(!restarted.answered(&id(2), 7, Incarnation::ZERO.next()));
    }

    #[test]
    fn refuted_refusals_are_forgotten_after_ten_minutes_or_when_the_member_dies() {
        let timing = Timing::lan();
        let start = Time::from_millis(1_000_000);
        let mut refusals = Refusals::default();
        refusals.refute(start, id(2));
        refusals.begin_period(start + Duration::from_secs(599), &timing);
        assert!(refusals.is_refuted(&id(2)) && !refusals.is_refuted(&id(3)));
        refusals.begin_period(start + REFUTED_MEMORY, &timing);
        assert!(!refusals.is_refuted(&id(2)));
        refusals.refute(start, id(2));
        refusals.forget(&id(2));
        assert!(!refusals.is_refuted(&id(2)));
        for number in 0..=255 {
            refusals.refute(start, id(number));
        }
        refusals.refute(start, MemberId::from_bytes([1; 16]));
        let most = refusals.sizes().map(|gauge| gauge.now <= gauge.most);
        assert_eq!(most, [true; 4]);
    }

    #[test]
    fn a_ping_is_refused_once_at_its_address_while_it_is_fresh() {
        let timing = Timing::lan();
        let start = Time::from_millis(1_000_000);
        let mut refusals = Refusals::default();
        let ping = (9, there(), id(2), Incarnation::ZERO);
        refusals.sent(start, ping, Why::Witness);
        assert!(refusals.take(8, there()).is_none());
        assert!(refusals.take(9, "10.0.0.2:2".parse().unwrap()).is_none());
        assert!(refusals.take(9, there()).is_some());
        assert!(refusals.take(9, there()).is_none(), "again");
        assert!(refusals.answered(&id(2), 9, Incarnation::ZERO));
        refusals.sent(start, ping, Why::Witness);
        refusals.begin_period(start + timing.period * 2, &timing);
        assert!(refusals.take(9, there()).is_none(), "too late");
        // As many as there may be.
        for number in 0..100 {
            refusals.sent(
                start,
                (number, there(), id(2), Incarnation::ZERO),
                Why::Witness,
            );
        }
        assert_eq!(refusals.sizes()[0].now, MAX_NUMBERS as u64);
        assert!(refusals.take(99, there()).is_some() && refusals.take(0, there()).is_none());
    }
}
