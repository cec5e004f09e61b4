//! Reads choices out of a fuzzer's bytes; when they have run out, all choices are 0.

/// The bytes that are left.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Below `count`, which is at most 256.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// A small number, or one at the edge of what a field holds.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=0xef => small.into(),
            0xf0 => 1 << 32,
            0xf1 => (1 << 32) - 1,
            0xf2 => (1 << 62) - 1,
            0xf3 => 1 << 62,
            0xf4 => (1 << 63) - 1,
            0xf5 => 1 << 63,
            0xf6 => u64::MAX - 1,
            0xf7 => u64::MAX,
            shift => u64::from(self.byte()) << (u32::from(shift & 7) * 8),
        }
    }

    /// Up to 255 bytes.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T; 8]) -> T {
        from[self.below(8)]
    }
}
