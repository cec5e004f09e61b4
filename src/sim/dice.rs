//! Chance as a function: what it is for and a number give the same every time, so that switching one fault
//! on or off shifts nothing of another.

use super::fault::Fault;

/// The network's randomness.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    seed: u64,
}

/// The randomness of one message, or of whatever else has a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roll {
    bits: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice { seed: mix(seed) }
    }

    /// The rolls for the message of this number.
    pub fn roll(self, number: u64) -> Roll {
        Roll {
            bits: mix(self.seed ^ number),
        }
    }
}

impl Roll {
    /// Sixty-four random bits for this fault.
    pub fn bits(self, fault: Fault) -> u64 {
        mix(self
            .bits
            .wrapping_add((fault as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A random number from 0 up to, but not, 1.
    pub fn share(self, fault: Fault) -> f64 {
        (self.bits(fault) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub fn hits(self, fault: Fault, probability: f64) -> bool {
        probability > 0.0 && self.share(fault) < probability
    }

    /// Further rolls, for a copy of the message or a second question about it.
    pub fn again(self) -> Roll {
        Roll {
            bits: mix(!self.bits),
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Stands for all that was written to it, in its order; the same on every machine and with every compiler.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    state: u64,
}

impl Trace {
    pub fn number(&mut self, number: u64) {
        self.state = mix(self.state.rotate_left(23) ^ number);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.number(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
    }

    pub fn hash(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_faults_chance_says_nothing_of_anothers() {
        let dice = Dice::new(7);
        let both = (0..10_000)
            .filter(|number| {
                let roll = dice.roll(*number);
                roll.hits(Fault::Loss, 0.5) && roll.hits(Fault::Duplicate, 0.5)
            })
            .count();
        assert!((2_300..2_700).contains(&both), "{both}");
    }

    #[test]
    fn chance_is_as_likely_as_it_says() {
        let dice = Dice::new(1);
        let hits = |share| {
            let hit = |number: &u64| dice.roll(*number).hits(Fault::Loss, share);
            (0..100_000).filter(hit).count()
        };
        assert_eq!((hits(0.0), hits(1.0)), (0, 100_000));
        assert!((9_500..10_500).contains(&hits(0.1)), "{}", hits(0.1));
    }

    #[test]
    fn a_trace_tells_order_and_lengths_apart() {
        let trace = |parts: &[&[u8]]| {
            let mut trace = Trace::default();
            parts.iter().for_each(|part| trace.bytes(part));
            trace.hash()
        };
        assert_ne!(trace(&[b"ab", b"c"]), trace(&[b"a", b"bc"]));
        assert_ne!(trace(&[b"a", b"b"]), trace(&[b"b", b"a"]));
        assert_ne!(trace(&[b"a"]), trace(&[b"a\0"]));
    }
}
