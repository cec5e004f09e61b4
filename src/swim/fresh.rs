//! Whether a message on a sealed ring is new, or may have been recorded (PROTOCOL.md §2, "Replay"): what `replay` finds
//! out of its serial number, and what its own number says.
//!
//! A message whose sender has yet to be heard in this life of its is answered, and its sender asked, as a stranger's
//! would be; nothing else comes of it until the sender has answered a number that was made up just now.

use std::net::SocketAddr;

use super::incoming::{Incoming, allowances};
use super::news::RowKey;
use super::replay::{Heard, Turn};
use super::row::flag;
use super::{Row, Swim};
use crate::env::Env;
use crate::error::Reject;
use crate::member::MemberId;
use crate::wire::{self, STAMP_BYTES, Serial, Stamp};

impl Swim {
    /// Whether this member's datagrams are sealed from now on.
    pub fn set_sealed(&mut self, sealed: bool) {
        self.sealed = sealed;
    }

    /// Bytes of a datagram that its stamp takes.
    pub(super) fn stamp_bytes(&self) -> usize {
        if self.sealed { STAMP_BYTES } else { 0 }
    }

    /// The start of the next sealed datagram's nonce.
    #[inline]
    pub fn next_serial(&mut self) -> Serial {
        self.replay.next()
    }

    /// Says in the message at the start of `buf` whom it is for, if it is to be sealed; its length.
    #[inline]
    pub(super) fn stamped(&self, receiver: Option<MemberId>, buf: &mut [u8], len: usize) -> usize {
        if self.sealed {
            Stamp::of(receiver).append(buf, len)
        } else {
            len
        }
    }

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
            _ => self.replay.judge(incoming.row, serial),
        };
        match heard {
            Heard::Again => return Err(Reject::Replayed),
            Heard::First => {}
            Heard::Perhaps => {
                (incoming.fresh, incoming.proved) = (false, false);
                (incoming.allowance, incoming.on_the_wire) = allowances(incoming.bytes);
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
        passed_on: bool,
        number: u64,
    ) -> bool {
        let Some(serial) = incoming.serial else {
            return true;
        };
        if passed_on {
            // The number in its nonce is the relay's.
            incoming.serial = None;
            incoming.fresh = self.is_awaited(incoming, number);
            return incoming.fresh;
        }
        if incoming.fresh {
            return true;
        }
        let later = self.replay.is_later(incoming.row, serial);
        // An earlier life cannot have answered a question that was asked after the later one began to be heard.
        let asked_since = || {
            let turn = self.turn_of(number);
            self.replay.began_before(incoming.row, turn)
        };
        let answers = incoming.answers && (later || asked_since())
            || later && self.answers_probe(&incoming.sender.id, number);
        if !answers {
            return false;
        }
        // It counts as it would have from the start.
        incoming.fresh = true;
        incoming.proved = incoming
            .row
            .is_some_and(|key| self.is_proved_home(incoming, key));
        if incoming.proved {
            (incoming.allowance, incoming.on_the_wire) = (usize::MAX, usize::MAX);
        }
        true
    }

    /// A relay passed on an Ack that is not new: it ends a probe that waits for one without a number, as peers send
    /// it, and does nothing else. One that came straight has its sender asked, unless it answered that just now.
    pub(super) fn on_stale_ack(
        &mut self,
        env: &mut Env,
        incoming: &mut Incoming<'_>,
        passed_on: bool,
        number: u64,
    ) {
        if passed_on {
            if number == 0 {
                self.end_probe(env, incoming, true, number);
            }
        } else if !incoming.answers {
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
            let on_trial = self.verdicts.get(&key).map(|verdict| verdict.number());
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
            _ if !incoming.fresh => self.replay.note_early(id, serial),
            Some(key) => self.replay.note(id, key, serial, self.turn()),
            None => {}
        }
    }

    /// Of a member that is known, all datagrams up to this one were heard.
    pub fn heard(&mut self, id: &MemberId, serial: Serial) {
        if let Some(key) = self.table.find(id) {
            self.replay.note(id, key, serial, self.turn());
        }
    }

    /// Whether the member in this row once answered from there.
    #[inline]
    pub(super) fn is_proved_at(&self, key: RowKey, from: SocketAddr) -> bool {
        let proved = |row: &Row| row.has(flag::PROVED) && self.table.is_at(row, from);
        self.table.get(key).is_some_and(proved)
    }

    /// The stretch of time that this is: questions of the one before are still good.
    pub(super) fn turn(&self) -> Turn {
        /// Periods in it.
        const PERIODS: u32 = 16;
        self.periods / PERIODS
    }
}
