//! How many bytes the answers to a message may have: three times its own, until its source is proved.

use crate::limits::{DATAGRAM_HEADERS, STRANGER_AMPLIFICATION};

pub(super) struct Budget {
    /// Bytes of the message.
    bytes: usize,
    /// Bytes that its answers may have in sum.
    allowance: usize,
    /// The same, headers included.
    on_the_wire: usize,
    /// Of those, put aside for the question that has its sender prove its address.
    pub reserved: usize,
    /// Bytes that the envelope takes in an answer.
    pub overhead: usize,
}

impl Budget {
    /// That of a message of so many bytes whose source is not proved.
    #[inline]
    pub fn of_stranger(bytes: usize, overhead: usize) -> Self {
        Budget {
            bytes,
            allowance: STRANGER_AMPLIFICATION * bytes,
            on_the_wire: STRANGER_AMPLIFICATION * (bytes + DATAGRAM_HEADERS),
            reserved: 0,
            overhead,
        }
    }

    /// That of a message whose source is proved: its answers may have any size.
    #[inline]
    pub fn unlimited(bytes: usize, overhead: usize) -> Self {
        Budget {
            bytes,
            allowance: usize::MAX,
            on_the_wire: usize::MAX,
            reserved: 0,
            overhead,
        }
    }

    /// The source is proved.
    pub fn lift(&mut self) {
        (self.allowance, self.on_the_wire) = (usize::MAX, usize::MAX);
    }

    /// The source counts as a stranger's after all.
    pub fn restrict(&mut self) {
        *self = Budget::of_stranger(self.bytes, self.overhead);
    }

    /// Takes up to `bytes`; 0: there is nothing left worth sending.
    pub fn spend(&mut self, bytes: usize) -> usize {
        let granted = bytes.min(self.room());
        if granted > 0 {
            self.allowance -= granted;
            self.on_the_wire -= granted + DATAGRAM_HEADERS;
        }
        granted
    }

    /// Puts aside what a question needs, if there is as much.
    pub fn reserve(&mut self, question: usize) {
        self.reserved = if question > self.room() {
            0
        } else {
            self.spend(question)
        };
    }

    /// The same, if an answer fits beside it.
    pub fn reserve_beside(&mut self, question: usize, answer: usize) {
        let both = question + answer;
        if both <= self.allowance && both + 2 * DATAGRAM_HEADERS <= self.on_the_wire {
            self.reserved = self.spend(question);
        }
    }

    /// Bytes that one more answer may have.
    fn room(&self) -> usize {
        let with_headers = self.on_the_wire.saturating_sub(DATAGRAM_HEADERS);
        self.allowance.min(with_headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_answered_with_three_times_its_bytes_headers_included() {
        let mut budget = Budget::of_stranger(100, 0);
        assert_eq!(budget.spend(usize::MAX), 300);
        assert_eq!(budget.spend(1), 0);
        // Many small answers take as many headers.
        let mut budget = Budget::of_stranger(100, 0);
        let answers = (0..1_000).filter(|_| budget.spend(1) > 0).count();
        let on_the_wire = 3 * (100 + DATAGRAM_HEADERS);
        assert_eq!(answers, on_the_wire / (1 + DATAGRAM_HEADERS));
        budget.lift();
        assert_eq!(budget.spend(10_000), 10_000);
        budget.restrict();
        assert_eq!(budget.spend(10_000), 300);
    }

    #[test]
    fn a_question_is_put_aside_whole_or_not_at_all() {
        let mut budget = Budget::of_stranger(50, 0);
        budget.reserve(151);
        assert_eq!(budget.reserved, 0);
        budget.reserve_beside(100, 51);
        assert_eq!(budget.reserved, 0, "no answer fits beside it");
        budget.reserve_beside(100, 50);
        assert_eq!(budget.reserved, 100);
        assert_eq!(budget.spend(usize::MAX), 50);
    }
}
