//! Whether a message on a sealed ring is new, or may have been recorded (PROTOCOL.md §2, "Replay"): what `replay` finds
//! out of its serial number, and what its own number says.
//!
//! A message whose sender has yet to be heard in this life of its is answered, and its sender asked, as a stranger's
//! would be; nothing else comes of it until the sender has answered a number that was made up just now.

use super::Swim;
use super::incoming::Incoming;
use super::incoming::Way;
use super::replay::Heard;
use crate::env::Env;
use crate::error::Reject;
use crate::member::MemberId;
use crate::wire::{self, Serial, Stamp};

impl Swim {
    /// Whether a sealed message is new: what may have been recorded comes from nobody known.
    ///
    /// # Errors
    /// It came before, or is for another member.
    pub(super) fn judge(
        &self,
        incoming: &mut Incoming<'_>,
        swim: &wire::Swim<'_>,
        serial: Serial,
    ) -> Result<(), Reject> {
        let serial = match swim.stamp {
            None => Serial::NONE,
            Some(stamp) if !self.is_for_me(stamp) => {
                // Its own that comes back is no news.
                let mine = incoming.sender.id == self.id();
                return Err(if mine {
                    Reject::OwnId
                } else {
                    Reject::OtherReceiver
                });
            }
            Some(_) => serial,
        };
        let heard = match swim.stamp {
            // Others may have got the same.
            Some(Stamp::Anyone) => Heard::Perhaps,
            _ => self.trust.replay.judge(incoming.row, serial),
        };
        match heard {
            Heard::Again => return Err(Reject::Replayed),
            Heard::First => {}
            Heard::Perhaps => {
                (incoming.fresh, incoming.speaker.proved) = (false, false);
                incoming.speaker.budget.restrict();
            }
        }
        incoming.serial = Some(serial);
        Ok(())
    }

    /// What an Ack's number makes of it on a sealed ring: whether it is new after all.
    ///
    /// One that was passed on says nothing of when it was sent, but for its number: of the probe that waits, or of what
    /// others were asked beside it.
    pub(super) fn is_fresh_ack(
        &mut self,
        incoming: &mut Incoming<'_>,
        way: Way,
        number: u64,
    ) -> bool {
        let Some(serial) = incoming.serial else {
            return true;
        };
        if way == Way::Relayed {
            // The number in its nonce is the relay's.
            incoming.serial = None;
            incoming.fresh = self.is_awaited(incoming, number);
            return incoming.fresh;
        }
        if incoming.fresh {
            return true;
        }
        let later = self.trust.replay.is_later(incoming.row, serial);
        // An earlier life cannot have answered a question that was asked after the later one began to be heard.
        let asked_since = || {
            let turn = self.numbers.turn_of(number);
            self.trust.replay.began_before(incoming.row, turn)
        };
        let answers = incoming.answers.question && (later || asked_since())
            || later && self.answers_probe(&incoming.sender.id, number);
        if !answers {
            return false;
        }
        // It counts as it would have from the start.
        incoming.fresh = true;
        incoming.speaker.proved = incoming
            .row
            .is_some_and(|key| self.is_proved_home(incoming, key));
        if incoming.speaker.proved {
            incoming.speaker.budget.lift();
        }
        true
    }

    /// A relay passed on an Ack that is not new: it ends a probe that waits for one without a number, as peers send
    /// it, and does nothing else. One that came straight has its sender asked, unless it answered that just now.
    pub(super) fn on_stale_ack(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        way: Way,
        number: u64,
    ) {
        if way == Way::Relayed {
            if number == 0 {
                self.end_probe(env, incoming, way, number);
            }
        } else if !incoming.answers.question {
            self.ask_sender_of_ack(env, incoming);
        }
    }

    /// Whether a relayed Ack has a number that this member waits for.
    fn is_awaited(&self, incoming: &Incoming<'_>, number: u64) -> bool {
        let Some(key) = incoming.row.filter(|_| number != 0) else {
            return false;
        };
        let asked_beside = || {
            let row = self.table.get(key)?;
            let on_trial = self.checks.number(key);
            let last_word = self.suspicion(row).map(|suspicion| suspicion.number());
            Some(on_trial == Some(number) || last_word == Some(number))
        };
        self.answers_probe(&incoming.sender.id, number) || asked_beside().unwrap_or(false)
    }

    /// The serial number of a message that was heard is noted.
    #[inline]
    pub(super) fn note_serial(&mut self, incoming: &Incoming<'_>) {
        let Some(serial) = incoming.serial else {
            return;
        };
        let id = &incoming.sender.id;
        match incoming.row {
            _ if !incoming.fresh => self.trust.replay.note_early(id, serial),
            Some(key) => self.trust.replay.note(id, key, serial, self.numbers.turn()),
            None => {}
        }
    }

    /// Of a member that is known, all datagrams up to this one were heard.
    pub fn heard(&mut self, id: &MemberId, serial: Serial) {
        if let Some(key) = self.table.find(id) {
            self.trust.replay.note(id, key, serial, self.numbers.turn());
        }
    }
}
