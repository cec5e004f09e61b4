//! What tells a datagram on a sealed ring from one that was recorded (PROTOCOL.md §2, "Replay"): whom it is for,
//! within the seal, and in its nonce which of its sender's datagrams it is.

use super::envelope::NONCE;
use super::field::Writer;
use crate::member::MemberId;

/// The tag of `Swim.stamp`.
pub(super) const STAMP: [u8; 2] = [0xf2, 0x06];
/// Its number.
pub(super) const STAMP_FIELD: u32 = 110;
/// Bytes of an id in it.
const ID: usize = 8;

/// Bytes that [`Stamp::append`] adds at most.
pub const STAMP_BYTES: usize = STAMP.len() + 1 + ID;

/// Whom a message is for. That there is one says that its nonce begins with a [`Serial`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Whoever is at the address.
    Anyone,
    /// The member with this end of its id.
    For([u8; ID]),
}

impl Stamp {
    /// For this member; `None`: its sender knows an address only.
    #[inline]
    pub fn of(receiver: Option<MemberId>) -> Self {
        receiver.map_or(Stamp::Anyone, |id| Stamp::For(end_of(&id)))
    }

    /// Whether a member with this id may be meant.
    #[inline]
    pub fn fits(self, id: &MemberId) -> bool {
        match self {
            Stamp::Anyone => true,
            Stamp::For(end) => end == end_of(id),
        }
    }

    /// What the field says. More than an id is a later version's; what is too short for one is for nobody.
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut end = [0; ID];
        match (bytes, bytes.first_chunk()) {
            ([], _) => return Stamp::Anyone,
            (_, Some(id)) => end = *id,
            (short, None) => {
                for (place, byte) in end.iter_mut().zip(short) {
                    *place = *byte;
                }
            }
        }
        Stamp::For(end)
    }

    /// Appends it to the message that takes the first `len` bytes of `buf`, where it has room; the length then.
    #[inline]
    pub fn append(self, buf: &mut [u8], len: usize) -> usize {
        let mut out = Writer::new(buf, len);
        out.bytes(&STAMP);
        match self {
            Stamp::Anyone => out.byte(0),
            Stamp::For(end) => {
                out.byte(ID as u8);
                out.bytes(&end);
            }
        }
        out.at()
    }
}

#[inline]
fn end_of(id: &MemberId) -> [u8; ID] {
    let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Which of its sender's datagrams one is: the start of its nonce, which the seal proves with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    /// When its sender started, in milliseconds since 1970: at most [`Serial::MOST`]. 0: it has no serial number.
    pub epoch: u64,
    /// Counts its sender's datagrams since then: at most [`Serial::MOST`].
    pub number: u64,
}

/// Bytes of each of the two.
const PART: usize = 6;

impl Serial {
    /// The highest epoch and number.
    pub const MOST: u64 = (1 << (8 * PART)) - 1;
    /// Of a datagram without a stamp.
    pub const NONE: Serial = Serial {
        epoch: 0,
        number: 0,
    };

    /// The nonce of that datagram; the rest of it is random, so that no two of a ring are the same.
    #[inline]
    pub fn nonce(self, rest: [u8; NONCE - 2 * PART]) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        let (epoch, number) = (self.epoch.to_be_bytes(), self.number.to_be_bytes());
        nonce[..PART].copy_from_slice(&epoch[8 - PART..]);
        nonce[PART..2 * PART].copy_from_slice(&number[8 - PART..]);
        nonce[2 * PART..].copy_from_slice(&rest);
        nonce
    }

    /// The start of the nonce of a datagram with a stamp.
    #[inline]
    pub fn of(nonce: &[u8; NONCE]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *nonce;
        Serial {
            epoch: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            number: u64::from_be_bytes([0, 0, g, h, i, j, k, l]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_the_start_of_its_nonce() {
        for (epoch, number) in [(1, 2), (Serial::MOST, 0), (0x0123_4567_89ab, Serial::MOST)] {
            let serial = Serial { epoch, number };
            let nonce = serial.nonce([9; 12]);
            assert_eq!(Serial::of(&nonce), serial);
            assert_eq!(nonce[12..], [9; 12]);
        }
        let nonce = Serial {
            epoch: 1,
            number: 2,
        };
        assert_eq!(
            nonce.nonce([0; 12])[..12],
            [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
        );
    }

    #[test]
    fn a_stamp_is_for_the_member_that_it_names() {
        let id = |byte| MemberId::from_bytes([7, 7, 7, 7, 7, 7, 7, 7, 1, 1, 1, 1, 1, 1, 1, byte]);
        for receiver in [None, Some(id(1))] {
            let mut buf = [0; 20];
            let len = Stamp::of(receiver).append(&mut buf, 3);
            assert!(len <= 3 + STAMP_BYTES);
            assert_eq!(buf[..5], [0, 0, 0, STAMP[0], STAMP[1]]);
            let stamp = Stamp::read(&buf[6..len]);
            assert!(stamp.fits(&id(1)));
            assert_eq!(stamp.fits(&id(2)), receiver.is_none());
        }
    }

    #[test]
    fn a_longer_stamp_is_read_and_a_shorter_one_is_for_nobody() {
        let one = MemberId::from_bytes([1; 16]);
        assert!(Stamp::read(&[1; 8]).fits(&one));
        assert!(Stamp::read(&[1, 1, 1, 1, 1, 1, 1, 1, 5]).fits(&one));
        assert!(!Stamp::read(&[1; 7]).fits(&one));
    }
}
